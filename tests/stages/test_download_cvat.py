"""What a pull leaves in a run: masks of class ids, one table of classes, frame maps, originals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.errors import DataError, MaskError
from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.pictures import load_mask, save_png, sha256_of
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.shapes import Mask, Polygon, Rectangle
from agir_cvtoolkit.stages._classes import class_table, extend_classes, ids_by_label, read_classes
from agir_cvtoolkit.stages._originals import find_original
from agir_cvtoolkit.stages._pull_files import write_mask
from agir_cvtoolkit.stages._pulled import (
    PulledFrame,
    PulledTask,
    folder_of,
    read_frame_maps,
    write_frame_map,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run("run", tmp_path / "run")


def mask_of(label: str, left: int, right: int, z_order: int = 0) -> Mask:
    array = np.zeros((4, 8), dtype=bool)
    array[:, left:right] = True
    runs = encode(array)
    assert runs is not None
    return Mask(label=label, runs=runs.lengths, box=runs.box, z_order=z_order)


def drawn(folder: Path, *shapes: Mask | Polygon | Rectangle) -> list[int] | None:
    relative = write_mask(folder, "a", shapes, (8, 4), {"crop": 1, "weed": 2})
    if relative is None:
        return None
    mask = load_mask(folder / relative, (8, 4))
    assert (mask == mask[0]).all()
    return [int(value) for value in mask[0]]


def test_shapes_are_drawn_by_z_order_and_later_ones_on_top(tmp_path: Path) -> None:
    assert drawn(tmp_path) == [0] * 8
    assert drawn(tmp_path, mask_of("crop", 0, 4), mask_of("weed", 2, 6)) == [1, 1, 2, 2, 2, 2, 0, 0]
    assert drawn(tmp_path, mask_of("crop", 0, 4, 1), mask_of("weed", 2, 6)) == [1, 1, 1, 1, 2, 2, 0, 0]
    polygon = Polygon(label="weed", points=((5.0, 0.0), (8.0, 0.0), (8.0, 4.0), (5.0, 4.0)))
    assert drawn(tmp_path, polygon, mask_of("crop", 0, 1)) == [1, 0, 0, 0, 0, 2, 2, 2]


def test_boxes_alone_give_no_mask(tmp_path: Path) -> None:
    box = Rectangle(label="weed", points=((0.0, 0.0), (2.0, 2.0)))
    assert drawn(tmp_path, box) is None
    assert drawn(tmp_path, box, mask_of("crop", 0, 1)) == [1, 0, 0, 0, 0, 0, 0, 0]


def test_runs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    short = Mask(label="crop", runs=np.array([0, 5], dtype=np.int32), box=(0, 0, 7, 3))
    outside = Mask(label="crop", runs=np.array([0, 40], dtype=np.int32), box=(0, 0, 9, 3))
    for shape in (short, outside):
        with pytest.raises(MaskError):
            drawn(tmp_path, shape)
    with pytest.raises(MaskError, match="no class id"):
        drawn(tmp_path, mask_of("stone", 0, 1))


def test_a_single_label_is_255_and_values_once_given_stay(run: Run) -> None:
    assert extend_classes(run, ["weed"], {}) == {"weed": 255}
    assert extend_classes(run, ["crop", "weed"], {}) == {"weed": 255, "crop": 1}
    assert extend_classes(run, ["stone"], {"stone": {1}}) == {"weed": 255, "crop": 1, "stone": 2}
    assert read_classes(class_table(run)) == {"weed": 255, "crop": 1, "stone": 2}


def test_ids_of_the_records_are_taken_where_they_agree(run: Run) -> None:
    known = ids_by_label([("crop", 7), ("crop", 7), ("weed", 3), ("weed", 4), ("weed", 255)])
    assert known == {"crop": {7}, "weed": {3, 4}}
    assert extend_classes(run, ["weed", "crop"], known) == {"crop": 7, "weed": 1}


@pytest.mark.parametrize(
    "classes",
    [
        [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}],
        [{"id": 300, "name": "a"}],
        [{"id": "x", "name": "a"}],
        [{"name": "a"}],
    ],
)
def test_a_damaged_table_is_named(run: Run, classes: object) -> None:
    class_table(run).parent.mkdir()
    class_table(run).write_text(json.dumps({"classes": classes}), encoding="utf-8")
    with pytest.raises(DataError, match=r"classes\.json"):
        read_classes(class_table(run))


def frame(record_id: str = "a", file_name: str = "a.png", sha256: str | None = None) -> PulledFrame:
    return PulledFrame(0, record_id, file_name, 8, 4, sha256, 11, 1, None)


def test_a_frame_map_comes_back_as_it_was(run: Run) -> None:
    task = PulledTask(5, "x", "http://cvat.test/tasks/5", folder_of(run, 5, "x"), (frame(),))
    write_frame_map(task)
    assert read_frame_maps(run) == [task]
    assert read_frame_maps(run, [6]) == []
    assert folder_of(run, 5, "renamed") == task.folder


def test_the_name_of_a_task_cannot_lead_out_of_the_run(run: Run) -> None:
    folder = folder_of(run, 5, "../../x/y")
    assert folder.parent == run.path("cvat_downloads")


def test_a_picture_of_the_server_lies_under_a_plain_name() -> None:
    name = frame("../b/c", "../b/c.jpg").picture_name
    assert "/" not in name
    assert name.endswith(".jpg")


def test_originals_are_found_by_their_content(run: Run) -> None:
    def picture(place: str, value: int) -> Path:
        path = run.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(np.full((4, 8, 3), value, dtype=np.uint8), path)
        return path

    new, old = picture("images/a[1].png", 1), picture("history/infer-seg/1/images/a[1].png", 2)
    picture("images/a1.png", 2)
    fetched = picture("cvat_downloads/5_x/images/a[1].png", 3)
    folder = fetched.parents[1]
    assert find_original(run, "a[1]", sha256_of(new), folder) == new
    assert find_original(run, "a[1]", sha256_of(old), folder) == old
    assert find_original(run, "a[1]", sha256_of(fetched), folder) == fetched
    assert find_original(run, "a[1]", "0" * 64, folder) is None
    assert find_original(run, "a[1]", None, folder) == fetched
    assert find_original(run, "a[1]", None, run.path("cvat_downloads", "6_y")) is None
