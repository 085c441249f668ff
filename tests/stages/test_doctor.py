"""``doctor``: each check says what to do; the exit code says where it hurts."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit import Call, doctor
from agir_cvtoolkit.cvat import Credentials
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.stages.doctor import Check, Diagnosis, _access_token
from tests.cvat.fakes import URL, FakeTransport, ok, opened


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_USERNAME", "CVAT_PASSWORD", "CVAT_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def by_name(diagnosis: Diagnosis) -> dict[str, Check]:
    return {check.name: check for check in diagnosis.checks}


def test_an_empty_workspace_lacks_credentials_only(tmp_path: Path) -> None:
    diagnosis = doctor()
    found = by_name(diagnosis)
    assert {name for name, check in found.items() if check.state == "failed"} == {"credentials"}
    assert ".keys/default.yaml" in found["credentials"].text
    assert "db.semif.db_path" in found["database semif"].text
    assert diagnosis.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_the_remote_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CVAT_USERNAME", "ann")
    monkeypatch.setenv("CVAT_PASSWORD", "hunter2")
    diagnosis = doctor()
    found = by_name(diagnosis)
    assert (found["credentials"].state, found["server"].state) == ("ok", "failed")
    assert "127.0.0.1:9" in found["server"].text
    assert diagnosis.exit_code == 3
    assert "hunter2" not in str(diagnosis)


def test_databases_are_opened_and_described() -> None:
    with sqlite3.connect("good.db") as connection:
        connection.execute("create table semif (cutout_id text, state text)")
    Path("bad.db").write_text("no database at all " * 100)
    found = by_name(doctor(Call(overrides=("db.semif.db_path=good.db", "db.field.db_path=bad.db"))))
    assert found["database semif"].state == "ok"
    assert "2 columns" in found["database semif"].text
    assert found["database field"].state == "failed"
    assert "bad.db" in found["database field"].text


def test_a_wrong_configuration_is_raised() -> None:
    with pytest.raises(ConfigError):
        doctor(Call(overrides=("nonsense=1",)))


def test_exit_codes() -> None:
    good, poor, bad = Check("a", "ok", ""), Check("b", "warning", ""), Check("c", "failed", "")
    assert Diagnosis((good, poor), server_failed=False).exit_code == 0
    assert Diagnosis((good, bad), server_failed=False).exit_code == 2
    assert Diagnosis((good, bad), server_failed=True).exit_code == 3


@pytest.mark.parametrize(
    ("days", "read_only", "state", "words"),
    [
        (None, False, "ok", ("'robot'", "does not expire")),
        (90, False, "ok", ("expires 20", "UTC, in 90 days")),
        (3, False, "warning", ("in 3 days", f"make another at {URL}/profile#security")),
        (None, True, "warning", ("read-only", f"make another at {URL}/profile#security")),
    ],
)
def test_an_access_token_is_told_with_its_end(
    days: int | None, read_only: bool, state: str, words: tuple[str, ...]
) -> None:
    expires = None if days is None else (datetime.now(UTC) + timedelta(days=days, minutes=1)).isoformat()
    told = ok({"name": "robot", "expiry_date": expires, "read_only": read_only})
    transport = FakeTransport({"GET /api/auth/access_tokens/self": told}, version="2.80.0")
    (check,) = _access_token(opened(transport, credentials=Credentials(URL, access_token="t")))
    assert (check.name, check.state) == ("access token", state)
    assert all(word in check.text for word in words), check.text


def test_without_an_access_token_nothing_is_told_of_one() -> None:
    assert list(_access_token(opened(FakeTransport(version="2.80.0")))) == []
