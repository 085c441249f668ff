"""Originals appear whole and right, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agir_cvtoolkit.cvat import OriginalWanted, Response, download_originals
from agir_cvtoolkit.errors import ServerFaultError
from agir_cvtoolkit.runs._files import temporaries

from .fakes import Call, FakeTransport, cut, ok, opened

DATA = "GET /api/tasks/5/data/"


def picture(call: Call) -> Response:
    return Response(200, {"content-type": "image/png"}, f"picture {call.params['number']}".encode())


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_they_are_fetched_by_the_task_and_put_where_they_belong(tmp_path: Path) -> None:
    transport = FakeTransport({DATA: picture})
    wanted = [OriginalWanted(n, tmp_path / "new" / f"{n}.png", sha256(f"picture {n}")) for n in range(9)]
    assert download_originals(opened(transport), 5, wanted, in_flight=3) == {}
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == {
        f"{n}.png": f"picture {n}" for n in range(9)
    }
    assert {call.params["quality"] for call in transport.of(DATA)} == {"original"}


def test_another_picture_than_the_pushed_one_is_not_kept(tmp_path: Path) -> None:
    transport = FakeTransport({DATA: picture})
    wanted = [
        OriginalWanted(0, tmp_path / "0.png", sha256("picture 0")),
        OriginalWanted(1, tmp_path / "1.png", sha256("another")),
    ]
    failed = download_originals(opened(transport), 5, wanted)
    assert list(failed) == [1]
    assert "not the picture that was pushed" in str(failed[1])
    assert [path.name for path in tmp_path.iterdir()] == ["0.png"]


def test_what_is_there_and_right_is_not_fetched_again(tmp_path: Path) -> None:
    transport = FakeTransport({DATA: picture})
    (tmp_path / "0.png").write_text("picture 0")
    (tmp_path / "1.png").write_text("damaged")
    (tmp_path / "2.png").write_text("nobody knows")
    wanted = [
        OriginalWanted(0, tmp_path / "0.png", sha256("picture 0")),
        OriginalWanted(1, tmp_path / "1.png", sha256("picture 1")),
        OriginalWanted(2, tmp_path / "2.png"),
    ]
    assert download_originals(opened(transport), 5, wanted) == {}
    assert [call.params["number"] for call in transport.of(DATA)] == ["1"]
    assert (tmp_path / "1.png").read_text() == "picture 1"


@pytest.mark.parametrize("answer", [ok({"detail": "busy"}), Response(200, {}, b""), cut()])
def test_one_that_fails_leaves_nothing_and_the_others_come(tmp_path: Path, answer: Response) -> None:
    def some(call: Call) -> Response:
        return answer if call.params["number"] == "1" else picture(call)

    transport = FakeTransport({DATA: some})
    failed = download_originals(
        opened(transport), 5, [OriginalWanted(n, tmp_path / f"{n}.png") for n in range(3)]
    )
    assert list(failed) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "2.png"]
    assert isinstance(failed[1], ServerFaultError) or "connection" in str(failed[1])


def test_what_is_half_written_when_a_call_dies_is_swept_with_the_rest_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is tidied up by a call that is killed; the next one on the run removes what it knows as half-written."""
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    download_originals(
        opened(FakeTransport({DATA: picture})), 5, [OriginalWanted(1, tmp_path / "1.png", "no")]
    )
    (left,) = tmp_path.iterdir()
    assert temporaries(tmp_path) == [left]


def test_where_the_task_is_refused_the_job_is_asked(tmp_path: Path) -> None:
    refused = Response(403, {"content-type": "application/json"}, b'{"detail":"no permission"}')
    transport = FakeTransport({DATA: lambda _: refused, "GET /api/jobs/8/data": picture})
    wanted = [
        OriginalWanted(0, tmp_path / "0.png", sha256("picture 0"), job_id=8),
        OriginalWanted(1, tmp_path / "1.png"),
    ]
    assert list(download_originals(opened(transport), 5, wanted)) == [1]
    assert (tmp_path / "0.png").read_text() == "picture 0"
