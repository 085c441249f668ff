from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from agir_cvtoolkit.errors import DataError, MaskError
from agir_cvtoolkit.formats import areas
from agir_cvtoolkit.formats.coco_reader import read_coco
from agir_cvtoolkit.formats.coco_runs import packed, patch_of_runs, runs_of, unpacked
from agir_cvtoolkit.formats.coco_writer import write_coco
from agir_cvtoolkit.formats.reading import Incoming, PictureFinder
from agir_cvtoolkit.labelled import LabelledPicture
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton, Tag

from .sets import DOG, SIZE, bitmap_of, bitmaps, dog, mask, pictured, ring_with_hole, writing

TRIANGLE = ((1.0, 1.5), (9.25, 2.0), (4.0, 10.0))


@settings(max_examples=50, deadline=None)
@given(bitmaps)
def test_runs_are_those_of_the_coco_library(bitmap: NDArray[np.bool_]) -> None:
    height, width = bitmap.shape
    patch = areas._trimmed(0, 0, bitmap)
    theirs = coco_mask.encode(np.asfortranarray(bitmap.astype(np.uint8)))
    if patch is None:
        assert patch_of_runs(unpacked(theirs["counts"]), (width, height)) is None
        return
    assert packed(runs_of(patch, (width, height))) == theirs["counts"].decode()
    back = patch_of_runs(unpacked(theirs["counts"]), (width, height))
    assert back is not None
    assert (back.left, back.top) == (patch.left, patch.top)
    assert (back.pixels == patch.pixels).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=50))
def test_packed_runs_of_any_length_come_back(values: list[int]) -> None:
    assert unpacked(packed(np.array(values, dtype=np.int64))).tolist() == values


@pytest.mark.parametrize("text", ["", "é", "\x00", "zzz~", "o", "ooooooooooooooooooooo0"])
def test_foreign_packed_runs_are_refused(text: str) -> None:
    with pytest.raises(MaskError):
        unpacked(text)


@pytest.mark.parametrize("runs", [[], [5], [-1, 13], [3, 10**12], [[1, 2]], [4, 4, 5]])
def test_runs_that_do_not_fit_are_refused(runs: list[Any]) -> None:
    with pytest.raises(MaskError):
        patch_of_runs(np.asarray(runs), (4, 3))


