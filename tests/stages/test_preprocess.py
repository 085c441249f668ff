"""From pulled masks, predicted masks or two folders to a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.errors import ConfigError, DataError, NoRunError
from agir_cvtoolkit.ledger import Ledger, Pull
from agir_cvtoolkit.pictures import load_mask, save_png, sha256_of
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, start_run, write_json
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._pulled import PulledFrame, PulledTask, new_folder, write_frame_map
from agir_cvtoolkit.stages.preprocess import preprocess
from agir_cvtoolkit.stages.train import train
from agir_cvtoolkit.training.dataset import open_dataset

SMALL = ("preprocess.size={height: 32, width: 32}",)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run with three pictures, predicted, and a task with their corrections."""
    monkeypatch.chdir(tmp_path)
    run = start_run(Path("outputs/runs"))
    frames = []
    for number in range(3):
        record_id = f"r{number}"
        rgb = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        image, mask = run.path("images", f"{record_id}.png"), run.path("masks", f"{record_id}.png")
        for path, array in ((image, rgb), (mask, np.full((32, 32), 9, dtype=np.uint8))):
            path.parent.mkdir(exist_ok=True)
            save_png(array, path)
        entry = ManifestEntry(
            record_id=record_id,
            common_name="barley",
            image_path=f"images/{record_id}.png",
            mask_path=f"masks/{record_id}.png",
            width=32,
            height=32,
            sha256=sha256_of(image),
            model="excess_green",
            uncertainty=0.0,
            edge_occupancy=0.0,
            inference_time_ms=1.0,
        )
        run.append_manifest(entry)
        frames.append(PulledFrame(number, record_id, f"{record_id}.png", 32, 32, entry.sha256, 1, 1, None))
    pull(run, 5, tuple(frames), value=2)
    write_json(
        run.path("dataset", "classes.json"),
        {"classes": [{"id": 0, "name": "background"}, {"id": 2, "name": "weed"}, {"id": 7, "name": "crop"}]},
    )
    return run


def pull(run: Run, task_id: int, frames: tuple[PulledFrame, ...], value: int) -> None:
    folder = new_folder(run, task_id, "t")
    (folder / "masks").mkdir(parents=True)
    listed = []
    for frame in frames:
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[:16] = value
        save_png(mask, folder / "masks" / f"{frame.record_id}.png")
        listed.append(PulledFrame(**{**vars(frame), "mask": f"masks/{frame.record_id}.png"}))
    write_frame_map(PulledTask(task_id, "t", "http://cvat.test/tasks/5", folder, tuple(listed)))


def values(run: Run) -> list[set[int]]:
    paths = sorted(run.path("dataset", "masks").rglob("*.png"))
    return [set(np.unique(load_mask(path)).tolist()) for path in paths]


def test_any_label_is_a_plant(run: Run) -> None:
    result = preprocess(Call(overrides=SMALL))
    assert (result.pairs, result.tasks, result.exit_code) == (3, (5,), 0)
    assert result.classes == ("background", "plant")
    assert result.train_samples + result.val_samples + result.test_samples >= 3
    found = values(run)
    assert len(found) == 3
    assert all(len(each) == 2 and 0 in each for each in found)


def test_labels_are_classes(run: Run) -> None:
    result = preprocess(Call(overrides=(*SMALL, "preprocess.classes=labels")))
    assert result.classes == ("background", "weed", "crop")


def test_labels_need_a_table_of_labels(run: Run) -> None:
    run.path("dataset", "classes.json").unlink()
    for stage in (preprocess, train):
        with pytest.raises(ConfigError, match=r"has no dataset/classes\.json with labels") as caught:
            stage(Call(overrides=(*SMALL, "preprocess.classes=labels")))
        assert "download-cvat" in caught.value.next_step
        assert "preprocess.classes=binary" in caught.value.next_step
    write_json(run.path("dataset", "classes.json"), {"classes": [{"id": 0, "name": "background"}]})
    with pytest.raises(ConfigError, match="with labels"):
        preprocess(Call(overrides=(*SMALL, "preprocess.classes=labels"), dry_run=True))


