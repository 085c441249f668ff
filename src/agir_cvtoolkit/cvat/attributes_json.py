"""Attributes of annotations as the server's JSON, and the confidence that some labels have among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .labels import AttributeSpec, LabelSpec

CONFIDENCE_NAMES = ("confidence", "score")


def attributes_to_json(
    values: Mapping[str, str], confidence: float | None, label: LabelSpec, *, score: bool
) -> list[dict[str, Any]]:
    """Return attribute values by the server's ids, and the confidence where it has no place but an attribute."""
    wanted = {}
    for name, value in values.items():
        spec = label.attribute(name)
        if spec is not None:
            wanted[spec.id] = value
    if confidence is not None and not score:
        for name in CONFIDENCE_NAMES:
            spec = label.attribute(name)
            if spec is not None and spec.id not in wanted:
                text = _confidence_text(confidence, spec)
                if text is not None:
                    wanted[spec.id] = text
                break
    return [{"spec_id": spec_id, "value": str(value)} for spec_id, value in wanted.items()]


def _confidence_text(confidence: float, spec: AttributeSpec) -> str | None:
    if spec.input_type == "text":
        return f"{confidence:.4f}"
    if spec.input_type != "number" or len(spec.values) < 3:
        return None
    try:
        low, high, step = (float(value) for value in spec.values[:3])
    except ValueError:
        return None
    # An attribute from 0 to 100 takes percent; the server's interface knows whole numbers only.
    value = low + min(1.0, max(0.0, confidence)) * (high - low)
    if step > 0:
        value = low + round((value - low) / step) * step
    return f"{value:g}"


def attributes_from_json(items: object, label: LabelSpec) -> dict[str, str]:
    """Return attribute values by name; those of unknown attributes are left out."""
    by_id = {spec.id: spec.name for spec in label.attributes}
    found = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and item.get("spec_id") in by_id:
            found[by_id[item["spec_id"]]] = str(item.get("value", ""))
    return found


def confidence_of(
    score: object, source: str, attributes: Mapping[str, str], label: LabelSpec
) -> float | None:
    """Return how sure a model was: the server's score, or the attribute that stands for it.

    A person's shape has none. Where the score is 1, which servers put where nobody has said one, an attribute
    is believed more.
    """
    if source == "manual":
        return None
    given = float(score) if isinstance(score, int | float) and 0.0 <= score <= 1.0 else None
    if given is not None and given != 1.0:
        return given
    for name in CONFIDENCE_NAMES:
        spec = label.attribute(name)
        value = None if spec is None else _confidence_from_text(attributes.get(spec.name, ""), spec)
        if value is not None:
            return value
    return given


def _confidence_from_text(text: str, spec: AttributeSpec) -> float | None:
    try:
        value = float(text)
        if spec.input_type == "number" and len(spec.values) >= 2:
            low, high = (float(limit) for limit in spec.values[:2])
            value = (value - low) / (high - low)
    except (ValueError, ZeroDivisionError):
        return None
    return value if 0.0 <= value <= 1.0 else None