@settings(max_examples=25, deadline=None)
@given(bitmap=bitmaps, as_rle=st.booleans())
def test_masks_are_bit_exact_there_and_back(bitmap: NDArray[np.bool_], as_rle: bool) -> None:
    if not bitmap.any():
        return
    size = (bitmap.shape[1], bitmap.shape[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labelled = pictured(folder / "pictures", [mask(bitmap)], size=size)
        out = writing(folder / "out", masks="rle" if as_rle else "polygons", pictures="none")
        write_coco(labelled, out)
        (annotation,) = _content(out.folder)["annotations"]
        coco = COCO.__new__(COCO)
        coco.imgs = {1: {"height": size[1], "width": size[0]}}
        assert (coco.annToMask(annotation).astype(bool) == bitmap).all()
        assert annotation["area"] == bitmap.sum()
        incoming = read_coco(
            out.folder / "annotations/instances_default.json", PictureFinder([folder / "pictures"])
        )
        ((shape,),) = [picture.shapes for picture in incoming.labelled]
        assert (bitmap_of(shape, size) == bitmap).all()


def test_the_coco_library_loads_what_is_written(tmp_path: Path) -> None:
    shapes = [
        mask(ring_with_hole()),
        Polygon(label="crop", points=TRIANGLE, attributes={"stage": "2"}, occluded=True, confidence=0.5),
        Rectangle(label="weed", points=((2.0, 3.0), (6.5, 9.0))),
        *dog(box=True),
    ]
    out = writing(tmp_path / "out")
    write_coco(pictured(tmp_path / "pictures", shapes, []), out)
    coco = COCO(str(out.folder / "annotations/instances_default.json"))
    assert [coco.imgs[i]["file_name"] for i in coco.getImgIds()] == ["p0.png", "p1.png"]
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["crop", "weed", "dog"]
    first, second, third, fourth = coco.loadAnns(coco.getAnnIds(imgIds=1))
    assert (coco.annToMask(first).astype(bool) == ring_with_hole()).all()
    assert second["segmentation"] == [[1.0, 1.5, 9.25, 2.0, 4.0, 10.0]]
    assert second["attributes"] == {"stage": "2", "occluded": True}
    assert second["score"] == 0.5
    assert third["bbox"] == [2.0, 3.0, 4.5, 6.0]
    assert fourth["keypoints"] == [3.5, 4.25, 2, 6.0, 2.0, 1, 0, 0, 0]
    assert (fourth["num_keypoints"], fourth["bbox"]) == (2, [1.0, 1.0, 8.0, 7.0])
    assert coco.cats[3]["keypoints"] == list(DOG.joints)
    assert coco.cats[3]["skeleton"] == [[1, 2], [1, 3]]
    assert (out.folder / "images/p1.png").read_bytes() == (tmp_path / "pictures/p1.png").read_bytes()
    assert not out.losses.counts
    assert not out.items


def test_shapes_come_back_as_they_were(tmp_path: Path) -> None:
    shapes = [
        Polygon(label="crop", points=TRIANGLE, attributes={"stage": "2"}, occluded=True, confidence=0.5),
        Rectangle(label="weed", points=((2.0, 3.0), (6.5, 9.0))),
        *dog(box=True),
    ]
    incoming = _there_and_back(tmp_path, shapes)
    ((polygon, box, skeleton, around),) = [picture.shapes for picture in incoming.labelled]
    assert isinstance(polygon, Polygon)
    assert (polygon.points, polygon.attributes, polygon.occluded) == (TRIANGLE, {"stage": "2"}, True)
    assert polygon.confidence == 0.5
    assert isinstance(box, Rectangle)
    assert box.points == ((2.0, 3.0), (6.5, 9.0))
    assert isinstance(skeleton, Skeleton)
    assert [(e.label, e.points, e.occluded, e.outside) for e in skeleton.elements] == [
        ("nose", ((3.5, 4.25),), False, False),
        ("left_ear", ((6.0, 2.0),), True, False),
        ("right_ear", ((0.0, 0.0),), False, True),
    ]
    assert isinstance(around, Rectangle)
    assert around.points == ((1.0, 1.0), (9.0, 8.0))
    assert around.group == skeleton.group != 0
    assert incoming.labelled.label("dog") == DOG
    assert not incoming.problems.items


def test_what_coco_cannot_hold_is_counted(tmp_path: Path) -> None:
    shapes: list[Shape] = [
        Points(label="weed", points=((1.0, 1.0),)),
        Polyline(label="weed", points=TRIANGLE),
        Ellipse(label="weed", points=((6.0, 6.0), (9.0, 4.0))),
        Rectangle(label="weed", points=((2.0, 3.0), (6.5, 9.0)), rotation=30.0),
        Polygon(label="crop", points=TRIANGLE, group=4),
        Polygon(label="crop", points=((float("nan"), 0.0), (1.0, 1.0), (2.0, 0.0))),
    ]
    labelled = pictured(tmp_path / "pictures", shapes)
    (picture,) = labelled
    tagged = LabelledPicture(
        "p0", "p0.png", picture.path, *SIZE, shapes=picture.shapes, tags=(Tag(label="weed"),), split="val"
    )
    out = writing(tmp_path / "out", pictures="none")
    write_coco(type(labelled)("test", labelled.labels, 1, lambda: iter([tagged])), out)
    assert out.losses.counts == {
        "single points": 1,
        "lines": 1,
        "ellipses (written as their pixels)": 1,
        "turns of boxes (written as polygons)": 1,
        "group numbers": 1,
        "shapes without a place": 1,
        "tags": 1,
    }
    content = json.loads((out.folder / "annotations/instances_val.json").read_text())
    assert len(content["annotations"]) == 3


def test_a_picture_that_is_not_at_hand_is_listed_and_its_labels_are_written(tmp_path: Path) -> None:
    labelled = pictured(tmp_path / "pictures", [mask(ring_with_hole())])
    (tmp_path / "pictures/p0.png").unlink()
    out = writing(tmp_path / "out")
    write_coco(labelled, out)
    assert [item.record_id for item in out.items] == ["p0"]
    assert len(_content(out.folder)["annotations"]) == 1


def test_hostile_entries_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}
    bad: list[dict[str, Any]] = [
        {"id": 2, "image_id": 1, "category_id": 9, "bbox": [1, 1, 3, 3]},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [1, 1, 3, 3]},
        {"id": 4, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3]]},
        {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 2, 3, 4, 5, "x"]]},
        {"id": 6, "image_id": 1, "category_id": 1, "segmentation": {"size": [3, 3], "counts": [9]}},
        {"id": 7, "image_id": 1, "category_id": 1, "segmentation": {"size": [12, 16], "counts": "zz"}},
        {"id": 8, "image_id": 1, "category_id": 1, "segmentation": {"size": [12, 16], "counts": [10**30]}},
        {"id": 9, "image_id": 1, "category_id": 1, "bbox": [1, 1, -3, 3]},
        {"id": 10, "image_id": 1, "category_id": 2, "keypoints": [1, 2, 2]},
        {"id": 11, "image_id": 1, "category_id": 2, "keypoints": [1, 2, 5, 0, 0, 0, 0, 0, 0]},
        {"id": 12, "image_id": [1], "category_id": {}},
        {"id": 13, "image_id": 1, "category_id": 1},
    ]
    categories = [{"id": 1, "name": "weed"}, {"id": 2, "name": "dog", "keypoints": ["a", "b", "c"]}]
    images = [
        {"id": 1, "file_name": "p0.png", "width": 16, "height": 12},
        {"id": 1, "file_name": "p1.png", "width": 16, "height": 12},
        {"id": 2, "file_name": "../../etc/passwd", "width": 16, "height": 12},
        {"id": 3, "file_name": "/etc/passwd", "width": 16, "height": 12},
        {"id": 4, "file_name": "p4.png", "width": 10**9, "height": 10**9},
        {"id": 5, "file_name": "p5.png", "width": "16", "height": 12},
        {"id": 6, "width": 16, "height": 12},
    ]
    text = json.dumps({"images": images, "categories": categories, "annotations": [good, *bad]})
    # Python writes NaN, which is no JSON.
    text = text[:-2] + ', {"id": 20, "image_id": 1, "category_id": 1, "bbox": [NaN, 1, 3, 3]}]}'
    incoming = _read(tmp_path, text)
    pictures = list(incoming.labelled)
    assert [picture.record_id for picture in pictures] == ["p0"]
    assert [shape.kind for shape in pictures[0].shapes] == ["rectangle"]
    assert len(incoming.problems.items) == len(bad) + 1 + 6


