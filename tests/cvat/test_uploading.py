"""Groups of pictures on their way: how they are made, what is lost, and what is sent again."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser, parse_options_header

from agir_cvtoolkit.cvat import (
    CvatSession,
    PictureToSend,
    Response,
    TaskRequest,
    UploadOptions,
    create_task,
    create_task_with_pictures,
    delete_task,
    download_original,
    find_tasks,
)
from agir_cvtoolkit.cvat.multipart import FilePart, MultipartBody
from agir_cvtoolkit.cvat.transport import Body
from agir_cvtoolkit.cvat.upload import chunk_size_for, groups_of
from agir_cvtoolkit.errors import DeadlineError, RefusedError, ServerUnreachableError
from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions, SimulatedWork
from agir_cvtoolkit.sandbox.breaking import Seen

from .fakes import Call, FakeTransport, FastClock, cut, ok, opened, page

Pictures = Callable[[int], list[PictureToSend]]
SMALL_GROUPS = UploadOptions(group_files=2, in_flight=3)


# --- groups -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    folder = tmp_path_factory.mktemp("files")

    def of(size: int) -> Path:
        path = folder / f"{size}.bin"
        if not path.exists():
            path.write_bytes(bytes(size))
        return path

    return of


@given(
    sizes=st.lists(st.integers(1, 60), max_size=40),
    group_bytes=st.integers(1, 100),
    group_files=st.integers(1, 8),
)
def test_groups_keep_order_and_bounds_and_are_as_few_as_that_allows(
    files: Callable[[int], Path], sizes: list[int], group_bytes: int, group_files: int
) -> None:
    pictures = [PictureToSend(f"{n}", files(size)) for n, size in enumerate(sizes)]
    size_of = {picture.name: size for picture, size in zip(pictures, sizes, strict=True)}
    groups = groups_of(pictures, UploadOptions(group_bytes=group_bytes, group_files=group_files))
    assert [picture for group in groups for picture in group] == pictures
    for group in groups:
        assert 1 <= len(group) <= group_files
        assert len(group) == 1 or sum(size_of[p.name] for p in group) <= group_bytes
    for group, after in pairwise(groups):
        total = sum(size_of[p.name] for p in group) + size_of[after[0].name]
        assert len(group) == group_files or total > group_bytes, "the next picture had found room"


@given(
    parts=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
            st.binary(max_size=3000),
        ),
        max_size=5,
    ),
    quality=st.integers(0, 100),
)
@settings(deadline=None)
def test_a_body_is_what_another_reader_reads(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, bytes]], quality: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    listed = []
    for number, (name, content) in enumerate(parts):
        path = folder / str(number)
        path.write_bytes(content)
        listed.append(FilePart(f"client_files[{number}]", name, path))
    body = MultipartBody({"image_quality": str(quality)}, listed)
    whole = b"".join(body)
    assert body.length == len(whole)
    assert body.went_out
    found = read(body.content_type, whole)
    assert found[0] == ("image_quality", None, str(quality).encode())
    for number, ((name, content), part) in enumerate(zip(parts, found[1:], strict=True)):
        assert part == (f"client_files[{number}]", name.replace('"', "%22"), content)


def read(content_type: str, body: bytes) -> list[tuple[str, str | None, bytes]]:
    """Read a multipart body with the parser of another library."""
    found: list[tuple[str, str | None, bytes]] = []
    state: dict[str, bytes] = {}

    def begin() -> None:
        state.update(field=b"", value=b"", disposition=b"", data=b"")

    def grow(key: str) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            state[key] += data[start:end]

        return add

    def header_end() -> None:
        if state["field"].lower() == b"content-disposition":
            state["disposition"] = state["value"]
        state.update(field=b"", value=b"")

    def part_end() -> None:
        # The parser takes backslashes for quoting, as no browser does; the server's own does not.
        _, options = parse_options_header(state["disposition"].replace(b"\\", b"\\\\"))
        name = options.get(b"filename")
        found.append((options[b"name"].decode(), None if name is None else name.decode(), state["data"]))

    _, options = parse_options_header(content_type.encode())
    callbacks: Mapping[str, object] = {
        "on_part_begin": begin,
        "on_header_field": grow("field"),
        "on_header_value": grow("value"),
        "on_header_end": header_end,
        "on_part_data": grow("data"),
        "on_part_end": part_end,
    }
    parser = MultipartParser(options[b"boundary"], callbacks)  # type: ignore[arg-type]
    parser.write(body)
    parser.finalize()
    return found


def test_memory_stays_flat_whatever_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(2_000_000))
    pictures = [PictureToSend(f"{n}.jpg", path, 10, 10) for n in range(64)]
    taken: list[int] = []

    class Sink(FakeTransport):
        def send(
            self,
            method: str,
            url: str,
            *,
            headers: Mapping[str, str],
            body: Body | None = None,
            timeout: float = 60.0,
            to_file: Path | None = None,
        ) -> Response:
            if isinstance(body, MultipartBody):
                taken.append(sum(map(len, body)))
                assert taken[-1] == body.length
                return ok({})
            return super().send(method, url, headers=headers, body=body, timeout=timeout, to_file=to_file)

    frames = [{"name": p.name, "width": 10, "height": 10} for p in pictures]
    transport = Sink(
        {
            "POST /api/tasks": ok({"id": 5, "name": "t"}, 201),
            "POST /api/tasks/5/data/": ok({"rq_id": "r"}, 202),
            "GET /api/requests/r": ok({"status": "finished"}),
            "GET /api/tasks/5/data/meta": ok({"frames": frames}),
        }
    )
    session = opened(transport)
    tracemalloc.start()
    try:
        create_task_with_pictures(session, TaskRequest("t", 1), pictures)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(taken) > 128_000_000
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2048, 1536), 4), ((6000, 4000), 1), ((9504, 6336), 1), ((40, 30), 36), ((0, 0), None)],
)
def test_chunks_are_as_large_as_one_waits_for(size: tuple[int, int], expected: int | None) -> None:
    pictures = [PictureToSend("a", Path("a"), 1, 1), PictureToSend("b", Path("b"), *size)]
    assert chunk_size_for(pictures if expected else pictures[1:]) == expected


# --- what is lost -------------------------------------------------------------------------------------------


def groups_sent(sandbox: Sandbox) -> list[Seen]:
    return [
        s
        for s in sandbox.requests()
        if "/data/" in s.target and (s.method, s.target[-6:]) == ("POST", "/data/")
    ]


@pytest.mark.integration
@pytest.mark.parametrize(
    "action", ["cut_before", "cut_after", "cut_within_request", "status", "status_after"]
)
@pytest.mark.parametrize("nth", [2, 3, 4])
def test_a_lost_group_costs_itself_and_not_the_task(
    sandbox: Sandbox,
    session: CvatSession,
    project_id: int,
    pictures: Pictures,
    tmp_path: Path,
    action: str,
    nth: int,
) -> None:
    sandbox.add_fault(Fault(r"/data/?(\?|$)", action, method="POST", nth=nth, status=504))  # type: ignore[arg-type]
    sandbox.forget_requests()
    sent = pictures(6)
    made: list[int] = []
    done = create_task_with_pictures(
        session, TaskRequest("t", project_id), sent, made.append, options=SMALL_GROUPS
    )
    assert made == [done.task_id]
    assert [entry.name for entry in done.frame_map.entries] == [picture.name for picture in sent]
    # Start, three groups, finish; at most one group and one finish more.
    assert len(groups_sent(sandbox)) <= 7
    for entry, picture in zip(done.frame_map.entries, sent, strict=True):
        back = download_original(session, done.task_id, entry.frame, tmp_path / "back" / picture.name)
        assert back.read_bytes() == picture.path.read_bytes()


@pytest.mark.integration
def test_all_groups_lost_at_once_are_sent_again(
    sandbox: Sandbox, session: CvatSession, project_id: int, pictures: Pictures
) -> None:
    for nth in (2, 3, 4):
        sandbox.add_fault(Fault(r"/data/?(\?|$)", "status", method="POST", nth=nth, status=502))
    made: list[int] = []
    sent = pictures(6)
    done = create_task_with_pictures(
        session, TaskRequest("t", project_id), sent, made.append, options=SMALL_GROUPS
    )
    assert made == [done.task_id]
    assert len(done.frame_map.entries) == 6


def test_a_server_that_does_not_name_what_is_missing_gets_the_task_anew(pictures: Pictures) -> None:
    """Older servers may say it otherwise; then nothing is sent twice into one task."""
    (picture,) = pictures(1)
    ids = iter((5, 6))
    lost = iter((cut(), ok({})))

    def data(number: int) -> Callable[[Call], object]:
        def answer(call: Call) -> object:
            headers = {name.lower() for name in call.headers}
            if "upload-multiple" in headers:
                return next(lost)
            if "upload-finish" in headers:
                return ok(["files differ"], 400) if number == 5 else ok({"rq_id": "r"}, 202)
            return ok({}, 202)

        return answer

    frames = [{"name": picture.name, "width": picture.width, "height": picture.height}]
    transport = FakeTransport(
        {
            "POST /api/tasks": lambda _: ok({"id": next(ids), "name": "t"}, 201),
            "POST /api/tasks/5/data/": data(5),  # type: ignore[dict-item]
            "POST /api/tasks/6/data/": data(6),  # type: ignore[dict-item]
            "DELETE /api/tasks/5": Response(204),
            "GET /api/requests/r": ok({"status": "finished"}),
            "GET /api/tasks/6/data/meta": ok({"frames": frames}),
        }
    )
    done = create_task_with_pictures(opened(transport), TaskRequest("t", 1), [picture])
    assert done.task_id == 6
    assert len(transport.of("DELETE /api/tasks/5")) == 1


def test_a_group_that_was_cut_on_its_way_is_sent_again_at_once(pictures: Pictures) -> None:
    """No question is needed: a server that has not got all bytes has taken nothing."""
    (picture,) = pictures(1)

    class Cutting(FakeTransport):
        cuts = 2

        def send(
            self,
            method: str,
            url: str,
            *,
            headers: Mapping[str, str],
            body: Body | None = None,
            timeout: float = 60.0,
            to_file: Path | None = None,
        ) -> Response:
            if isinstance(body, MultipartBody) and self.cuts:
                self.cuts -= 1
                next(iter(body))
                raise cut()
            return super().send(method, url, headers=headers, body=body, timeout=timeout, to_file=to_file)

    frames = [{"name": picture.name, "width": picture.width, "height": picture.height}]
    transport = Cutting(
        {
            "POST /api/tasks": ok({"id": 5, "name": "t"}, 201),
            "POST /api/tasks/5/data/": lambda call: (
                ok({}, 202) if "Upload-Finish" not in call.headers else arrived(call)
            ),
            "GET /api/requests/r": ok({"status": "finished"}),
            "GET /api/tasks/5/data/meta": ok({"frames": frames}),
        }
    )

    def arrived(call: Call) -> Response:
        assert any("Upload-Multiple" in known.headers for known in transport.calls), "finished too early"
        return ok({"rq_id": "r"}, 202)

    assert create_task_with_pictures(opened(transport), TaskRequest("t", 1), [picture]).task_id == 5


def test_a_server_that_takes_no_body_is_given_up(pictures: Pictures) -> None:
    transport = FakeTransport(
        {
            "POST /api/tasks": ok({"id": 5, "name": "t"}, 201),
            "POST /api/tasks/5/data/": [ok({}, 202), cut()],
            "GET /api/tasks/5": ok({"id": 5, "name": "t", "size": 0}),
            "DELETE /api/tasks/5": Response(204),
        }
    )
    with pytest.raises(ServerUnreachableError):
        create_task_with_pictures(opened(transport), TaskRequest("t", 1), pictures(1))
    assert len(transport.of("DELETE /api/tasks/5")) >= 1


def test_a_finish_that_was_carried_out_late_is_waited_for(pictures: Pictures) -> None:
    (picture,) = pictures(1)
    finishes = iter((cut(), ok("Adding more data is not supported", 400)))
    states = iter((page(404), ok({"status": "started"}), ok({"status": "finished"})))
    request = "/api/requests/action%3Dcreate%26target%3Dtask%26target_id%3D5"
    frames = [{"name": picture.name, "width": picture.width, "height": picture.height}]
    transport = FakeTransport(
        {
            "POST /api/tasks": ok({"id": 5, "name": "t"}, 201),
            "POST /api/tasks/5/data/": lambda call: (
                next(finishes) if "Upload-Finish" in call.headers else ok({}, 202)
            ),
            f"GET {request}": lambda _: next(states),
            "GET /api/tasks/5": ok({"id": 5, "name": "t", "size": 0}),
            "GET /api/tasks/5/data/meta": ok({"frames": frames}),
        }
    )
    assert create_task_with_pictures(opened(transport), TaskRequest("t", 1), [picture]).task_id == 5


# --- giving up ----------------------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A server that prepares a task until it has refused to delete it."""
    sandbox = Sandbox(SandboxOptions(tmp_path / "busy", anonymous_limit=1000))

    def prepare(*_given: object) -> float:
        for _ in range(6000):
            if deletions(sandbox):
                break
            time.sleep(0.01)
        return 0.0

    monkeypatch.setattr(SimulatedWork, "of_creation", prepare)
    return sandbox


