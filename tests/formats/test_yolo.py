from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.formats.yolo_reader import read_yolo
from agir_cvtoolkit.formats.yolo_writer import mirrored_by_name, write_yolo
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.shapes import Polygon, Rectangle, Skeleton

from .sets import JOINTS, SIZE, bitmap_of, bitmaps, dog, mask, pictured, ring_with_hole, writing

SQUARE = ((2.0, 3.0), (10.0, 3.0), (10.0, 9.0), (2.0, 9.0))


@settings(max_examples=25, deadline=None)
@given(bitmap=bitmaps)
def test_masks_with_holes_and_parts_are_one_line_each_and_come_back_bit_for_bit(
    bitmap: NDArray[np.bool_],
) -> None:
    if not bitmap.any():
        return
    size = (bitmap.shape[1], bitmap.shape[0])
    with tempfile.TemporaryDirectory() as name:
        out = writing(Path(name) / "out")
        write_yolo(pictured(Path(name) / "pictures", [mask(bitmap)], size=size), out, "seg")
        (line,) = (out.folder / "labels/train/p0.txt").read_text().splitlines()
        assert line.startswith("1 ")
        (picture,) = read_yolo(out.folder, None, "seg").labelled
        (shape,) = picture.shapes
        assert (bitmap_of(shape, size) == bitmap).all()


