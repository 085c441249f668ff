"""Shapes as the server's JSON, exact both ways, read tolerantly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from agir_cvtoolkit.shapes import (
    Ellipse,
    Mask,
    Point,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Tag,
)

from .attributes_json import attributes_from_json, attributes_to_json, confidence_of
from .capabilities import Capabilities
from .labels import LabelSet, LabelSpec
from .shape_check import validate

FARTHEST = 1e9
"""Coordinates beyond it, in pixels, are a mistake: drawing them would overflow."""

NOT_UNDERSTOOD = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What reading a strange annotation ends in."""

__all__ = [
    "ReadShape",
    "in_label_order",
    "read_shape",
    "shape_from_json",
    "shape_to_json",
    "tag_from_json",
    "tag_to_json",
    "validate",
]


@dataclass(frozen=True)
class ReadShape:
    """What was made of one shape of the server: the shape, or why it was left out."""

    frame: int
    shape: Shape | None
    skipped: str | None = None
    kind: str = "?"


def shape_to_json(shape: Shape, frame: int, label: LabelSpec, capabilities: Capabilities) -> bytes:
    """Serialize a checked shape for ``PUT`` and ``PATCH ?action=create``.

    Args:
        shape: as `validate` returned it.
        frame: number of the frame in the task.
        label: the server's label of that name.
        capabilities: where the server has a score, the confidence goes there; else into an attribute named
            ``confidence`` or ``score``, if the label has one.
    """
    content: dict[str, Any] = {
        "type": shape.kind,
        "frame": frame,
        "label_id": label.id,
        "source": shape.source,
        "occluded": shape.occluded,
        "z_order": shape.z_order,
        "group": shape.group,
        "attributes": attributes_to_json(shape.attributes, shape.confidence, label, score=capabilities.score),
    }
    if shape.confidence is not None and capabilities.score:
        content["score"] = min(1.0, max(0.0, float(shape.confidence)))
    if isinstance(shape, Mask):
        content["points"] = np.concatenate([shape.runs, np.asarray(shape.box, dtype=shape.runs.dtype)])
    elif isinstance(shape, Skeleton):
        by_name = {sublabel.name: sublabel for sublabel in label.sublabels}
        content["elements"] = [
            _element_to_json(element, frame, by_name[element.label], capabilities)
            for element in shape.elements
        ]
    else:
        content["points"] = _flat(shape.points)
        content["outside"] = shape.outside
        if isinstance(shape, Rectangle | Ellipse) and shape.rotation:
            content["rotation"] = shape.rotation
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def tag_to_json(tag: Tag, frame: int, label: LabelSpec) -> bytes:
    """Serialize a checked tag; no server has a score for tags, so a confidence goes into an attribute."""
    values = attributes_to_json(tag.attributes, tag.confidence, label, score=False)
    content = {
        "frame": frame,
        "label_id": label.id,
        "source": tag.source,
        "group": tag.group,
        "attributes": values,
    }
    return orjson.dumps(content)


def shape_from_json(item: Mapping[str, Any], labels: LabelSet) -> ReadShape:
    """Read one shape; whatever cannot be understood is named, and never fails the rest."""
    kind = str(item.get("type") or "?")
    frame = frame_number(item)
    if frame is None:
        return ReadShape(-1, None, "it names no frame", kind)
    label = labels.by_id(item.get("label_id"))
    if label is None:
        return ReadShape(frame, None, f"its label {item.get('label_id')} is unknown", kind)
    try:
        shape = read_shape(kind, item, label)
    except NOT_UNDERSTOOD as error:
        return ReadShape(frame, None, not_understood(error), kind)
    if shape is None:
        return ReadShape(frame, None, f"shapes of type {kind} are not taken", kind)
    return ReadShape(frame, shape, None, kind)


def tag_from_json(item: Mapping[str, Any], labels: LabelSet) -> tuple[int, Tag] | str:
    """Read one tag with its frame; or why it was left out."""
    frame, label = frame_number(item), labels.by_id(item.get("label_id"))
    if frame is None:
        return "it names no frame"
    if label is None:
        return f"its label {item.get('label_id')} is unknown"
    source = str(item.get("source") or "manual")
    attributes = attributes_from_json(item.get("attributes"), label)
    tag = Tag(
        label=label.name,
        source=source,
        attributes=attributes,
        confidence=confidence_of(None, source, attributes, label),
        group=_whole(item.get("group")),
    )
    return frame, tag


def frame_number(item: Mapping[str, Any]) -> int | None:
    """Return the number of the frame that something is on; None where none is named."""
    frame = item.get("frame")
    return frame if isinstance(frame, int) and not isinstance(frame, bool) else None


def not_understood(error: Exception) -> str:
    """Return why an annotation was left out, for people."""
    if isinstance(error, KeyError):
        return f"it has no {str(error).strip(chr(39))}"
    return f"it cannot be understood: {error}"


