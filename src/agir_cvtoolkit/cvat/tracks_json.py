"""Tracks as the server's JSON, read tolerantly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agir_cvtoolkit.shapes import Keyframe, Track

from .attributes_json import attributes_from_json
from .labels import LabelSet, LabelSpec
from .shapes_json import NOT_UNDERSTOOD, frame_number, not_understood, read_shape


def track_from_json(item: Mapping[str, Any], labels: LabelSet) -> Track | str:
    """Read one track; or why it was left out, for half a track would be a lie."""
    label = labels.by_id(item.get("label_id"))
    if label is None:
        return f"its label {item.get('label_id')} is unknown"
    try:
        return _track(item, label)
    except NOT_UNDERSTOOD as error:
        return not_understood(error)


def _track(item: Mapping[str, Any], label: LabelSpec) -> Track:
    source = str(item.get("source") or "manual")
    group = item.get("group")
    found = (_keyframe(shape, label, source) for shape in item.get("shapes") or ())
    # The server may keep a keyframe twice; of equal frames the last one counts.
    keyframes = {keyframe.frame: keyframe for keyframe in found}
    if not keyframes:
        raise ValueError("it has no keyframes")
    by_id = {sublabel.id: sublabel for sublabel in label.sublabels}
    elements = {}
    for element in item.get("elements") or ():
        sublabel = by_id.get(element.get("label_id"))
        if sublabel is None:
            raise ValueError(f"element with the foreign label {element.get('label_id')}")
        elements[sublabel.name] = _track(element, sublabel)
    return Track(
        label=label.name,
        source=source,
        group=group if isinstance(group, int) else 0,
        attributes=attributes_from_json(item.get("attributes"), label),
        keyframes=tuple(keyframes[frame] for frame in sorted(keyframes)),
        elements=tuple(elements[s.name] for s in label.sublabels if s.name in elements),
    )


def _keyframe(item: Mapping[str, Any], label: LabelSpec, source: str) -> Keyframe:
    kind = str(item.get("type") or "?")
    frame = frame_number(item)
    if frame is None:
        raise TypeError("a keyframe names no frame")
    shape = read_shape(kind, {**item, "source": source}, label)
    if shape is None:
        raise ValueError(f"tracks of type {kind} are not taken")
    return Keyframe(frame=frame, shape=shape, outside=bool(item.get("outside")))