def test_predicted_class_ids_that_the_table_does_not_know(run: Run) -> None:
    words = (*SMALL, "preprocess.source.type=inference_results", "preprocess.classes=labels")
    with pytest.raises(DataError, match=r"class ids 9 that are not among") as caught:
        preprocess(Call(overrides=words))
    assert "download-cvat" not in str(caught.value)
    assert "dataset/classes.json" in caught.value.next_step


def test_the_same_again_leaves_the_files_alone(run: Run) -> None:
    first = preprocess(Call(overrides=SMALL))
    stamps = {p: p.stat().st_mtime_ns for p in run.path("dataset", "images").rglob("*.png")}
    assert stamps
    again = preprocess(Call(overrides=SMALL))
    assert again.fingerprint == first.fingerprint
    assert {p: p.stat().st_mtime_ns for p in run.path("dataset", "images").rglob("*.png")} == stamps


def test_the_newest_task_of_a_record_counts(run: Run) -> None:
    sha = sha256_of(run.path("images", "r0.png"))
    pull(run, 6, (PulledFrame(0, "r0", "r0.png", 32, 32, sha, 2, 0, None),), value=0)
    assert preprocess(Call(overrides=SMALL)).pairs == 3
    assert sorted(map(len, values(run))) == [1, 2, 2]
    only = preprocess(Call(overrides=(*SMALL, "preprocess.source.tasks=[6]")))
    assert (only.pairs, only.tasks) == (1, (6,))


def test_a_picture_that_was_changed_is_not_taken(run: Run) -> None:
    save_png(np.zeros((32, 32, 3), dtype=np.uint8), run.path("images", "r1.png"))
    result = preprocess(Call(overrides=SMALL))
    assert (result.pairs, result.exit_code) == (2, 1)
    assert [(item.record_id, item.outcome) for item in result.items] == [("r1", "failed")]


def test_predictions_themselves_can_be_the_truth(run: Run) -> None:
    result = preprocess(Call(overrides=(*SMALL, "preprocess.source.type=inference_results")))
    assert (result.pairs, result.tasks) == (3, ())
    assert all(len(each) == 1 for each in values(run))


