"""What the text and numbers of a row mean: present or missing, class ids, boxes, sizes."""

from __future__ import annotations

import json
import math

from agir_cvtoolkit.records import Box, FieldValue

NO_CLASS = 255
"""Mask value of the foreground where the source has no class id."""

LARGEST_SIDE = 1_000_000
"""No picture has a longer side, in pixels; a box beyond it is a mistake."""

MISSING = frozenset({"", "none", "null", "nan", "na", "n/a", "<na>"})
"""Texts, in lower case, that say that there is no value."""


def text_of(value: FieldValue) -> str | None:
    """Return a value as text; None where it is missing or says ``None``, ``null`` or ``nan``."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return None if text.lower() in MISSING else text


def id_of(value: FieldValue) -> str | None:
    """Return an id as text; only an empty one is missing, for any word may be an id."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if str(value).strip() else None


def class_of(value: FieldValue) -> int:
    """Return a class id in 1..255; anything else is 255."""
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 1 <= number <= NO_CLASS else NO_CLASS


def size_of(width: FieldValue, height: FieldValue) -> tuple[int, int] | None:
    """Return width and height of the picture at full resolution, in pixels, where both are told."""
    sides = []
    for value in (width, height):
        number = _number(value)
        if number is None or not number.is_integer() or not 1 <= number <= LARGEST_SIDE:
            return None
        sides.append(int(number))
    return sides[0], sides[1]


def box_of(value: FieldValue, size: tuple[int, int] | None) -> Box | str | None:
    """Read ``[x, y, w, h]``, in pixels of the full-resolution picture.

    Args:
        value: text of a JSON list of four numbers.
        size: width and height of the picture; the box is clipped to it, without it only at 0.

    Returns:
        The box, None where there is none, or in words why it is dropped.
    """
    text = text_of(value)
    if text is None:
        return None
    try:
        content = json.loads(text.replace("(", "[").replace(")", "]"))
    except (ValueError, RecursionError):
        return f"its box '{text[:60]}' cannot be read"
    if not isinstance(content, list) or len(content) != 4 or not all(_is_side(side) for side in content):
        return f"its box '{text[:60]}' is not four numbers x, y, width, height"
    x, y, width, height = (float(side) for side in content)
    if width <= 0 or height <= 0:
        return f"its box '{text[:60]}' is empty"
    clipped = Box(x, y, width, height).clipped(size or (LARGEST_SIDE, LARGEST_SIDE))
    if clipped is None:
        return f"its box '{text[:60]}' lies outside the picture"
    return clipped


def _is_side(side: object) -> bool:
    if isinstance(side, bool) or not isinstance(side, int | float):
        return False
    return -LARGEST_SIDE <= side <= LARGEST_SIDE


def _number(value: FieldValue) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
