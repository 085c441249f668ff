"""``forget`` removes a capture everywhere, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from agir_cvtoolkit.stages.forget import forget
from tests.stages.capture_queue import Queue


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_ACCESS_TOKEN", "CVAT_USERNAME", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    found = Queue(tmp_path)
    found.fill(3)
    firebase_transfer(found.call(), limit=2)
    nose = LabeledPose("cvat_pose-0001_x", "pose-0001", {"nose": Keypoint(1, 2)}, 0.9, datetime.now(UTC))
    found.store.write_labeled([nose])
    return found


def everything(root: Path) -> list[str]:
    """Return what still names the capture, in file names and contents; the ledger's freed pages apart."""
    found = [str(path) for path in root.rglob("*") if "pose-0001" in path.name]
    files = [
        path
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(("ledger.", "captures."))
    ]
    return found + [str(path) for path in files if b"pose-0001" in path.read_bytes()]


def test_nothing_of_it_is_left_and_all_of_the_others(queue: Queue) -> None:
    run = open_run(queue.root / "runs")
    (run.path("cvat_downloads")).mkdir()
    run.path("cvat_downloads", "frame_map.json").write_text('{"frames": ["pose-0000", "pose-0001"]}')
    planned = forget("pose-0001", queue.call(dry_run=True))
    assert everything(queue.root)
    assert any(line.startswith("picture") for line in planned.removed)
    result = forget("pose-0001", queue.call())
    assert result.left == ()
    assert result.exit_code == 0
    assert everything(queue.root) == []
    assert queue.store.get(["pose-0001"]) == {}
    assert queue.store.labeled(["pose-0001"]).get("pose-0001", ()) == ()
    with Ledger.open(None, queue.root / "runs") as ledger:
        assert ledger.events_of_record("pose-0001") == []
        assert ledger.events_of_record("pose-0000")
    images = json.loads((queue.folder / "transfer_manifest.json").read_text())["images"]
    assert [image["firebase_id"] for image in images] == ["pose-0000"]
    assert (queue.folder / "pose-0000.jpg").is_file()
    assert [entry.record_id for entry in run.read_manifest()] == ["pose-0000"]
    names = json.loads(run.path("cvat_downloads", "frame_map.json").read_text())["frames"]
    assert names[0] == "pose-0000"
    assert names[1].startswith("forgotten-")
    with pytest.raises(UsageError, match="nothing is known"):
        forget("pose-0001", queue.call())


def test_one_that_waits_is_only_in_the_store(queue: Queue) -> None:
    result = forget("pose-0002", queue.call())
    assert queue.store.get(["pose-0002"]) == {}
    assert all("store" in line or "capture" in line for line in result.removed)


def test_what_has_learned_from_it_is_said(queue: Queue) -> None:
    store = queue.store
    trigger = store.reserve_trigger(1, datetime.now(UTC))
    assert trigger is not None
    claimed = store.claim_trigger("me", datetime.now(UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert claimed is not None
    assert store.finish_trigger(claimed, {"cvat_pose-0001_x": 1}, "m1", datetime.now(UTC))
    result = forget("pose-0001", queue.call())
    assert "learned" in " ".join(result.left)
    assert result.exit_code == 1


def test_a_copy_elsewhere_is_said(queue: Queue) -> None:
    path = open_run(queue.root / "runs").path("transfer", "plan.json")
    plan = json.loads(path.read_text())
    plan["options"] |= {"deliver": "rsync", "gpusrv_host": "box.example"}
    path.write_text(json.dumps(plan))
    assert "box.example:" in " ".join(forget("pose-0001", queue.call()).left)