def test_crowds_several_parts_and_doubled_ids_are_taken(tmp_path: Path) -> None:
    two = [[1.0, 1.0, 4.0, 1.0, 4.0, 4.0, 1.0, 4.0], [8.0, 8.0, 10.0, 8.0, 10.0, 10.0, 8.0, 10.0]]
    runs = [16 * 12 - 12, 12]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": two},
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 1,
            "segmentation": {"size": [12, 16], "counts": runs},
        },
    ]
    images = [{"id": 1, "file_name": "p0.png", "width": 16, "height": 12}]
    content = {"annotations": annotations, "images": images, "categories": [{"id": 1, "name": "weed"}]}
    incoming = _read(tmp_path, json.dumps(content))
    ((first, second),) = [picture.shapes for picture in incoming.labelled]
    assert isinstance(first, Mask)
    assert bitmap_of(first, SIZE).sum() == 9 + 4
    assert bitmap_of(second, SIZE)[:, -1].all()
    assert bitmap_of(second, SIZE).sum() == 12
    assert sum(incoming.problems.notes.values()) == 2
    assert not incoming.problems.items


def test_results_are_read_with_their_annotations(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "p0.png", "width": 16, "height": 12}]
    reference = tmp_path / "instances.json"
    reference.write_text(
        json.dumps({"images": images, "categories": [{"id": 4, "name": "weed"}], "annotations": []})
    )
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.75}]))
    incoming = read_coco(results, PictureFinder([]), reference)
    (picture,) = incoming.labelled
    (shape,) = picture.shapes
    assert (shape.label, shape.confidence) == ("weed", 0.75)
    with pytest.raises(DataError, match="names no images"):
        read_coco(results, PictureFinder([]))


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"images": [', '"x"', '{"images": {}}'])
def test_what_is_no_coco_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        list(_read(tmp_path, text).labelled)


def _there_and_back(tmp_path: Path, shapes: Any) -> Incoming:
    out = writing(tmp_path / "out")
    write_coco(pictured(tmp_path / "pictures", shapes), out)
    return read_coco(
        out.folder / "annotations/instances_default.json", PictureFinder([out.folder / "images"])
    )


def _read(tmp_path: Path, text: str) -> Incoming:
    path = tmp_path / "coco.json"
    path.write_text(text, encoding="utf-8")
    return read_coco(path, PictureFinder([]))


def _content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "annotations/instances_default.json").read_text())
    return found
