"""One annotation of COCO as shapes, read without trust."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from agir_cvtoolkit.labelled import LabelEntry
from agir_cvtoolkit.shapes import Mask, Points, Polygon, Rectangle, Shape, Skeleton

from . import areas
from .coco_index import hashable
from .coco_runs import patch_of_runs, unpacked
from .reading import Problems

_SAME = 1e-6


def shapes_of(
    item: Mapping[str, Any],
    size: tuple[int, int],
    categories: Mapping[Any, LabelEntry],
    problems: Problems,
    group: int,
) -> list[Shape]:
    """Return what an annotation says: its area, skeleton and box, each where it says more than the others.

    Args:
        item: the annotation.
        size: width and height of its picture.
        categories: by id.
        problems: gets notes of what is taken in another way.
        group: of the shapes, where there are several.

    Raises:
        ValueError: it cannot be understood.
    """
    label = categories.get(hashable(item.get("category_id")))
    if label is None:
        raise ValueError(f"category {item.get('category_id')!r} is not listed")
    attributes = item.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise ValueError("its attributes are no object")  # noqa: TRY004 - one kind of error for every bad annotation
    score = item.get("score")
    words: dict[str, Any] = {
        "label": label.name,
        "source": "file",
        "occluded": attributes.get("occluded") is True,
        "attributes": {
            str(k): _text(v) for k, v in attributes.items() if not (k == "occluded" and v in (True, False))
        },
        "confidence": None if score is None else min(1.0, max(0.0, _number(score))),
    }
    found: list[Shape] = []
    if item.get("keypoints") and label.joints:
        found.append(_skeleton(item["keypoints"], label, words))
    if item.get("iscrowd"):
        problems.notes["crowds (taken as one mask each)"] += 1
    area = _area(item.get("segmentation"), size, words)
    if area is not None:
        found.append(area)
    box = item.get("bbox")
    if box and (not found or (area is None and not _is_around(box, found[0]))):
        found.append(_box(box, words))
    if not found:
        raise ValueError("it has neither segmentation nor key points nor a box")
    if len(found) > 1:
        found = [_grouped(shape, group) for shape in found]
    return found


def _grouped(shape: Shape, group: int) -> Shape:
    return replace(shape, group=group)


def _skeleton(values: Any, label: LabelEntry, words: Mapping[str, Any]) -> Skeleton:
    if not isinstance(values, list) or len(values) != 3 * len(label.joints):
        raise ValueError(f"it has {len(values) / 3:g} key points, its category {len(label.joints)}")
    elements = []
    for place, joint in enumerate(label.joints):
        x, y, seen = (_number(value) for value in values[3 * place : 3 * place + 3])
        if seen not in (0, 1, 2):
            raise ValueError(f"the visibility of {joint} is {seen:g}, not 0, 1 or 2")
        elements.append(
            Points(
                label=joint,
                points=((x, y) if seen else (0.0, 0.0),),
                source="file",
                occluded=seen == 1,
                outside=seen == 0,
            )
        )
    if all(element.outside for element in elements):
        raise ValueError("none of its key points is there")
    return Skeleton(**words, elements=tuple(elements))


def _area(segmentation: Any, size: tuple[int, int], words: Mapping[str, Any]) -> Mask | Polygon | None:
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        height, width = (int(value) for value in segmentation["size"])
        if (width, height) != size:
            raise ValueError(f"its mask is {width}x{height}, its picture {size[0]}x{size[1]}")
        counts = segmentation["counts"]
        runs = unpacked(counts) if isinstance(counts, str) else np.asarray(counts, dtype=np.int64)
        patch = patch_of_runs(runs, size)
    else:
        rings = [_ring(part) for part in segmentation]
        if len(rings) == 1:
            return Polygon(**words, points=tuple((float(x), float(y)) for x, y in rings[0]))
        patch = _union([found for ring in rings if (found := areas.patch_of_rings([ring], size)) is not None])
    if patch is None:
        raise ValueError("its mask has no pixel in the picture")
    return areas.mask_of(patch, **words)


def _ring(part: Any) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        raise ValueError("a polygon has no three points, or half a point")
    ring = np.asarray([_number(value) for value in part], dtype=np.float64)
    return ring.reshape(-1, 2)


def _union(patches: list[areas.Patch]) -> areas.Patch | None:
    if not patches:
        return None
    left, top = min(p.left for p in patches), min(p.top for p in patches)
    right = max(p.left + p.pixels.shape[1] for p in patches)
    bottom = max(p.top + p.pixels.shape[0] for p in patches)
    whole = np.zeros((bottom - top, right - left), dtype=np.bool_)
    for p in patches:
        rows, columns = p.pixels.shape
        whole[p.top - top : p.top - top + rows, p.left - left : p.left - left + columns] |= p.pixels
    return areas.Patch(left, top, whole)


def _box(box: Any, words: Mapping[str, Any]) -> Rectangle:
    x, y, width, height = (_number(value) for value in box)
    if width <= 0 or height <= 0:
        raise ValueError(f"its box is {width:g} x {height:g}")
    return Rectangle(**words, points=((x, y), (x + width, y + height)))


def _is_around(box: Any, shape: Shape) -> bool:
    """Whether a box says no more than the points that it is around."""
    tight = areas.extent_of(areas.points_of(shape))
    return len(box) == 4 and all(abs(_number(a) - b) <= _SAME for a, b in zip(box, tight, strict=True))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