def test_segments_are_written_as_the_tools_want_them(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    write_yolo(
        pictured(tmp_path / "pictures", [Polygon(label="crop", points=SQUARE), *dog()], []), out, "seg"
    )
    assert (out.folder / "labels/train/p0.txt").read_text() == (
        "0 0.125 0.25 0.625 0.25 0.625 0.75 0.125 0.75\n"
    )
    assert (out.folder / "labels/train/p1.txt").read_text() == ""
    assert (out.folder / "images/train/p1.png").is_file()
    described = yaml.safe_load((out.folder / "data.yaml").read_text())
    assert described == {
        "train": "images/train",
        "val": "images/train",
        "names": {0: "crop", 1: "weed", 2: "dog"},
    }
    assert out.losses.counts == {"skeletons": 1}


def test_poses_follow_the_rules_of_the_tools(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    write_yolo(pictured(tmp_path / "pictures", dog(box=True)), out, "pose")
    words = (out.folder / "labels/train/p0.txt").read_text().split()
    assert [float(word) for word in words] == pytest.approx(
        [0, 5 / 16, 4.5 / 12, 8 / 16, 7 / 12, 3.5 / 16, 4.25 / 12, 2, 6 / 16, 2 / 12, 1, 0, 0, 0]
    )
    described = yaml.safe_load((out.folder / "data.yaml").read_text())
    assert described["kpt_shape"] == [3, 3]
    assert described["flip_idx"] == [0, 2, 1]
    assert described["kpt_names"] == {0: list(JOINTS)}
    assert described["names"] == {0: "dog"}
    (picture,) = read_yolo(out.folder / "data.yaml", None, "pose").labelled
    skeleton, box = picture.shapes
    assert isinstance(skeleton, Skeleton)
    nose, left, right = skeleton.elements
    assert nose.points[0] == pytest.approx((3.5, 4.25))
    assert (left.occluded, right.outside) == (True, True)
    assert isinstance(box, Rectangle)
    assert np.asarray(box.points) == pytest.approx(np.array([[1.0, 1.0], [9.0, 8.0]]))
    assert (box.group, picture.split) == (skeleton.group, "train")


def test_boxes_of_shapes(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    outside = Polygon(label="crop", points=((-4.0, -3.0), (8.0, -3.0), (8.0, 6.0)))
    write_yolo(pictured(tmp_path / "pictures", [mask(ring_with_hole()), outside]), out, "boxes")
    first, second = (out.folder / "labels/train/p0.txt").read_text().splitlines()
    assert [float(w) for w in first.split()] == pytest.approx([1, 8.5 / 16, 6.5 / 12, 13 / 16, 9 / 12])
    assert second == "0 0.25 0.25 0.5 0.5"
    (picture,) = read_yolo(out.folder, None, "boxes").labelled
    assert [shape.kind for shape in picture.shapes] == ["rectangle", "rectangle"]


def accepted(folder: Path, task: str) -> dict[str, Any]:
    """Read a data set by the rules that Ultralytics documents and checks; return its lines by picture.

    https://docs.ultralytics.com/datasets/detect/, /segment/ and /pose/: paths of data.yaml start where it lies; the
    labels of a picture are found by the last ``/images/`` of its path; all numbers are shares, classes are below the
    number of names; no line is there twice; five columns are a box, more are a polygon of three points at least, of a
    pose as many as kpt_shape says.
    """
    described = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    names = described["names"]
    assert sorted(names) == list(range(len(names)))
    joints = described.get("kpt_shape")
    if task == "pose":
        assert len(described["flip_idx"]) == joints[0]
        assert sorted(described["flip_idx"]) == list(range(joints[0]))
    found: dict[str, Any] = {}
    for split in ("train", "val"):
        for picture in sorted((folder / described[split]).rglob("*.*")):
            assert picture.suffix.lower()[1:] in {"bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"}
            text = Path("/labels/".join(str(picture).rsplit("/images/", 1))).with_suffix(".txt")
            lines = [[float(word) for word in line.split()] for line in text.read_text().splitlines()]
            assert len({tuple(line) for line in lines}) == len(lines)
            for line in lines:
                assert line[0] in names
                if task == "pose":
                    assert len(line) == 5 + joints[0] * joints[1]
                    assert all(seen in {0, 1, 2} for seen in line[7::3])
                    line = [*line[:5], *(v for i in range(joints[0]) for v in line[5 + 3 * i : 7 + 3 * i])]  # noqa: PLW2901
                elif task == "seg":
                    assert len(line) >= 7
                    assert len(line) % 2 == 1
                else:
                    assert len(line) == 5
                assert all(0 <= value <= 1 for value in line[1:])
            found[str(picture.relative_to(folder / "images"))] = lines
    return found


@pytest.mark.parametrize("task", ["boxes", "seg", "pose"])
def test_what_is_written_follows_the_documented_rules(tmp_path: Path, task: Any) -> None:
    over = Polygon(label="crop", points=((-4.0, -3.0), (18.0, -3.0), (8.0, 14.0)))
    shapes = [mask(ring_with_hole()), over, Rectangle(label="weed", points=((1.0, 1.0), (4.0, 5.0))), *dog()]
    out = writing(tmp_path / "out")
    write_yolo(pictured(tmp_path / "pictures", shapes, [], [*shapes, *shapes, *dog(box=True)]), out, task)
    found = accepted(out.folder, task)
    assert list(found) == ["train/p0.png", "train/p1.png", "train/p2.png"]
    assert [len(lines) for lines in found.values()] == ([1, 0, 2] if task == "pose" else [3, 0, 4])


def test_a_folder_called_images_does_not_part_pictures_from_their_labels(tmp_path: Path) -> None:
    labelled = pictured(tmp_path / "pictures", [mask(ring_with_hole())])
    (first,) = labelled
    moved = replace(labelled, pictures=lambda: iter([replace(first, file_name="field/images/p0.png")]))
    out = writing(tmp_path / "out")
    write_yolo(moved, out, "seg")
    assert [len(lines) for lines in accepted(out.folder, "seg").values()] == [1]
    (back,) = read_yolo(out.folder, None, "seg").labelled
    assert len(back.shapes) == 1


def test_several_numbers_of_joints_and_none_are_refused(tmp_path: Path) -> None:
    labelled = pictured(tmp_path / "pictures", [])
    with pytest.raises(UsageError, match="no skeleton"):
        write_yolo(
            type(labelled)("t", labelled.labels[:2], 0, lambda: iter(())), writing(tmp_path / "a"), "pose"
        )


def test_the_other_side_is_told_by_names() -> None:
    assert mirrored_by_name(("left_eye", "nose", "right_eye", "tail_left")) == (2, 1, 0, 3)


LINES = [
    "5 0.1 0.1 0.2 0.1 0.2 0.2",
    "-1 0.1 0.1 0.2 0.1 0.2 0.2",
    "0.5 0.1 0.1 0.2 0.1 0.2 0.2",
    "0 0.1 0.1",
    "0 0.1 0.1 1.5 0.1 0.2 0.2",
    "0 nan 0.1 0.2 0.1 0.2 0.2",
    "0 inf 0.1 0.2 0.1 0.2 0.2",
    "0 a b c",
    "weed 0.1 0.1 0.2 0.1 0.2 0.2",
    "0 0.1 0.1 0.2 0.1 0.2 0.2 7",
    "0 0.5 0.5 0 0.2",
]


@pytest.mark.parametrize("line", LINES)
def test_a_bad_line_is_listed_and_the_others_are_taken(tmp_path: Path, line: str) -> None:
    _dataset(tmp_path, {"names": ["weed"]}, f"{line}\n0 0.1 0.1 0.2 0.1 0.2 0.2\n0 0 0 1 0 1 1 0.5\n")
    incoming = read_yolo(tmp_path, None, "seg")
    (picture,) = incoming.labelled
    assert [shape.confidence for shape in picture.shapes] == [None, 0.5]
    (item,) = incoming.problems.items
    assert "line 1 of p0.txt" in item.reason


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.2 0.2 0.1 0.1", "0 .5 .5 .2 .2 .1 .1 3 .1 .1 2", "0 .5 .5 .2 .2 0 0 0 0 0 0"]
)
def test_a_bad_pose_is_listed(tmp_path: Path, line: str) -> None:
    _dataset(tmp_path, {"names": ["dog"], "kpt_shape": [2, 3]}, line)
    incoming = read_yolo(tmp_path, None, "pose")
    assert list(incoming.labelled) == []
    assert len(incoming.problems.items) == 1


def test_a_class_number_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    _dataset(tmp_path, {}, "")
    (tmp_path / "data.yaml").write_text("names:\n  0: crop\n  0: weed\n")
    with pytest.raises(DataError, match="'0' is there twice in line 2"):
        read_yolo(tmp_path, None, "seg")


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"names": {1: "a"}},
        {"names": ["a", "a"]},
        {"names": [["a"]]},
        {"names": "weed"},
        {"names": ["dog"], "kpt_shape": [0, 3]},
        {"names": ["dog"], "kpt_shape": [10**9, 3]},
        {"names": ["dog"]},
    ],
)
def test_a_description_that_cannot_be_used_is_refused(tmp_path: Path, described: dict[str, Any]) -> None:
    _dataset(tmp_path, described, "")
    with pytest.raises(DataError):
        read_yolo(tmp_path, None, "pose")


def test_what_lacks_its_other_half_is_listed(tmp_path: Path) -> None:
    _dataset(tmp_path, {"names": ["weed"]}, "")
    (tmp_path / "labels/train/lost.txt").write_text("0 0 0 1 0 1 1")
    (tmp_path / "images/train/damaged.png").write_bytes(b"no picture")
    incoming = read_yolo(tmp_path, None, "seg")
    assert [picture.record_id for picture in incoming.labelled] == ["p0"]
    assert sorted(item.record_id for item in incoming.problems.items) == ["damaged", "lost"]


def _dataset(folder: Path, described: dict[str, Any], text: str) -> None:
    for name in ("images/train", "labels/train"):
        (folder / name).mkdir(parents=True)
    save_png(np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8), folder / "images/train/p0.png")
    (folder / "labels/train/p0.txt").write_text(text)
    (folder / "data.yaml").write_text(yaml.safe_dump(described))
