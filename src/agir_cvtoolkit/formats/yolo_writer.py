"""YOLO as Ultralytics' tools read it: ``data.yaml``, ``images/<split>``, and beside them ``labels/<split>``.

One text file for each picture, one line for each object, coordinates as shares of width and height; a picture without
objects has an empty file. https://docs.ultralytics.com/datasets/segment/ and /datasets/pose/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Literal

import yaml

from agir_cvtoolkit.errors import MaskError, UsageError
from agir_cvtoolkit.labelled import LabelEntry, LabelledPicture, LabelledSet
from agir_cvtoolkit.shapes import Ellipse, Mask, Point, Points, Polyline, Rectangle, Shape, Skeleton

from . import areas
from .writing import Losses, Writing

Task = Literal["boxes", "seg", "pose"]
UNDIVIDED = "train"
"""Where pictures go that nobody has divided: the tools ask for train and val, which then are the same."""
_VISIBLE, _OCCLUDED = 2, 1
_LEAST = 1.0


def write_yolo(labelled: LabelledSet, out: Writing, task: Task) -> None:
    """Write a set.

    Args:
        labelled: the set.
        out: where to.
        task: ``boxes`` (class x y w h), ``seg`` (class x1 y1 x2 y2 ...) or ``pose`` (box, then x y visibility of each
            joint: 2 visible, 1 occluded, 0 absent).

    Raises:
        UsageError: a pose task whose skeletons have different numbers of joints, or that has none.
    """
    labels = [one for one in labelled.labels if (bool(one.joints) if task == "pose" else one.kind != "tag")]
    _check(labels, task)
    numbers = {label.name: i for i, label in enumerate(labels)}
    by_name = {label.name: label for label in labels}
    lines_of: Callable[[LabelledPicture], Iterable[str]] = {
        "boxes": partial(_box_lines, numbers=numbers, losses=out.losses),
        "seg": partial(_seg_lines, numbers=numbers, losses=out.losses),
        "pose": partial(_pose_lines, numbers=numbers, labels=by_name, losses=out.losses),
    }[task]
    splits: set[str] = set()
    for picture in labelled:
        split = picture.split or UNDIVIDED
        splits.add(split)
        out.losses.add("tags", len(picture.tags))
        lines = list(lines_of(picture))
        different = dict.fromkeys(lines)
        out.losses.add("shapes that are there twice", len(lines) - len(different))
        text = "".join(f"{line}\n" for line in different)
        name = _below(picture.file_name)
        out.path(f"labels/{split}/{name.with_suffix('.txt')}").write_text(text, encoding="utf-8")
        out.place(picture, f"images/{split}/{name}")
    out.path("data.yaml").write_text(data_yaml(labels, sorted(splits), task), encoding="utf-8")


def _below(file_name: str) -> PurePosixPath:
    """Return a path without a folder ``images``: the tools look for labels beside the last one of that name."""
    path = PurePosixPath(file_name)
    return PurePosixPath(*("images_" if part == "images" else part for part in path.parts[:-1]), path.name)


def data_yaml(labels: Sequence[LabelEntry], splits: Sequence[str], task: Task) -> str:
    """Return the description of a set; paths in it start where it lies."""
    train = "train" if "train" in splits or not splits else splits[0]
    content: dict[str, object] = {
        "train": f"images/{train}",
        "val": f"images/{'val' if 'val' in splits else train}",
    }
    if "test" in splits:
        content["test"] = "images/test"
    if task == "pose":
        content["kpt_shape"] = [len(labels[0].joints), 3]
        content["flip_idx"] = list(labels[0].mirrored or mirrored_by_name(labels[0].joints))
    content["names"] = {i: label.name for i, label in enumerate(labels)}
    if task == "pose":
        content["kpt_names"] = {i: list(label.joints) for i, label in enumerate(labels)}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)


def mirrored_by_name(joints: Sequence[str]) -> tuple[int, ...]:
    """Return for each joint the place of its other side: ``left`` and ``right`` in the names tell."""
    places = {joint: i for i, joint in enumerate(joints)}

    def other(joint: str) -> str:
        return joint.replace("left", "\0").replace("right", "left").replace("\0", "right")

    return tuple(places.get(other(joint), i) for i, joint in enumerate(joints))


def _check(labels: Sequence[LabelEntry], task: Task) -> None:
    if task != "pose":
        return
    counts = {len(label.joints) for label in labels}
    if not labels:
        raise UsageError("there is no skeleton to write as YOLO pose", "Write yolo-seg or yolo in its place.")
    if len(counts) > 1:
        shown = ", ".join(f"{label.name} ({len(label.joints)})" for label in labels)
        raise UsageError(
            f"YOLO pose takes one number of joints for all classes, here are {shown}",
            "Leave some out: --labels NAME=",
        )


def _seg_lines(picture: LabelledPicture, *, numbers: Mapping[str, int], losses: Losses) -> Iterable[str]:
    for shape in picture.shapes:
        area = _area_of(shape, losses)
        if area is None:
            continue
        points = (
            _joined(area, picture, losses) if isinstance(area, Mask | Ellipse) else areas.outline_of(area)
        )
        if points is None or len(points) < 3:
            losses.add("shapes without area")
            continue
        if isinstance(area, Rectangle):
            losses.add("boxes (written as polygons)")
        shares = _shares(points, picture.size, losses)
        yield f"{numbers[shape.label]} {' '.join(f'{x} {y}' for x, y in shares)}"


def _joined(shape: Mask | Ellipse, picture: LabelledPicture, losses: Losses) -> Sequence[Point] | None:
    try:
        patch = areas.patch_of(shape, picture.size)
    except MaskError as error:
        losses.add(f"shapes that are damaged ({error.problem})")
        return None
    if patch is None:
        return None
    if isinstance(shape, Ellipse):
        losses.add("ellipses (written as polygons)")
    ring = areas.joined(areas.rings_of(patch))
    return [(float(x), float(y)) for x, y in ring]


def _box_lines(picture: LabelledPicture, *, numbers: Mapping[str, int], losses: Losses) -> Iterable[str]:
    for shape in picture.shapes:
        area = _area_of(shape, losses)
        if area is None:
            continue
        if not isinstance(area, Rectangle):
            losses.add("outlines of shapes (written as boxes)")
        elif area.rotation % 360.0:
            losses.add("turns of boxes")
        box = _box_share(areas.extent_of(areas.points_of(area)), picture.size, losses)
        if box is not None:
            yield f"{numbers[shape.label]} {box}"


def _pose_lines(
    picture: LabelledPicture, *, numbers: Mapping[str, int], labels: Mapping[str, LabelEntry], losses: Losses
) -> Iterable[str]:
    shapes, boxes = areas.with_boxes(picture.shapes)
    for place, shape in enumerate(shapes):
        if not isinstance(shape, Skeleton):
            losses.add(f"shapes of kind {shape.kind}")
            continue
        by_name = {element.label: element for element in shape.elements}
        listed = [by_name.get(joint) for joint in labels[shape.label].joints]
        there = [e for e in listed if e is not None and not e.outside and areas.is_finite(e)]
        if not there:
            losses.add("skeletons without a joint")
            continue
        _count_words(shape, losses)
        losses.add("confidences of single joints", sum(e.confidence is not None for e in there))
        around = boxes[place].points if place in boxes else [e.points[0] for e in there]
        box = _box_share(areas.extent_of(around), picture.size, losses)
        if box is None:
            continue
        words = [str(numbers[shape.label]), box]
        for element in listed:
            if element is None or element not in there:
                words.append("0 0 0")
                continue
            ((x, y),) = _shares(element.points, picture.size, losses)
            words.append(f"{x} {y} {_OCCLUDED if element.occluded else _VISIBLE}")
        yield " ".join(words)


def _area_of(shape: Shape, losses: Losses) -> areas.Area | None:
    if isinstance(shape, Points | Polyline | Skeleton):
        kinds = {Points: "single points", Polyline: "lines", Skeleton: "skeletons"}
        losses.add(kinds[type(shape)])
        return None
    if not areas.is_finite(shape):
        losses.add("shapes without a place")
        return None
    _count_words(shape, losses)
    return shape


def _count_words(shape: Shape, losses: Losses) -> None:
    if shape.occluded and not isinstance(shape, Skeleton):
        losses.add("occlusions of shapes")
    if shape.confidence is not None:
        losses.add("confidences")
    if shape.attributes:
        losses.add("attributes")


def _shares(points: Sequence[Point], size: tuple[int, int], losses: Losses) -> list[tuple[str, str]]:
    width, height = size
    found, outside = [], 0
    for x, y in points:
        inside_x, inside_y = min(max(0.0, x), float(width)), min(max(0.0, y), float(height))
        outside += inside_x != x or inside_y != y
        found.append((f"{inside_x / width:.10g}", f"{inside_y / height:.10g}"))
    losses.add("points outside their picture (moved to its border)", outside)
    return found


def _box_share(extent: areas.Extent, size: tuple[int, int], losses: Losses) -> str | None:
    left, top = max(0.0, extent[0]), max(0.0, extent[1])
    right, bottom = min(float(size[0]), extent[0] + extent[2]), min(float(size[1]), extent[1] + extent[3])
    if right < left or bottom < top:
        losses.add("shapes outside their picture")
        return None
    # A single joint has no extent, and a box without any is no object to the tools.
    right, bottom = max(right, left + _LEAST), max(bottom, top + _LEAST)
    left, top = min(left, size[0] - _LEAST), min(top, size[1] - _LEAST)
    right, bottom = min(right, float(size[0])), min(bottom, float(size[1]))
    centre = (left + right) / 2 / size[0], (top + bottom) / 2 / size[1]
    share = (right - left) / size[0], (bottom - top) / size[1]
    return " ".join(f"{value:.10g}" for value in (*centre, *share))
