"""Data sets over the life of a workspace: several runs, the frozen test set, versions and what differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import AgirError, ConfigError, DataError, NoRunError, UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import load_mask, save_png, sha256_of
from agir_cvtoolkit.records import FieldValue, ManifestEntry
from agir_cvtoolkit.runs import Run, start_run, write_json
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._pulled import PulledFrame, PulledTask, new_folder, write_frame_map
from agir_cvtoolkit.stages.datasets import dataset_diff, dataset_list, dataset_show
from agir_cvtoolkit.stages.preprocess import preprocess
from agir_cvtoolkit.training.dataset import SPLITS, open_dataset


def call(run: str | None = None, split: Mapping[str, Any] | None = None, **preprocess: Any) -> Call:
    """A call with settings that need not be composed."""
    made = Call(run=run)
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    group = {"size": {"height": 32, "width": 32}, "split": shares | dict(split or {}), **preprocess}
    made._composed.append(Settings.model_validate({"preprocess": group}))
    return made


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_run(
    name: str,
    numbers: range,
    task_id: int = 5,
    value: int = 2,
    columns: Callable[[int], Mapping[str, FieldValue]] = lambda _: {},
    stem: str = "r",
) -> Run:
    """A run with pictures, each of its own noise, and a task with their masks."""
    run = start_run(Path("outputs/runs"), name)
    folder = new_folder(run, task_id, "t")
    for place in (run.path("images"), folder / "masks"):
        place.mkdir(parents=True, exist_ok=True)
    frames = []
    for frame, number in enumerate(numbers):
        record_id = f"{stem}{number}"
        image, mask = run.path("images", f"{record_id}.png"), folder / "masks" / f"{record_id}.png"
        save_png(np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8), image)
        save_png(np.repeat(np.array([[0] * 32, [value] * 32], np.uint8), 16, axis=0), mask)
        entry = ManifestEntry(
            record_id=record_id,
            common_name="barley",
            image_path=f"images/{record_id}.png",
            mask_path=None,
            width=32,
            height=32,
            sha256=sha256_of(image),
            model="excess_green",
            uncertainty=0.0,
            edge_occupancy=0.0,
            inference_time_ms=1.0,
            label_values=columns(number),
        )
        run.append_manifest(entry)
        shown = f"masks/{record_id}.png"
        frames.append(PulledFrame(frame, record_id, image.name, 32, 32, entry.sha256, 1, 1, shown))
    write_frame_map(PulledTask(task_id, "t", "http://cvat.test/tasks/5", folder, tuple(frames)))
    names = {2: "weed", 7: "crop"} if value == 2 else {value: "weed", 2: "crop"}
    listed = [{"id": 0, "name": "background"}, *({"id": i, "name": n} for i, n in names.items())]
    write_json(run.path("dataset", "classes.json"), {"classes": listed})
    return run


def made(run: Run, **preprocess_settings: Any) -> dict[str, str]:
    """Preprocess and return the side of each record."""
    preprocess(call(run.run_id, **preprocess_settings))
    dataset = open_dataset(run.path("dataset"))
    return {tile.rpartition("_x")[0]: side for side, tiles in dataset.splits.items() for tile in tiles}


def test_what_one_run_tests_on_no_other_run_learns_from() -> None:
    first = made(make_run("a", range(10)))
    tested = {record for record, side in first.items() if side == "test"}
    assert len(tested) == 2
    later = make_run("b", range(14), task_id=6)
    for seed in range(3):
        sides = made(later, split={"seed": seed})
        assert {record for record in tested if sides[record] == "test"} == tested
    assert sum(side == "test" for side in sides.values()) == 3


def test_a_near_duplicate_of_what_was_tested_on_is_not_learned_from() -> None:
    first = made(make_run("a", range(10)))
    tested = next(record for record, side in first.items() if side == "test")
    later = make_run("b", range(20, 26), task_id=6, stem="new")
    rgb = np.random.default_rng(int(tested[1:])).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    lighter = (rgb.astype(int) * 9 // 10 + 12).astype(np.uint8)
    entry = later.read_manifest()[0]
    save_png(lighter, later.inside(str(entry.image_path)))
    frame_map = next(later.root.glob("cvat_downloads/*/frame_map.json"))
    changed = sha256_of(later.inside(str(entry.image_path)))
    frame_map.write_text(frame_map.read_text().replace(str(entry.sha256), changed))
    assert made(later)[entry.record_id] == "test"


def test_added_pictures_change_no_side() -> None:
    first = made(make_run("a", range(10)))
    second = made(make_run("b", range(25), task_id=6))
    assert {record: second[record] for record in first} == first
    assert made(make_run("b", range(25), task_id=6), split={"seed": 9}) != second


def test_a_test_set_of_another_name_begins_anew() -> None:
    run = make_run("a", range(10))
    first = made(run)
    others = [made(run, split={"test_set": "second", "seed": seed}) for seed in (1, 2)]
    with Ledger.open(None, run.root.parent) as ledger:
        assert len(ledger.split_members("segmentation")) == len(ledger.split_members("second")) == 2
    tested = [{r for r, side in sides.items() if side == "test"} for sides in (first, *others)]
    assert tested[1] == tested[2] != tested[0]


def test_who_freezes_pictures_meanwhile_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("a", range(10))
    grow = Ledger.grow_split
    sha256 = str(run.read_manifest()[3].sha256)
    calls: list[str] = []

    def late(self: Ledger, name: str, draw: Callable[..., Mapping[str, str]]) -> dict[str, str]:
        if not calls:
            calls.append(name)
            grow(self, name, lambda _: {sha256: "test"})
        return grow(self, name, draw)

    monkeypatch.setattr(Ledger, "grow_split", late)
    assert made(run)["r3"] == "test"


def test_columns_that_are_named_stay_together() -> None:
    run = make_run("a", range(12), columns=lambda n: {"plant_id": n // 3})
    sides = made(run, split={"together": ["plant_id"]})
    for plant in range(4):
        assert len({sides[f"r{n}"] for n in range(3 * plant, 3 * plant + 3)}) == 1
    assert set(sides.values()) == {"train", "val", "test"}


def test_a_column_that_is_not_there_is_said() -> None:
    run = make_run("a", range(4), columns=lambda n: {"plant_id": n})
    with pytest.raises(ConfigError, match=r"split\.together: no record has a column 'plantid'") as caught:
        made(run, split={"together": ["plantid"]})
    assert "Did you mean 'plant_id'?" in caught.value.next_step


def test_sessions_stay_together_by_themselves() -> None:
    run = make_run("a", range(40), columns=lambda n: {"batch_id": f"NC_{n // 2}"})
    sides = made(run)
    assert all(sides[f"r{n}"] == sides[f"r{n + 1}"] for n in range(0, 40, 2))
    free = made(run, split={"together": [], "seed": 3})
    assert any(free[f"r{n}"] != free[f"r{n + 1}"] for n in range(0, 40, 2))


def test_sides_can_be_laid_down(workspace: Path) -> None:
    run = make_run("a", range(6))
    path = workspace / "sides.json"
    path.write_text(json.dumps({"test": ["r1", "r4"], "val": ["r0"], "train": ["r2"]}))
    sides = made(run, split={"listed": str(path)})
    assert [sides[f"r{n}"] for n in (0, 1, 2, 4)] == ["val", "test", "train", "test"]
    for content, words in (
        ({"tset": ["r1"]}, "knows no side 'tset'"),
        ({"test": ["r1"], "val": ["r1"]}, "names r1 twice"),
        ({"test": ["r77"]}, "names r77, which no picture"),
        ("[", "cannot be read"),
    ):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(DataError, match=words):
            made(run, split={"listed": str(path)})


def test_several_runs_are_learned_together_and_the_newest_mask_counts() -> None:
    make_run("old", range(6))
    run = make_run("new", range(4, 9), task_id=6, value=0)
    result = preprocess(call("new", source={"runs": ["old"]}))
    assert (result.pairs, result.tasks) == (9, (5, 6))
    values = {
        path.name.split("_")[0]: set(np.unique(load_mask(path)).tolist())
        for path in run.path("dataset", "masks").iterdir()
    }
    assert values["r0"] == {0, 255}
    assert values["r4"] == values["r8"] == {0}
    with pytest.raises(NoRunError, match="nowhere"):
        preprocess(call("new", source={"runs": ["nowhere"]}))


def test_one_name_for_two_pictures_of_two_runs_keeps_both() -> None:
    make_run("old", range(3))
    make_run("new", range(10, 13), task_id=6)
    run = Run("new", Path("outputs/runs/new").resolve())
    frame_map = next(run.root.glob("cvat_downloads/*/frame_map.json"))
    for text in (frame_map, run.manifest_path):
        text.write_text(text.read_text().replace('"r10"', '"r0"').replace("r10.png", "r0.png"))
    for path in (*run.root.glob("images/r10.png"), *run.root.glob("cvat_downloads/*/masks/r10.png")):
        path.rename(path.with_name("r0.png"))
    result = preprocess(call("new", source={"runs": ["old"]}))
    assert (result.pairs, result.exit_code) == (6, 0)
    (version,) = dataset_list(call()).versions
    with Ledger.open(None, run.root.parent) as ledger:
        assert {"r0", "new/r0"} <= {member.record_id for member in ledger.dataset_members(version.version)}


def test_labels_of_several_runs_are_joined_by_name() -> None:
    make_run("old", range(6), value=9)
    run = make_run("new", range(6, 9), task_id=6)
    result = preprocess(call("new", classes="labels", source={"runs": ["old"]}))
    assert result.classes == ("background", "weed", "crop")
    masks = run.path("dataset", "masks").iterdir()
    assert {value for path in masks for value in np.unique(load_mask(path)).tolist()} == {0, 2}


def test_versions_know_what_they_follow_and_what_differs() -> None:
    run = make_run("a", range(8))
    first = preprocess(call("a"))
    run = make_run("a", range(1, 10), task_id=6, value=0)
    second = preprocess(call("a", pad={"fill": 3}))
    preprocess(call("a", pad={"fill": 3}))
    assert [v.version for v in dataset_list(call()).versions] == [second.fingerprint, first.fingerprint]
    shown = dataset_show(None, call())
    assert shown.version.version == second.fingerprint
    assert shown.lineage == (first.fingerprint,)
    assert sum(shown.records.values()) == 10
    assert sum(shown.shares.values()) == pytest.approx(1.0)
    assert shown.place == run.path("dataset").resolve()
    earlier = run.path("history", "preprocess", "1", "dataset").resolve()
    assert dataset_show(first.fingerprint[:8], call()).place == earlier
    (earlier / "stats.json").unlink()
    assert dataset_show(first.fingerprint[:8], call()).place is None
    diff = dataset_diff(None, None, call())
    assert (diff.before, diff.after) == (first.fingerprint, second.fingerprint)
    assert diff.added == ("r8", "r9")
    assert diff.removed == ()
    assert diff.corrected == tuple(f"r{n}" for n in range(1, 8))
    assert diff.replaced == ()
    assert diff.moved == {}
    assert diff.settings == {"pad.fill": (0, 3)}
    back = dataset_diff(second.fingerprint, first.fingerprint, call())
    assert back.removed == ("r8", "r9")
    record = json.loads(run.path("dataset", SPLITS).read_text())
    assert record["apart"] == []


def test_versions_that_are_not_there_are_said() -> None:
    make_run("a", range(5))
    with pytest.raises(NoRunError, match="no data set"):
        dataset_show(None, call())
    result = preprocess(call())
    with pytest.raises(UsageError, match="is the first of its run"):
        dataset_diff(None, None, call())
    with pytest.raises(UsageError, match="no data set 'xyz'"):
        dataset_show("xyz", call())
    preprocess(call(pad={"fill": 3}))
    with pytest.raises(AgirError, match="several data sets begin with ''"):
        dataset_diff("", result.fingerprint, call())


def test_the_commands_show_versions() -> None:
    make_run("a", range(8))
    first = preprocess(call("a")).fingerprint
    second = preprocess(call("a", ignore_empty_data=True)).fingerprint

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, ["dataset", *words], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    lines = run("list").splitlines()
    assert {line.split()[0] for line in lines[1:]} == {first, second}
    assert f"follows {first}" in run("show")
    assert "50.00% of the training pixels are plant" in run("show")
    assert "preprocess.ignore_empty_data: False -> True" in run("diff", first, second)
    assert json.loads(run("diff", "--json"))["after"] == second
