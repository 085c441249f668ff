"""``firebase status`` on the screen."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from agir_cvtoolkit.captures import CaptureStatus, Trigger
from agir_cvtoolkit.cli import firebase_status as shown
from agir_cvtoolkit.cli._main import main
from agir_cvtoolkit.firebase import CaptureCounts, EmbeddedStore
from agir_cvtoolkit.stages.firebase_status import (
    CvatStatus,
    FirebaseStatus,
    PoseModelStatus,
    PoseTask,
    StoreStatus,
    Unread,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ARGUMENTS = ["firebase", "status", "-o", "firebase.store=embedded", "-o", "firebase.embedded_dir=store"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    log = logging.getLogger("agir_cvtoolkit")
    before = (log.handlers, log.propagate, log.level)
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("CVAT_", "GOOGLE_")):
            monkeypatch.delenv(name)
    yield
    log.handlers, log.propagate = before[0], before[1]
    log.setLevel(before[2])


def _full() -> FirebaseStatus:
    by_status: dict[CaptureStatus, int] = {"pending": 12, "completed": 40, "failed": 3}
    counts = CaptureCounts(
        by_status, {10: 5, 7: 7}, {"phone": 9, "": 3}, NOW, 2, 1, {"under an hour": 12, "older": 0}
    )
    waiting = Trigger("t1", 11, 10, NOW, attempts=1, reason="the disk is full")
    done = Trigger("t0", 25, 10, NOW, "completed", model="abcdef0123456789")
    store = StoreStatus("folder", counts, 7300.0, 14, 3, 10, (waiting,), done)
    task = PoseTask(5, "round 1", "http://cvat/tasks/5", 25, {"completed": 1, "new": 1})
    cvat = CvatStatus("http://cvat", "Dogs", 1, (task,), {"completed": 1, "new": 1, "frozen": 2})
    model = PoseModelStatus(
        "v2",
        "heatmap",
        "2026-01-01T00:00:00",
        True,
        {"train_loss": 4.0, "test_pck_05": 0.71, "test_pck_05.nose": 0.9},
    )
    return FirebaseStatus(NOW, store, cvat, model, (Unread("ledger", "it is locked"),))


def test_everything_that_is_known_is_on_the_screen() -> None:
    text = "\n".join(shown._lines(_full()))
    for part in (
        "2026-01-02 03:04:05 UTC",
        "why 3 failed: agir-cvtoolkit firebase requeue --failed --dry-run",
        "2 leases ran out",
        "1 capture without",
        "the oldest waits for 2 hours",
        "(not said)",
        "Corrections since the last training: 14",
        "3 there, 7 to come",
        "trigger t1: 11 corrections, waits for retrain, 1 attempt, the last failed: the disk is full",
        "last training: 25 corrections of 2026-01-02 03:04, made model abcdef012345",
        "none published yet",
        "1/2 jobs completed",
        "frozen",
        "v2, champion",
        "  test_pck_05 0.710\n",
        "Ledger: not read: it is locked",
    ):
        assert part in text
    heads = next(line.split() for line in text.splitlines() if "in progress" in line)
    assert heads == ["pending", "in", "progress", "completed", "failed"]
    assert ["12", "0", "40", "3"] in [line.split() for line in text.splitlines()]


def test_counts_stand_under_their_heads() -> None:
    head, counts = shown._table(["a", "long name"], [12345, 6])
    assert (head, counts) == ("        a  long name", "    12345          6")


def test_the_command_reads_a_store(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path / "store").close()
    result = CliRunner().invoke(main, ARGUMENTS)
    assert result.exit_code == 0
    assert "Corrections since the last training: 0" in result.output
    assert "CVAT: not configured" in result.output


def test_the_same_comes_as_json(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path / "store").close()
    result = CliRunner().invoke(main, [*ARGUMENTS, "--json"])
    content = json.loads(result.output)
    assert content["store"]["trigger_threshold"] == 10
    assert content["unread"][0]["side"] == "cvat"


def test_nothing_to_read_ends_with_what_is_missing() -> None:
    result = CliRunner().invoke(main, ARGUMENTS)
    assert result.exit_code == 2
    assert "there is no store in store yet" in result.output


def test_a_watch_draws_until_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    drawn: list[datetime] = []
    stop = threading.Event()

    def look() -> FirebaseStatus:
        drawn.append(NOW + timedelta(seconds=len(drawn)))
        if len(drawn) == 3:
            stop.set()
        return FirebaseStatus(drawn[-1], None, None, None)

    class Stopping:
        def __enter__(self) -> threading.Event:
            return stop

        def __exit__(self, *error: object) -> None:
            return None

    monkeypatch.setattr("agir_cvtoolkit.serving.stopping.stopping_on_signals", Stopping)
    last = shown._watched(look, 0.01)
    assert len(drawn) == 3
    assert last.when == drawn[-1]


def test_a_watch_is_for_people() -> None:
    result = CliRunner().invoke(main, [*ARGUMENTS, "--json", "--watch"])
    assert result.exit_code == 2
    assert "--watch" in json.loads(result.stdout)["error"]["problem"]
