"""The embedded store between processes, and what it costs when it is full."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.errors import DatabaseError
from agir_cvtoolkit.firebase import EmbeddedStore

from .samples import HOUR, JPEG, NOW, capture, corrections

pytestmark = pytest.mark.integration


def _work(folder: Path, worker: int, results: Any) -> None:
    store = EmbeddedStore(folder)
    taken = []
    while waiting := store.pending(1, 25):
        for found in waiting:
            mine = store.claim(found, f"process-{worker}", NOW + HOUR)
            if mine is not None:
                taken.append(mine.capture_id)
    store.write_labeled(corrections(30))
    trigger = store.reserve_trigger(30, NOW)
    results.put((taken, None if trigger is None else trigger.count))
    store.close()


def test_processes_share_a_folder(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    for number in range(200):
        store.create(capture(f"c{number}", 1 + number % 10), None)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_work, args=(tmp_path, number, results)) for number in range(3)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=300) for _ in workers]
    for worker in workers:
        worker.join()
    taken = Counter(name for names, _ in found for name in names)
    assert taken == Counter(f"c{number}" for number in range(200))
    assert sorted(count for _, count in found if count is not None) == [30]
    assert [trigger.count for trigger in store.triggers()] == [30]
    assert store.counts(NOW).by_status == {"in_progress": 200}
    store.close()


def test_a_fork_opens_its_own_connection(tmp_path: Path) -> None:
    # In a fresh interpreter: others' threads do not survive a fork.
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from agir_cvtoolkit.firebase import EmbeddedStore\n"
        "store = EmbeddedStore(Path(sys.argv[1]))\n"
        "store.put_document('uncertain_poses', 'parent', {})\n"
        "mine = id(store._database._connection())\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    store.put_document('uncertain_poses', 'child', {})\n"
        "    os._exit(5 if id(store._database._connection()) != mine else 6)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5\n"
        "assert sorted(store.get(['parent', 'child'])) == ['child', 'parent']\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=300)


def test_a_killed_process_leaves_a_whole_store(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    store.write_labeled(corrections(20))
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from agir_cvtoolkit.firebase import EmbeddedStore\n"
        "from agir_cvtoolkit.firebase import _embedded_training as room\n"
        "whole, calls = room._put_raw, []\n"
        "def put(*a):\n"
        "    calls.append(a)\n"
        "    os._exit(9) if len(calls) > 10 else whole(*a)\n"
        "room._put_raw = put\n"
        "from datetime import datetime, UTC\n"
        "EmbeddedStore(Path(sys.argv[1])).reserve_trigger(10, datetime.now(UTC))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=300)
    assert ended.returncode == 9
    assert store.unreserved() == 20
    assert store.triggers() == []
    made = store.reserve_trigger(10, NOW)
    assert made is not None
    assert made.count == 20


def test_the_queue_is_read_by_its_index_however_much_is_done(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    for number in range(5):
        store.create(capture(f"c{number}"), None)

    def steps() -> int:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        connection = store._database._connection()
        connection.set_progress_handler(tick, 1)
        store.pending(1, 5)
        store.claim(store.get(["c0"])["c0"], "me", NOW)
        store.release_expired(NOW + HOUR)
        store.adopt()
        connection.set_progress_handler(None, 0)
        return count

    few = steps()
    for number in range(1000):
        store.put_document(
            "uncertain_poses", f"d{number}", {"status": "completed", "priority": 9, "timestamp": 1e9}
        )
    assert steps() <= few * 1.2
    store.close()


def test_an_unwritable_picture_is_told_and_no_capture_is_left(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    (tmp_path / "bucket").write_text("in the way")
    with pytest.raises(DatabaseError, match="picture of capture 'a'"):
        store.create(capture("a"), JPEG)
    assert store.get(["a"]) == {}
    store.close()


def test_raw_documents_go_only_where_strangers_write(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    with pytest.raises(ValueError, match="retraining_triggers"):
        store.put_document("retraining_triggers", "a", {})
    store.close()
    with sqlite3.connect(tmp_path / "captures.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
