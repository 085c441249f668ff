"""The server's annotations as raw shapes: whatever is wrong with them, so that it can be found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from agir_cvtoolkit.raw_shapes import RawAttribute, RawLabel, RawShape

from .labels import LabelSet, LabelSpec

if TYPE_CHECKING:
    from agir_cvtoolkit.raw_shapes import Numbers


def raw_labels(labels: LabelSet) -> dict[int, RawLabel]:
    """Return labels by id."""
    return {label.id: _label(label) for label in labels}


def raw_shapes(kind: str, item: Mapping[str, Any], *, is_machine: bool) -> Iterator[RawShape]:
    """Yield what one annotation of the server is; of a track its keyframes, and those of its elements.

    Args:
        kind: the list that it comes from: ``shapes``, ``tags`` or ``tracks``.
        item: as the server writes it.
        is_machine: a program made it, and nobody has worked in its job since.
    """
    if kind == "tracks":
        yield from _keyframes(item)
    elif kind in {"shapes", "tags"}:
        yield _shape("tag" if kind == "tags" else None, item, is_machine=is_machine)


def _shape(
    kind: str | None, item: Mapping[str, Any], *, is_machine: bool = False, in_track: bool = False
) -> RawShape:
    return RawShape(
        id=_whole(item.get("id")),
        frame=_whole(item.get("frame"), -1) or 0,
        kind=kind or str(item.get("type") or "?"),
        label_id=_whole(item.get("label_id")),
        points=_numbers(item.get("points")),
        rotation=_float(item.get("rotation")),
        outside=bool(item.get("outside")),
        elements=tuple(_shape("points", element) for element in _dicts(item.get("elements"))),
        values=_values(item),
        is_machine=is_machine,
        in_track=in_track,
    )


def _keyframes(track: Mapping[str, Any], parent: Mapping[str, Any] | None = None) -> Iterator[RawShape]:
    elements = _dicts(track.get("elements"))
    shared = {"id": (parent or track).get("id"), "label_id": track.get("label_id")}
    for shape in _dicts(track.get("shapes")):
        if shape.get("outside"):
            continue  # it only says where the object leaves the picture
        attributes = [*_dicts(track.get("attributes")), *_dicts(shape.get("attributes"))]
        here = dict(shape) | shared | {"attributes": attributes}
        if elements:
            at = shape.get("frame")
            parts = [_at(element, at) for element in elements]
            here["elements"] = [part for part in parts if part is not None]
        yield _shape(None, here, in_track=True)


def _at(element: Mapping[str, Any], frame: object) -> Mapping[str, Any] | None:
    """Return where a point of a skeleton's track is on a frame: at the last keyframe up to there."""
    number = _whole(frame, 0) or 0
    before = [s for s in _dicts(element.get("shapes")) if (_whole(s.get("frame"), 0) or 0) <= number]
    if not before:
        return None
    last = max(before, key=lambda shape: _whole(shape.get("frame"), 0) or 0)
    attributes = [*_dicts(element.get("attributes")), *_dicts(last.get("attributes"))]
    return dict(last) | {"label_id": element.get("label_id"), "attributes": attributes}


def _label(label: LabelSpec) -> RawLabel:
    return RawLabel(
        label.id,
        label.name,
        label.type,
        tuple(RawAttribute(a.id, a.name, a.input_type, a.values) for a in label.attributes),
        tuple(_label(sub) for sub in label.sublabels),
    )


def _numbers(points: object) -> Numbers:
    if isinstance(points, np.ndarray):
        return points
    if not isinstance(points, list):
        return ()
    return [float(value) if isinstance(value, int | float) else float("nan") for value in points]


def _values(item: Mapping[str, Any]) -> dict[int, str]:
    found = {}
    for attribute in _dicts(item.get("attributes")):
        spec_id = _whole(attribute.get("spec_id"))
        if spec_id is not None:
            found[spec_id] = str(attribute.get("value", ""))
    return found


def _whole(value: object, missing: int | None = None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else missing


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _dicts(listed: object) -> list[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