def mask_from_numbers(
    numbers: NDArray[np.float64] | NDArray[np.int64],
) -> tuple[NDArray[np.int32], tuple[int, int, int, int]]:
    """Split the server's list of a mask into runs (int32) and box; ``1.0`` is as good as ``1``.

    Raises:
        ValueError: a number is not whole, too large, or there are too few.
    """
    if numbers.ndim != 1 or len(numbers) < 5:
        raise ValueError(f"a mask of {numbers.size} numbers")
    # NaN fails the comparison too.
    if not bool(np.all(np.abs(numbers) <= np.iinfo(np.int32).max)):
        raise ValueError("a number of the mask is too large")
    whole = numbers.astype(np.int32)
    if not np.array_equal(whole, numbers):
        raise ValueError("a number of the mask is not whole")
    left, top, right, bottom = (int(value) for value in whole[-4:])
    return whole[:-4].copy(), (left, top, right, bottom)


def in_label_order(elements: Sequence[Points], order: Sequence[str]) -> tuple[Points, ...]:
    """Return the elements in the order of their label, unknown ones last; the server returns them in any."""
    rank = {name: position for position, name in enumerate(order)}
    return tuple(sorted(elements, key=lambda element: rank.get(element.label, len(rank))))


def read_shape(kind: str, item: Mapping[str, Any], label: LabelSpec) -> Shape | None:
    """Read a shape of a known label; None for a kind that is not taken.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: something of it is missing or makes no sense.
    """
    attributes = attributes_from_json(item.get("attributes"), label)
    source = str(item.get("source") or "manual")
    shared: dict[str, Any] = {
        "label": label.name,
        "source": source,
        "occluded": bool(item.get("occluded")),
        "z_order": _whole(item.get("z_order")),
        "group": _whole(item.get("group")),
        "attributes": attributes,
        "confidence": confidence_of(item.get("score"), source, attributes, label),
    }
    if kind == "skeleton":
        return Skeleton(**shared, elements=_elements(item, label))
    if kind == "mask":
        numbers = item["points"]
        if not isinstance(numbers, np.ndarray):
            if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
                raise ValueError("its points are no numbers")
            numbers = np.asarray(numbers, dtype=np.float64)
        runs, box = mask_from_numbers(numbers)
        return Mask(**shared, runs=runs, box=box)
    rotation = float(item.get("rotation") or 0.0)
    shared["outside"] = bool(item.get("outside"))
    if kind == "ellipse":
        return Ellipse(**shared, points=_pairs(item["points"], 2), rotation=rotation)
    if kind == "rectangle":
        return Rectangle(**shared, points=_pairs(item["points"], 2), rotation=rotation)
    if kind == "polygon":
        return Polygon(**shared, points=_pairs(item["points"], least=3))
    if kind == "polyline":
        return Polyline(**shared, points=_pairs(item["points"], least=2))
    if kind == "points":
        return Points(**shared, points=_pairs(item["points"]))
    return None


def _elements(item: Mapping[str, Any], label: LabelSpec) -> tuple[Points, ...]:
    by_id = {sublabel.id: sublabel for sublabel in label.sublabels}
    found = []
    listed = item.get("elements") or ()
    if not isinstance(listed, list | tuple) or not all(isinstance(element, dict) for element in listed):
        raise ValueError("its elements are no points")
    for element in listed:
        sublabel = by_id.get(element.get("label_id"))
        if sublabel is None:
            raise ValueError(f"element with the foreign label {element.get('label_id')}")
        found.append(
            Points(
                label=sublabel.name,
                points=_pairs(element["points"]),
                source=str(element.get("source") or "manual"),
                occluded=bool(element.get("occluded")),
                outside=bool(element.get("outside")),
                attributes=attributes_from_json(element.get("attributes"), sublabel),
                group=_whole(element.get("group")),
            )
        )
    return in_label_order(found, [sublabel.name for sublabel in label.sublabels])


def _element_to_json(
    element: Points, frame: int, label: LabelSpec, capabilities: Capabilities
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "type": "points",
        "frame": frame,
        "label_id": label.id,
        "points": _flat(element.points),
        "occluded": element.occluded,
        "outside": element.outside,
        "source": element.source,
        "attributes": attributes_to_json(
            element.attributes, element.confidence, label, score=capabilities.score
        ),
    }
    if element.confidence is not None and capabilities.score:
        content["score"] = min(1.0, max(0.0, float(element.confidence)))
    return content


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _flat(points: Sequence[Point]) -> list[float]:
    return [float(value) for point in points for value in point]


def _pairs(numbers: object, count: int | None = None, least: int = 1) -> tuple[Point, ...]:
    if not isinstance(numbers, list | tuple | np.ndarray):
        raise TypeError("it has no points")
    if not all(isinstance(value, int | float | np.number) for value in numbers):
        raise ValueError("a coordinate is no number")
    flat = [float(value) for value in numbers]
    if len(flat) % 2 or len(flat) < 2 * least or (count is not None and len(flat) != 2 * count):
        raise ValueError(f"{len(flat)} coordinates")
    if not all(abs(value) <= FARTHEST for value in flat):
        raise ValueError("a coordinate is too large")
    return tuple(zip(flat[0::2], flat[1::2], strict=True))
