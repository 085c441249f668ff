"""Attribute values checked before they are sent: the server takes nearly any value with 200."""

from __future__ import annotations

import math
from collections.abc import Mapping

from agir_cvtoolkit.errors import ShapeError, did_you_mean

from .labels import AttributeSpec, LabelSpec

LONGEST_VALUE = 4096
"""Characters that the server takes as a value."""


def checked_attributes(values: Mapping[str, str], label: LabelSpec, where: str) -> dict[str, str]:
    """Return attribute values as the label of a shape takes them: its own names and spellings.

    Args:
        values: by name; names are compared like labels.
        label: the server's label of the shape.
        where: the shape, for messages.

    Raises:
        ShapeError: an attribute that the label does not have, or a value that it does not allow.
    """
    found = {}
    for name, value in values.items():
        spec = label.attribute(name)
        if spec is None:
            known = [attribute.name for attribute in label.attributes]
            listed = ", ".join(f"'{one}'" for one in known) or "none"
            hint = did_you_mean(name, known)
            raise ShapeError(
                f"{where}: the label has no attribute '{name}'. Attributes there are: {listed}.",
                hint or "Add it to the label in CVAT, or leave it out.",
            )
        # The server cuts off space around a value.
        found[spec.name] = _checked(str(value).strip(), spec, where)
    return found


def _checked(value: str, spec: AttributeSpec, where: str) -> str:
    if spec.input_type in {"select", "radio"}:
        allowed = spec.values
    elif spec.input_type == "checkbox":
        value, allowed = value.lower(), ("true", "false")
    elif spec.input_type == "number":
        return _checked_number(value, spec, where)
    elif len(value) > LONGEST_VALUE:
        raise ShapeError(f"{where}: attribute '{spec.name}' has more than {LONGEST_VALUE} characters")
    else:
        return value
    if value not in allowed:
        listed = ", ".join(f"'{one}'" for one in allowed)
        hint = did_you_mean(value, allowed)
        raise ShapeError(
            f"{where}: attribute '{spec.name}' cannot be '{value}'. Allowed are: {listed}.",
            hint or "Choose one of them, or add it to the label in CVAT.",
        )
    return value


def _checked_number(value: str, spec: AttributeSpec, where: str) -> str:
    low, high = -math.inf, math.inf
    try:
        number = float(value)
        if len(spec.values) >= 2:
            low, high = float(spec.values[0]), float(spec.values[1])
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and low <= number <= high):
        allowed = f"a number from {low:g} to {high:g}" if math.isfinite(high) else "a number"
        raise ShapeError(
            f"{where}: attribute '{spec.name}' cannot be '{value}'. Allowed is {allowed}.",
            "Correct the value, or widen the limits of the label in CVAT.",
        )
    return value
