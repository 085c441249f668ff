"""COCO: ``annotations/instances_<split>.json`` with boxes, polygons, masks and key points, and the pictures.

Written in one pass: annotations wait in a file of their own until all pictures are known.
https://cocodataset.org/#format-data
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import IO, Any

import orjson

from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.shapes import Ellipse, Mask, Point, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

from . import areas
from .coco_runs import packed, runs_of
from .writing import DEFAULT_SPLIT, Losses, Writing, in_split

VISIBLE, OCCLUDED, ABSENT = 2, 1, 0


def write_coco(labelled: LabelledSet, out: Writing) -> None:
    """Write a set.

    Raises:
        OSError: a file cannot be written.
    """
    files: dict[str, _File] = {}
    numbers = {label.name: i for i, label in enumerate(labelled.labels, start=1)}
    try:
        for picture in labelled:
            split = picture.split or DEFAULT_SPLIT
            if split not in files:
                files[split] = _File(out, split, labelled, numbers)
            files[split].add(picture)
            out.place(picture, in_split("images", picture))
        if not files:
            files[DEFAULT_SPLIT] = _File(out, DEFAULT_SPLIT, labelled, numbers)
        for file in files.values():
            file.finish()
    finally:
        for file in files.values():
            file.close()


def category(label: LabelEntry, number: int) -> dict[str, Any]:
    """Return a label as a category."""
    content: dict[str, Any] = {"id": number, "name": label.name, "supercategory": ""}
    if label.joints:
        places = {joint: place for place, joint in enumerate(label.joints, start=1)}
        content["keypoints"] = list(label.joints)
        content["skeleton"] = [[places[a], places[b]] for a, b in label.links if a in places and b in places]
    return content


class _File:
    def __init__(self, out: Writing, split: str, labelled: LabelledSet, numbers: Mapping[str, int]) -> None:
        self._out, self._numbers = out, numbers
        self._labels = {label.name: label for label in labelled.labels}
        self._stream: IO[bytes] = out.path(f"annotations/instances_{split}.json").open("wb")
        self._waiting: IO[bytes] = tempfile.TemporaryFile(dir=out.folder)  # noqa: SIM115 - see `close`
        self._pictures = self._annotations = 0
        info = {"description": labelled.name, "contributor": "agir-cvtoolkit", "version": "1.0"}
        categories = [
            category(label, numbers[label.name]) for label in labelled.labels if label.kind != "tag"
        ]
        head = orjson.dumps({"info": info, "licenses": [], "categories": categories})
        self._stream.write(head[:-1] + b',"images":[')

    def add(self, picture: LabelledPicture) -> None:
        self._pictures += 1
        image = {
            "id": self._pictures,
            "file_name": picture.file_name,
            "width": picture.width,
            "height": picture.height,
        }
        self._stream.write((b"," if self._pictures > 1 else b"") + orjson.dumps(image))
        self._out.losses.add("tags", len(picture.tags))
        pieces = []
        for content in annotations_of(picture, self._numbers, self._labels, self._out):
            self._annotations += 1
            numbered = {"id": self._annotations, "image_id": self._pictures, **content}
            pieces.append((b"," if self._annotations > 1 else b"") + orjson.dumps(numbered))
        self._waiting.write(b"".join(pieces))

    def finish(self) -> None:
        self._stream.write(b'],"annotations":[')
        self._waiting.seek(0)
        shutil.copyfileobj(self._waiting, self._stream, 1 << 20)
        self._stream.write(b"]}")

    def close(self) -> None:
        self._waiting.close()
        self._stream.close()


def annotations_of(
    picture: LabelledPicture, numbers: Mapping[str, int], labels: Mapping[str, LabelEntry], out: Writing
) -> list[dict[str, Any]]:
    """Return what COCO can hold of a picture's shapes, without ids."""
    if any(isinstance(shape, Skeleton) for shape in picture.shapes):
        shapes, boxes = areas.with_boxes(picture.shapes)
    else:
        shapes, boxes = list(picture.shapes), {}
    found = []
    for place, shape in enumerate(shapes):
        try:
            content = _geometry(shape, picture.size, boxes.get(place), labels, out)
        except MaskError as error:
            out.losses.add(f"shapes that are damaged ({error.problem})")
            continue
        if content is None:
            continue
        if shape.group and place not in boxes:
            out.losses.add("group numbers")
        attributes: dict[str, Any] = dict(shape.attributes)
        if shape.occluded:
            attributes["occluded"] = True
        if attributes:
            content["attributes"] = attributes
        if shape.confidence is not None:
            content["score"] = shape.confidence
        found.append({"category_id": numbers[shape.label], "iscrowd": 0, **content})
    return found


def _geometry(
    shape: Shape,
    size: tuple[int, int],
    box: Rectangle | None,
    labels: Mapping[str, LabelEntry],
    out: Writing,
) -> dict[str, Any] | None:
    if isinstance(shape, Skeleton):
        return _key_points(shape, box, labels[shape.label], out.losses)
    if isinstance(shape, Points | Polyline):
        out.losses.add("single points" if isinstance(shape, Points) else "lines")
        return None
    if not areas.is_finite(shape):
        out.losses.add("shapes without a place")
        return None
    if isinstance(shape, Polygon):
        return _outline(shape.points)
    if isinstance(shape, Rectangle):
        if shape.rotation % 360.0:
            out.losses.add("turns of boxes (written as polygons)")
            return _outline(areas.outline_of(shape))
        extent = areas.extent_of(shape.points)
        return {"segmentation": [], "area": extent[2] * extent[3], "bbox": list(extent)}
    if isinstance(shape, Ellipse):
        out.losses.add("ellipses (written as their pixels)")
    return _pixels(shape, size, out)


def _outline(points: Sequence[Point]) -> dict[str, Any]:
    flat = list(chain.from_iterable(points))
    return {"segmentation": [flat], "area": areas.ring_area(points), "bbox": list(areas.extent_of(points))}


def _pixels(shape: Mask | Ellipse, size: tuple[int, int], out: Writing) -> dict[str, Any] | None:
    patch = areas.patch_of(shape, size)
    if patch is None:
        out.losses.add("masks without a pixel")
        return None
    segmentation: Any
    if out.masks == "rle":
        segmentation = {"size": [size[1], size[0]], "counts": packed(runs_of(patch, size))}
    else:
        segmentation = [ring.reshape(-1).tolist() for ring in areas.rings_of(patch)]
    return {"segmentation": segmentation, "area": patch.count, "bbox": list(patch.extent)}


def _key_points(
    shape: Skeleton, box: Rectangle | None, label: LabelEntry, losses: Losses
) -> dict[str, Any] | None:
    by_name = {element.label: element for element in shape.elements}
    values: list[float] = []
    count = 0
    for joint in label.joints:
        element = by_name.get(joint)
        if element is None or element.outside or not areas.is_finite(element):
            values += (0, 0, ABSENT)
            continue
        count += 1
        values += (*element.points[0], OCCLUDED if element.occluded else VISIBLE)
        if element.confidence is not None:
            losses.add("confidences of single joints")
        if element.attributes:
            losses.add("attributes of single joints")
    if not count:
        losses.add("skeletons without a joint")
        return None
    extent = areas.extent_of(areas.points_of(shape) if box is None else box.points)
    if box is not None and box.label != shape.label:
        losses.add("labels of boxes around skeletons")
    return {
        "keypoints": values,
        "num_keypoints": count,
        "segmentation": [],
        "area": extent[2] * extent[3],
        "bbox": list(extent),
    }