def test_two_folders(run: Run, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for path in run.path(name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "masks" / "r2.png").unlink()
    words = (
        "type=custom",
        f"custom_images_dir={tmp_path / 'images'}",
        f"custom_masks_dir={tmp_path / 'masks'}",
    )
    result = preprocess(Call(overrides=(*SMALL, *(f"preprocess.source.{word}" for word in words))))
    assert result.pairs == 2
    assert [item.record_id for item in result.items] == ["r2"]


def test_a_dry_run_counts_and_writes_nothing(run: Run) -> None:
    before = sorted(path for path in run.root.rglob("*"))
    result = preprocess(Call(overrides=SMALL, dry_run=True))
    assert (result.pairs, result.dry_run) == (3, True)
    assert train(Call(overrides=SMALL, dry_run=True)).dry_run
    assert sorted(path for path in run.root.rglob("*")) == before


def passes(run: Run) -> list[int]:
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    earlier = metrics["history"].get("preprocess", [])
    return [*(each["pass"] for each in earlier), metrics["preprocess"]["pass"]]


def tiles(root: Path) -> dict[str, int]:
    return {f"{p.parent.name}/{p.name}": p.stat().st_ino for p in sorted(root.glob("*/*.png"))}


def test_the_same_again_is_the_same_pass(run: Run) -> None:
    for _ in range(2):
        preprocess(Call(overrides=SMALL))
    assert passes(run) == [1]
    assert not run.path("history").exists()


def test_a_lost_tile_is_cut_again_in_the_same_pass(run: Run) -> None:
    preprocess(Call(overrides=SMALL))
    before = tiles(run.path("dataset"))
    next(run.path("dataset", "images").iterdir()).unlink()
    preprocess(Call(overrides=SMALL))
    assert set(tiles(run.path("dataset"))) == set(before)
    assert passes(run) == [1]


def test_another_pull_makes_a_new_data_set_of_the_tiles_that_are_there(run: Run) -> None:
    first = preprocess(Call(overrides=SMALL))
    before, masks = tiles(run.path("dataset")), values(run)
    sha = sha256_of(run.path("images", "r0.png"))
    pull(run, 6, (PulledFrame(0, "r0", "r0.png", 32, 32, sha, 2, 0, None),), value=0)
    second = preprocess(Call(overrides=SMALL))
    assert second.fingerprint != first.fingerprint
    assert passes(run) == [1, 2]
    earlier = run.path("history", "preprocess", "1", "dataset")
    assert open_dataset(earlier).fingerprint == first.fingerprint
    assert tiles(earlier) == before
    now = tiles(run.path("dataset"))
    assert set(now) == set(before)
    assert {name for name in now if now[name] != before[name]} == {
        name for name in before if name.split("/")[1].startswith("r0")
    }
    assert masks != values(run)
    kept = [set(np.unique(load_mask(path)).tolist()) for path in sorted((earlier / "masks").iterdir())]
    assert kept == masks


def test_other_settings_make_a_new_data_set(run: Run) -> None:
    first = preprocess(Call(overrides=SMALL))
    before = tiles(run.path("dataset"))
    preprocess(Call(overrides=(*SMALL, "preprocess.classes=labels")))
    preprocess(Call(overrides=("preprocess.size={height: 64, width: 64}",)))
    assert passes(run) == [1, 2, 3]
    assert tiles(run.path("history", "preprocess", "1", "dataset")) == before
    found = [open_dataset(run.path("history", "preprocess", n, "dataset")) for n in ("1", "2")]
    assert [dataset.fingerprint == first.fingerprint for dataset in found] == [True, False]
    assert [len(dataset.classes) for dataset in found] == [2, 3]
    assert json.loads(run.path("dataset", "classes.json").read_text())["classes"][1]["name"] == "weed"


def test_where_files_cannot_be_linked_all_tiles_are_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocess(Call(overrides=SMALL))

    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    result = preprocess(Call(overrides=(*SMALL, "preprocess.split.seed=5")))
    assert result.pairs == len(values(run)) == 3


def test_a_new_data_set_that_is_killed_is_continued(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocess(Call(overrides=SMALL))
    words = (*SMALL, "preprocess.split.seed=5")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("agir_cvtoolkit.stages.preprocess.prepare", killed)
        with pytest.raises(KeyboardInterrupt):
            preprocess(Call(overrides=words))
    with pytest.raises(DataError, match="unfinished"):
        open_dataset(run.path("dataset"))
    assert not run.is_done("preprocess")
    result = preprocess(Call(overrides=words))
    assert passes(run) == [1, 2]
    assert open_dataset(run.path("dataset")).fingerprint == result.fingerprint


def test_metrics_say_what_was_made(run: Run) -> None:
    result = preprocess(Call(overrides=SMALL))
    stage = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))["preprocess"]
    assert stage["pairs"] == 3
    assert stage["train_samples"] == result.train_samples
    assert run.path("cfg.preprocess.yaml").is_file()


def test_nothing_came_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    start_run(Path("outputs/runs"))
    for stage in (preprocess, train):
        with pytest.raises(NoRunError, match="download-cvat"):
            stage(Call())


@pytest.mark.parametrize(
    ("state", "stage", "count"),
    [
        ("new", "annotation", 3),
        ("in progress", "annotation", 3),
        ("rejected", "validation", 3),
        ("completed", "annotation", 0),
        ("new", "acceptance", 0),
    ],
)
def test_pictures_of_jobs_that_nobody_has_completed_are_said(
    run: Run, caplog: pytest.LogCaptureFixture, state: str, stage: str, count: int
) -> None:
    with Ledger.open(None, run.root.parent) as ledger:
        ledger.record_pull(
            Pull("http://cvat.test", run.run_id, 5, 1, "2026-01-01", state, stage, 3, 3, "x"), {}
        )
    result = preprocess(Call(overrides=SMALL))
    assert result.unfinished_pictures == count
    assert run.read_metrics("preprocess")["unfinished_pictures"] == count
    assert ("3 of 3 pictures come from jobs that are not completed" in caplog.text) == bool(count)
