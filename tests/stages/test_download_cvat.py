"""What a pull leaves in a run: masks of class ids, one table of classes, frame maps, originals."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import JobAnnotations
from agir_cvtoolkit.errors import DataError, MaskError
from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.outlines import ellipse_pixels
from agir_cvtoolkit.pictures import load_mask, save_png, sha256_of
from agir_cvtoolkit.plain_shapes import tag_from_plain, track_from_plain
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.shapes import Ellipse, Keyframe, Mask, Polygon, Rectangle, Tag, Track
from agir_cvtoolkit.stages._classes import class_table, extend_classes, ids_by_label, read_classes
from agir_cvtoolkit.stages._originals import Originals
from agir_cvtoolkit.stages._pull_files import shapes_on, write_annotations, write_mask
from agir_cvtoolkit.stages._pulled import (
    PulledFrame,
    PulledTask,
    new_folder,
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
    task = PulledTask(5, "x", "http://cvat.test/tasks/5", new_folder(run, 5, "x"), (frame(),))
    write_frame_map(task)
    assert read_frame_maps(run) == [task]
    assert read_frame_maps(run, [6]) == []


def test_the_name_of_a_task_cannot_lead_out_of_the_run(run: Run) -> None:
    folder = new_folder(run, 5, "../../x/y")
    assert folder.parent == run.path("cvat_downloads")


def test_a_picture_of_the_server_lies_under_a_plain_name() -> None:
    name = frame("../b/c", "../b/c.jpg").picture_name
    assert "/" not in name
    assert name.endswith(".jpg")
    assert frame("a", "a").picture_name == "a"
    for strange in ("a." + "x" * 1000, "a.\0", "a.j\\..\\pg"):
        assert frame("a", strange).picture_name == "a.img"


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
    assert Originals(run).find("a[1]", sha256_of(new), folder) == new
    assert Originals(run).find("a[1]", sha256_of(old), folder) == old
    assert Originals(run).find("a[1]", sha256_of(fetched), folder) == fetched
    assert Originals(run).find("a[1]", "0" * 64, folder) is None
    assert Originals(run).find("a[1]", None, folder) == fetched
    assert Originals(run).find("a[1]", None, run.path("cvat_downloads", "6_y")) is None


def test_a_source_with_the_pushed_content_serves_as_original(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "field" / "x.png"
    source.parent.mkdir()
    save_png(np.full((4, 8, 3), 7, dtype=np.uint8), source)
    folder = run.path("cvat_downloads", "5_x")
    right = sha256_of(source)
    assert Originals(run).find("a", right, folder, str(source)) == source
    assert Originals(run).find("a", "0" * 64, folder, str(source)) is None
    # Without a hash nobody knows whether it is the picture that people saw.
    assert Originals(run).find("a", None, folder, str(source)) is None
    source.unlink()
    assert Originals(run).find("a", right, folder, str(source)) is None


@given(
    centre=st.tuples(st.floats(-5, 35), st.floats(-5, 25)),
    radii=st.tuples(st.floats(0, 20), st.floats(0, 20)),
    rotation=st.floats(0, 360),
)
@settings(max_examples=60, deadline=None)
def test_a_pixel_belongs_to_an_ellipse_when_its_centre_does(
    centre: tuple[float, float], radii: tuple[float, float], rotation: float
) -> None:
    (cx, cy), (rx, ry) = centre, radii
    shape = Ellipse(label="weed", points=((cx, cy), (cx + rx, cy - ry)), rotation=rotation)
    rx, ry = shape.radii
    (left, top), part = ellipse_pixels(shape, (30, 20))
    drawn = np.zeros((20, 30), dtype=bool)
    drawn[top : top + part.shape[0], left : left + part.shape[1]] = part
    turn = math.radians(rotation)
    for y in range(20):
        for x in range(30):
            dx, dy = x + 0.5 - cx, y + 0.5 - cy
            along = dx * math.cos(turn) + dy * math.sin(turn)
            across = dy * math.cos(turn) - dx * math.sin(turn)
            value = (along * ry) ** 2 + (across * rx) ** 2 - (rx * ry) ** 2
            inside = value <= 0 and rx > 0 and ry > 0
            assert bool(drawn[y, x]) == inside or abs(value) < 1e-6


def test_an_upright_ellipse_has_the_expected_pixels(tmp_path: Path) -> None:
    shape = Ellipse(label="weed", points=((4.0, 2.0), (7.0, 0.0)))
    relative = write_mask(tmp_path, "a", [shape], (8, 4), {"weed": 2})
    assert relative is not None
    rows = ["".join(".#"[int(value > 0)] for value in row) for row in load_mask(tmp_path / relative)]
    assert rows == ["..####..", ".######.", ".######.", "..####.."]


def test_an_ellipse_far_away_or_nowhere_harms_nothing(tmp_path: Path) -> None:
    far = Ellipse(label="weed", points=((1e12, -1e12), (1e12 + 5, -1e12 - 5)))
    assert not load_mask(tmp_path / str(write_mask(tmp_path, "a", [far], (8, 4), {"weed": 2}))).any()
    huge = Ellipse(label="weed", points=((4.0, 2.0), (1e9, -1e9)))
    assert load_mask(tmp_path / str(write_mask(tmp_path, "a", [huge], (8, 4), {"weed": 2}))).all()
    nowhere = Ellipse(label="weed", points=((float("nan"), 0.0), (1.0, 1.0)))
    with pytest.raises(MaskError, match="no place"):
        write_mask(tmp_path, "a", [nowhere], (8, 4), {"weed": 2})


def test_tags_and_tracks_are_kept_and_a_track_is_seen_where_it_is(tmp_path: Path) -> None:
    square = ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0))
    there = Polygon(label="weed", points=square, source="manual")
    track = Track(
        label="weed", keyframes=(Keyframe(frame=1, shape=there), Keyframe(frame=3, shape=there, outside=True))
    )
    mask = mask_of("crop", 0, 1)
    found = JobAnnotations(7, {0: (mask,)}, {0: (Tag(label="blurred"),)}, (), (track,))
    assert [len(shapes_on(found, number, ())) for number in range(4)] == [1, 1, 1, 0]
    assert shapes_on(found, 2, {1}) == ()
    write_annotations(tmp_path, found)
    content = json.loads((tmp_path / "annotations" / "job_7.json").read_text(encoding="utf-8"))
    assert set(content) == {"0", "tags", "tracks"}
    assert [tag_from_plain(tag).label for tag in content["tags"]["0"]] == ["blurred"]
    assert track_from_plain(content["tracks"][0]).keyframes == track.keyframes
    write_annotations(tmp_path, JobAnnotations(7, {0: (mask,)}))
    content = json.loads((tmp_path / "annotations" / "job_7.json").read_text(encoding="utf-8"))
    assert set(content) == {"0"}