def deletions(sandbox: Sandbox) -> list[int]:
    """Return how the server has answered to those who wanted something deleted."""
    return [seen.status for seen in sandbox.requests() if seen.method == "DELETE" and seen.status]


class _Interrupted(FastClock):
    """Ctrl-C at the first wait for the server."""

    pressed = False

    def sleep(self, seconds: float) -> None:
        if not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt
        super().sleep(seconds)


def _session(sandbox: Sandbox, clock: FastClock) -> CvatSession:
    from agir_cvtoolkit.cvat import Credentials

    return CvatSession.open(Credentials(sandbox.url, "admin", "admin123"), clock=clock)


def _project(session: CvatSession) -> int:
    from agir_cvtoolkit.cvat import NewLabel, create_project

    return create_project(session, "p", [NewLabel("weed")]).id


@pytest.mark.integration
def test_ctrl_c_while_the_server_prepares_a_task_stops_it_and_leaves_none(
    busy: Sandbox, pictures: Pictures
) -> None:
    """A server refuses to delete a task in this moment, with 500."""
    with busy:
        session = _session(busy, _Interrupted())
        project_id = _project(session)
        with pytest.raises(KeyboardInterrupt):
            create_task_with_pictures(session, TaskRequest("t", project_id), pictures(2))
        asked = [f"{seen.method} {seen.target}" for seen in busy.requests()]
        assert any(line.startswith("POST") and line.endswith("/cancel") for line in asked)
        assert deletions(busy) == [500, 204]
        assert find_tasks(session, project_id=project_id) == ()


