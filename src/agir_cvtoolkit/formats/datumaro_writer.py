"""Datumaro: ``annotations/<split>.json`` with everything but provenance, and ``images/<split>``.

https://open-edge-platform.github.io/datumaro/latest/docs/data-formats/formats/datumaro.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO, Any

import orjson

from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Polyline, Shape, Skeleton, Tag

from . import areas
from .coco_runs import packed, runs_of
from .writing import DEFAULT_SPLIT, Writing

ABSENT, HIDDEN, VISIBLE = 0, 1, 2


def write_datumaro(labelled: LabelledSet, out: Writing) -> None:
    """Write a set.

    Raises:
        OSError: a file cannot be written.
    """
    files: dict[str, _File] = {}
    try:
        for picture in labelled:
            split = picture.split or DEFAULT_SPLIT
            if split not in files:
                files[split] = _File(labelled, out, split)
            files[split].add(picture)
            out.place(picture, f"images/{split}/{picture.file_name}")
        if not files:
            files[DEFAULT_SPLIT] = _File(labelled, out, DEFAULT_SPLIT)
        for file in files.values():
            file.stream.write(b"]}")
    finally:
        for file in files.values():
            file.stream.close()


class _File:
    def __init__(self, labelled: LabelledSet, out: Writing, split: str) -> None:
        self._out = out
        self.stream: IO[bytes] = out.path(f"annotations/{split}.json").open("wb")
        self._count = 0
        self._numbers = {label.name: i for i, label in enumerate(labelled.labels)}
        self._joints = {label.name: label.joints for label in labelled.labels}
        head = {
            "dm_format_version": "1.0",
            "media_type": 2,
            "infos": {},
            "categories": {
                "label": {"labels": _labels(labelled.labels), "label_groups": [], "attributes": ["occluded"]},
                "points": {"items": _points(labelled.labels, self._numbers)},
            },
        }
        self.stream.write(orjson.dumps(head)[:-1] + b',"items":[')

    def add(self, picture: LabelledPicture) -> None:
        found = [_tag(tag, self._numbers) for tag in picture.tags]
        for shape in picture.shapes:
            try:
                content = _annotation(shape, picture.size, self._numbers, self._joints, self._out)
            except MaskError as error:
                self._out.losses.add(f"shapes that are damaged ({error.problem})")
                continue
            if content is not None:
                found.append(content)
        numbered = [{"id": i, **content} for i, content in enumerate(found)]
        frame = picture.provenance.frame
        item = {
            "id": str(PurePosixPath(picture.file_name).with_suffix("")),
            "annotations": numbered,
            "attr": {} if frame is None else {"frame": frame},
            "image": {"path": picture.file_name, "size": [picture.height, picture.width]},
        }
        self.stream.write((b"," if self._count else b"") + orjson.dumps(item))
        self._count += 1


def _labels(labels: tuple[LabelEntry, ...]) -> list[dict[str, Any]]:
    return [{"name": label.name, "parent": "", "attributes": list(label.attributes)} for label in labels]


def _points(labels: tuple[LabelEntry, ...], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    found = []
    for label in labels:
        if label.joints:
            places = {joint: i for i, joint in enumerate(label.joints, start=1)}
            joints = [[places[a], places[b]] for a, b in label.links]
            found.append({"label_id": numbers[label.name], "labels": list(label.joints), "joints": joints})
    return found


def _tag(tag: Tag, numbers: Mapping[str, int]) -> dict[str, Any]:
    words = {"attributes": dict(tag.attributes), "group": tag.group, "label_id": numbers[tag.label]}
    return {"type": "label", **words}


def _annotation(
    shape: Shape,
    size: tuple[int, int],
    numbers: Mapping[str, int],
    joints: Mapping[str, tuple[str, ...]],
    out: Writing,
) -> dict[str, Any] | None:
    attributes: dict[str, Any] = dict(shape.attributes) | {"occluded": shape.occluded}
    if shape.confidence is not None:
        attributes["score"] = shape.confidence
    words = {
        "attributes": attributes,
        "group": shape.group,
        "label_id": numbers[shape.label],
        "z_order": shape.z_order,
    }
    if isinstance(shape, Mask):
        patch = areas.patch_of(shape, size)
        if patch is None:
            out.losses.add("masks without a pixel")
            return None
        rle = {"counts": packed(runs_of(patch, size)), "size": [size[1], size[0]]}
        return {"type": "mask", **words, "rle": rle}
    if isinstance(shape, Skeleton):
        return {"type": "points", **words, **_joints(shape, joints[shape.label], out)}
    if not areas.is_finite(shape):
        out.losses.add("shapes without a place")
        return None
    flat = [value for point in shape.points for value in point]
    if isinstance(shape, Polygon):
        return {"type": "polygon", **words, "points": flat}
    if isinstance(shape, Polyline):
        return {"type": "polyline", **words, "points": flat}
    if isinstance(shape, Points):
        seen = HIDDEN if shape.occluded else VISIBLE
        visibility = [ABSENT if shape.outside else seen] * len(shape.points)
        return {"type": "points", **words, "points": flat, "visibility": visibility}
    if isinstance(shape, Ellipse):
        (cx, cy), (rx, ry) = shape.points[0], shape.radii
        _turn(words, shape.rotation)
        return {"type": "ellipse", **words, "points": [cx - rx, cy - ry, cx + rx, cy + ry]}
    _turn(words, shape.rotation)
    return {"type": "bbox", **words, "bbox": list(areas.extent_of(shape.points))}


def _turn(words: dict[str, Any], rotation: float) -> None:
    if isinstance(words["attributes"], dict) and rotation % 360.0:
        words["attributes"]["rotation"] = rotation


def _joints(shape: Skeleton, joints: tuple[str, ...], out: Writing) -> dict[str, Any]:
    """Return the points of a skeleton, in the order of its label."""
    by_name = {element.label: element for element in shape.elements}
    points: list[float] = []
    visibility = []
    for joint in joints:
        element = by_name.get(joint)
        if element is None or element.outside or not areas.is_finite(element):
            points += (0.0, 0.0)
            visibility.append(ABSENT)
            continue
        points += element.points[0]
        visibility.append(HIDDEN if element.occluded else VISIBLE)
        out.losses.add("confidences of single joints", int(element.confidence is not None))
        out.losses.add("attributes of single joints", int(bool(element.attributes)))
    return {"points": points, "visibility": visibility}
