"""Shapes as plain JSON and back, exact both ways: for files of a run and for the ledger."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import orjson

from .errors import ShapeError
from .shapes import (
    Ellipse,
    Keyframe,
    Mask,
    Points,
    Polygon,
    Polyline,
    Rectangle,
    Shape,
    Skeleton,
    Tag,
    Track,
)

_POINT_SHAPES: dict[str, type[Points | Polygon | Polyline | Rectangle | Ellipse]] = {
    "points": Points,
    "polygon": Polygon,
    "polyline": Polyline,
    "rectangle": Rectangle,
    "ellipse": Ellipse,
}
_HEAD_BYTES = 4096
# In a text, and so in a name or an attribute, its quotes would have a backslash.
_RUNS = b',"runs":['


def to_plain(shape: Shape) -> dict[str, Any]:
    """Return a shape as a dict that JSON can hold."""
    content: dict[str, Any] = {
        "kind": shape.kind,
        "label": shape.label,
        "source": shape.source,
        "occluded": shape.occluded,
        "z_order": shape.z_order,
        "group": shape.group,
        "attributes": dict(shape.attributes),
    }
    if shape.confidence is not None:
        content["confidence"] = shape.confidence
    if isinstance(shape, Mask):
        return content | {"box": list(shape.box), "runs": shape.runs.tolist()}
    if isinstance(shape, Skeleton):
        return content | {"elements": [to_plain(element) for element in shape.elements]}
    content["points"] = [list(point) for point in shape.points]
    content["outside"] = shape.outside
    if isinstance(shape, Rectangle | Ellipse):
        content["rotation"] = shape.rotation
    return content


def from_plain(content: Mapping[str, Any]) -> Shape:
    """Return the shape that `to_plain` was given.

    Raises:
        ShapeError: it was not written by `to_plain`.
    """
    with _named("shape"):
        return _read(content)


def tag_to_plain(tag: Tag) -> dict[str, Any]:
    """Return a tag as a dict that JSON can hold."""
    content: dict[str, Any] = {
        "kind": "tag",
        "label": tag.label,
        "source": tag.source,
        "group": tag.group,
        "attributes": dict(tag.attributes),
    }
    return content if tag.confidence is None else content | {"confidence": tag.confidence}


def tag_from_plain(content: Mapping[str, Any]) -> Tag:
    """Return the tag that `tag_to_plain` was given.

    Raises:
        ShapeError: it was not written by `tag_to_plain`.
    """
    with _named("tag"):
        return Tag(
            label=str(content["label"]),
            source=str(content["source"]),
            group=int(content["group"]),
            attributes=_attributes(content),
            confidence=content.get("confidence"),
        )


def track_to_plain(track: Track) -> dict[str, Any]:
    """Return a track as a dict that JSON can hold."""
    return {
        "kind": "track",
        "label": track.label,
        "source": track.source,
        "group": track.group,
        "attributes": dict(track.attributes),
        "keyframes": [
            {"frame": found.frame, "outside": found.outside, "shape": to_plain(found.shape)}
            for found in track.keyframes
        ],
        "elements": [track_to_plain(element) for element in track.elements],
    }


def track_from_plain(content: Mapping[str, Any]) -> Track:
    """Return the track that `track_to_plain` was given.

    Raises:
        ShapeError: it was not written by `track_to_plain`.
    """
    with _named("track"):
        return Track(
            label=str(content["label"]),
            source=str(content["source"]),
            group=int(content["group"]),
            attributes=_attributes(content),
            keyframes=tuple(
                Keyframe(frame=int(k["frame"]), outside=bool(k["outside"]), shape=_read(k["shape"]))
                for k in content["keyframes"]
            ),
            elements=tuple(track_from_plain(element) for element in content["elements"]),
        )


def pack(shape: Shape) -> bytes:
    """Return a shape in few bytes."""
    return zlib.compress(orjson.dumps(to_plain(shape)), 1)


def unpack(packed: bytes, same: Shape | None = None) -> Shape:
    """Return the shape that `pack` was given.

    Args:
        packed: by `pack`.
        same: a shape that is known to have the same geometry: the runs of a mask are then taken from it, and
            not unpacked.

    Raises:
        ShapeError: it was not written by `pack`.
    """
    try:
        if isinstance(same, Mask):
            head, found, _ = zlib.decompressobj().decompress(packed, _HEAD_BYTES).partition(_RUNS)
            if found:
                content = orjson.loads(head + b"}")
                return from_plain(content | {"box": same.box, "runs": same.runs})
        content = orjson.loads(zlib.decompress(packed))
    except (zlib.error, orjson.JSONDecodeError) as error:
        raise ShapeError(f"a stored shape cannot be read: {error}", "The ledger is damaged.") from error
    return from_plain(content)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ShapeError(
            f"a stored {what} cannot be read: {error}", "Its file or ledger is damaged."
        ) from error


def _attributes(content: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in content["attributes"].items()}


def _read(content: Mapping[str, Any]) -> Shape:
    shared: dict[str, Any] = {
        "label": str(content["label"]),
        "source": str(content["source"]),
        "occluded": bool(content["occluded"]),
        "z_order": int(content["z_order"]),
        "group": int(content.get("group", 0)),
        "attributes": _attributes(content),
        "confidence": content.get("confidence"),
    }
    kind = content["kind"]
    if kind == "mask":
        left, top, right, bottom = (int(value) for value in content["box"])
        runs = np.asarray(content["runs"], dtype=np.int32)
        return Mask(**shared, runs=runs, box=(left, top, right, bottom))
    if kind == "skeleton":
        elements = tuple(_read(element) for element in content["elements"])
        if not all(isinstance(element, Points) for element in elements):
            raise ValueError("an element is no point")
        return Skeleton(**shared, elements=elements)  # type: ignore[arg-type]
    shared["points"] = tuple((float(x), float(y)) for x, y in content["points"])
    shared["outside"] = bool(content.get("outside", False))
    if kind in {"rectangle", "ellipse"}:
        shared["rotation"] = float(content.get("rotation", 0.0))
    return _POINT_SHAPES[kind](**shared)
