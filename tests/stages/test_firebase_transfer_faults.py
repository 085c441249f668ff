"""A transfer that is killed anywhere, and several at one time: nothing lost, nothing twice."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import Run, list_runs
from agir_cvtoolkit.stages import _transfer_journal, _transfer_picture, _transfer_publish
from agir_cvtoolkit.stages._transfer_journal import PLAN
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from tests.stages.capture_queue import Queue, capture, jpeg

PLACES: tuple[tuple[Any, str], ...] = (
    (EmbeddedStore, "claim_all"),
    (EmbeddedStore, "picture"),
    (EmbeddedStore, "fail"),
    (EmbeddedStore, "transferred_all"),
    (_transfer_picture, "write_bytes"),
    (_transfer_picture, "write_poses"),
    (_transfer_journal, "write_json"),
    (_transfer_journal.Journal, "add"),
    (_transfer_publish, "merge_entries"),
    (_transfer_publish, "write_text"),
    (Ledger, "record_predictions"),
    (Ledger, "record_transfers"),
    (Run, "write_metrics"),
)
"""Whatever writes something that lasts."""


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def die_at(number: int) -> None:
    """Have this process killed before the so many-th call of what writes something."""
    count = itertools.count(1)
    guard = threading.Lock()

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with guard:
                mine = next(count)
            if mine == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return call

    for owner, name in PLACES:
        setattr(owner, name, deadly(getattr(owner, name)))


def in_child(work: Callable[[], object]) -> int:
    """Run something in a process of its own; return the signal that ended it, or minus its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def check_once(queue: Queue, expected: set[str]) -> None:
    """Check that each capture was transferred once, and all records of it agree."""
    images = json.loads((queue.folder / "transfer_manifest.json").read_text())["images"]
    assert Counter(image["firebase_id"] for image in images) == Counter(expected)
    assert {path.name for path in queue.folder.iterdir() if path.suffix == ".jpg"} == {
        f"{i}.jpg" for i in expected
    }
    out_root = queue.root / "runs"
    runs = [Run(run_id, out_root / run_id) for run_id in list_runs(out_root)]
    records = Counter(e.record_id for run in runs if run.manifest_path.is_file() for e in run.read_manifest())
    assert records == Counter(expected)
    assert all(json.loads(run.path(*PLAN).read_text())["done"] for run in runs if run.path(*PLAN).is_file())
    with Ledger.open(None, out_root) as ledger:
        for capture_id in expected:
            kinds = Counter(event.kind for event in ledger.events_of_record(capture_id))
            assert kinds == {"predicted": 1, "transferred": 1}
    store = queue.store
    found = store.get(expected)
    assert {(c.status, c.claimed_by, c.claimed_until) for c in found.values()} == {
        ("in_progress", None, None)
    }
    store.close()


@pytest.mark.slow
def test_killed_anywhere_and_started_again_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    expected = {f"pose-{number:04}" for number in range(3)}
    killed = 0
    for number in range(1, 60):
        queue = Queue(tmp_path / str(number))
        queue.fill(3)
        store = queue.store
        store.create(capture(7, 10), b"no picture")
        store.close()

        def work(queue: Queue = queue, number: int = number) -> None:
            die_at(number)
            firebase_transfer(queue.call(), limit=3)

        end = in_child(work)
        assert end in {0, signal.SIGKILL}
        killed += end == signal.SIGKILL
        result = firebase_transfer(queue.call(), limit=3)
        assert not [item for item in result.items if item.outcome not in {"failed", "noted"}]
        if end == 0:
            break
        check_once(queue, expected)
        assert queue.store.get(["pose-0007"])["pose-0007"].status == "failed"
    else:
        pytest.fail("it was killed at every point")
    assert killed > 30


@pytest.mark.parametrize("told", [True, False], ids=["told", "not-told"])
def test_who_was_killed_while_finishing_knows_whether_another_has_transferred_it_since(
    tmp_path: Path, told: bool
) -> None:
    queue = Queue(tmp_path)
    queue.fill(2)

    def work() -> None:
        whole = EmbeddedStore.transferred_all

        def last(self: EmbeddedStore, *args: Any) -> None:
            if told:
                whole(self, *args)
            os.kill(os.getpid(), signal.SIGKILL)

        EmbeddedStore.transferred_all = last  # type: ignore[assignment, method-assign]
        firebase_transfer(queue.call())

    assert in_child(work) == signal.SIGKILL
    store = queue.store
    now = datetime.now(UTC)
    if not told:
        assert store.release_expired(now + timedelta(days=1)) == 2
        theirs = store.claim(store.get(["pose-0000"])["pose-0000"], "another machine", now)
        assert theirs is not None
        assert store.transferred(theirs, now) is not None
    result = firebase_transfer(queue.call())
    assert result.captures == (("pose-0000", "pose-0001") if told else ("pose-0001",))
    by = {
        capture_id: found.transferred_by
        for capture_id, found in store.get(["pose-0000", "pose-0001"]).items()
    }
    store.close()
    assert (by["pose-0000"] == "another machine") is not told
    assert {path.name for path in queue.folder.glob("*.jpg")} == {f"{i}.jpg" for i in result.captures}
    images = json.loads((queue.folder / "transfer_manifest.json").read_text())["images"]
    assert {image["firebase_id"] for image in images} == set(result.captures)


@pytest.mark.slow
def test_four_workers_bring_every_capture_exactly_once(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    store = queue.store
    content = jpeg(1, (32, 24))
    expected = {f"pose-{number:04}" for number in range(1000)}
    for number in range(1000):
        store.create(capture(number, 1 + number % 10), content)
    store.close()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                while firebase_transfer(queue.call(), limit=250, priority=1).transferred:
                    pass
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert queue.statuses() == {"in_progress": 1000}
    check_once(queue, expected)
