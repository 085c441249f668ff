"""Values of attributes, as labels define them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def value_fits(value: str, input_type: str, values: Sequence[str]) -> bool:
    """Tell whether an attribute may have a value.

    Args:
        value: as it is kept; space around it does not count.
        input_type: ``select``, ``radio``, ``checkbox``, ``number`` or ``text``; others are not known, and take all.
        values: the choices; of a number minimum, maximum and step (which does not count).
    """
    text = value.strip()
    if input_type in {"select", "radio"}:
        return text in values
    if input_type == "checkbox":
        return text in {"true", "false"}
    if input_type != "number":
        return True
    try:
        number = float(text)
        low, high = (float(values[0]), float(values[1])) if len(values) >= 2 else (-math.inf, math.inf)
    except ValueError:
        return False
    return math.isfinite(number) and low <= number <= high
