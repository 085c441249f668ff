"""Stretches of time and fields of a map, as groups to draw from evenly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

Place = tuple[float, ...]
Cell = tuple[int, ...]

_LARGEST = 1e15
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)


def place_of(values: Sequence[object]) -> Place | None:
    """Return the coordinates of a row, None where it lacks one or they make no sense.

    Args:
        values: each a number, a date in ISO or EXIF style (its seconds count), or a text of a list of
            numbers such as ``[35.1, -78.2]``, which gives several coordinates.
    """
    found: list[float] = []
    for value in values:
        part = _coordinates(value)
        if not part:
            return None
        found += part
    # What is not a number is not below a limit either.
    return tuple(found) if all(-_LARGEST < one < _LARGEST for one in found) else None


def cells(places: Iterable[Place], n: int) -> Callable[[Place], Cell]:
    """Return what tells in which cell of a grid a place lies.

    The grid covers all places with cells of one size: `n` of them for one coordinate, else the least number
    of at least `n` that is the same along each.
    """
    low: Place | None = None
    high: Place = ()
    for place in places:
        low, high = (
            (place, place) if low is None else (tuple(map(min, low, place)), tuple(map(max, high, place)))
        )
    start = low or ()
    side = _side(n, len(start))
    steps = [(last - first) / side or 1.0 for first, last in zip(start, high, strict=True)]

    def cell_of(place: Place) -> Cell:
        return tuple(
            min(side - 1, max(0, int((one - first) / step)))
            for one, first, step in zip(place, start, steps, strict=False)
        )

    return cell_of


def _side(n: int, dimensions: int) -> int:
    if dimensions <= 1:
        return max(1, n)
    side = max(1, math.floor(math.pow(n, 1 / dimensions)))
    while side**dimensions < n:
        side += 1
    return side


def _coordinates(value: object) -> list[float]:
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [float(value)]
    text = str(value).strip()
    if text[4:5] in {"-", ":"}:
        # EXIF separates year, month and day by colons.
        return _seconds(f"{text[:4]}-{text[5:7]}-{text[8:]}")
    try:
        found = json.loads(text.replace("(", "[").replace(")", "]"))
        listed = found if isinstance(found, list) else [found]
        return [float(one) for one in listed if isinstance(one, int | float) and not isinstance(one, bool)]
    except (ValueError, OverflowError, RecursionError):
        return []


def _seconds(text: str) -> list[float]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return []
    return [(moment - (_EPOCH_UTC if moment.tzinfo else _EPOCH)).total_seconds()]