@pytest.mark.integration
def test_a_deadline_that_passes_leaves_no_task(busy: Sandbox, pictures: Pictures) -> None:
    with busy:
        session = _session(busy, FastClock())
        project_id = _project(session)
        with pytest.raises(DeadlineError, match="within 0 s"):
            create_task_with_pictures(
                session, TaskRequest("t", project_id), pictures(2), options=UploadOptions(deadline_s=0.1)
            )
        assert deletions(busy) == [500, 204]
        assert find_tasks(session, project_id=project_id) == ()


def test_a_task_that_cannot_be_deleted_for_another_reason_is_not_waited_for() -> None:
    request = "/api/requests/action%3Dcreate%26target%3Dtask%26target_id%3D5"
    transport = FakeTransport({"DELETE /api/tasks/5": page(500), f"GET {request}": page(404)})
    from agir_cvtoolkit.errors import ServerFaultError

    with pytest.raises(ServerFaultError):
        delete_task(opened(transport), 5)


def test_pauses_between_looks_grow_from_a_tenth_to_five_seconds(pictures: Pictures) -> None:
    from .fakes import FakeClock

    (picture,) = pictures(1)
    clock = FakeClock()
    frames = [{"name": picture.name, "width": picture.width, "height": picture.height}]
    transport = FakeTransport(
        {
            "POST /api/tasks": ok({"id": 5, "name": "t"}, 201),
            "POST /api/tasks/5/data/": ok({"rq_id": "r"}, 202),
            "GET /api/requests/r": lambda _: ok({"status": "finished" if clock.time > 100 else "started"}),
            "GET /api/tasks/5/data/meta": ok({"frames": frames}),
        }
    )
    create_task_with_pictures(opened(transport, clock=clock), TaskRequest("t", 1), [picture])
    assert clock.slept[0] == pytest.approx(0.1)
    assert clock.slept == sorted(clock.slept)
    assert max(clock.slept) == 5.0


def test_a_refusal_of_the_worker_is_not_taken_for_a_lost_group(pictures: Pictures) -> None:
    (picture,) = pictures(1)
    transport = FakeTransport(
        {
            "POST /api/tasks": ok({"id": 5, "name": "t"}, 201),
            "POST /api/tasks/5/data/": lambda call: (
                cut() if "Upload-Multiple" in call.headers else ok({"rq_id": "r"}, 202)
            ),
            "GET /api/requests/r": ok({"status": "failed", "message": "cannot identify image file"}),
            "DELETE /api/tasks/5": Response(204),
        }
    )
    with pytest.raises(RefusedError, match="cannot identify"):
        create_task_with_pictures(opened(transport), TaskRequest("t", 1), [picture])
    assert len(transport.of("POST /api/tasks")) == 1


def test_subset_goes_along() -> None:
    transport = FakeTransport({"POST /api/tasks": ok({"id": 5, "name": "t"}, 201)})
    create_task(opened(transport), TaskRequest("t", 1, subset="Train"))
    assert transport.of("POST /api/tasks")[0].json == {"name": "t", "project_id": 1, "subset": "Train"}
