"""The command ``firebase requeue`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit.cli import main
from tests.stages.capture_queue import Queue, capture


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return Queue(tmp_path)


def typed(queue: Queue, *words: str) -> Result:
    options = [word for one in queue.overrides() for word in ("-o", one)]
    return CliRunner().invoke(main, ["firebase", *words, *options])


def test_it_tells_what_failed_and_lets_it_wait_again(queue: Queue) -> None:
    queue.store.create(capture(1), b"")
    assert typed(queue, "transfer", "--no-create-task").exit_code == 1
    planned = typed(queue, "requeue", "--failed", "--dry-run")
    assert planned.exit_code == 0
    assert "1 capture would wait again" in planned.stdout
    assert "pose-0001: the picture is empty (0 bytes)" in planned.stdout
    assert queue.statuses() == {"failed": 1}
    done = typed(queue, "requeue", "pose-0001", "--json")
    assert json.loads(done.stdout)["captures"] == ["pose-0001"]
    assert queue.statuses() == {"pending": 1}
    again = typed(queue, "requeue", "pose-0001")
    assert again.exit_code == 4
    assert "skipped: pose-0001: it waits already" in again.stderr


def test_nobody_named_is_a_mistake(queue: Queue) -> None:
    done = typed(queue, "requeue")
    assert done.exit_code == 2
    assert "--failed" in done.stderr
