"""Samples of more than eight bits made eight, by one rule that a file's own values decide.

- 16-bit integers: the upper eight of the bits that are in use, so that a dark picture stays dark; above them is white.
- 32-bit integers and floats: the largest value says what white is. Floats up to 1 are shares of white; up to 255 values
  are those of eight bits already; above they are those of sixteen.
- Values that are no numbers, or infinite, are black.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 20


def as_8_bit(array: NDArray[Any], bits: int = 16) -> NDArray[np.uint8]:
    """Return samples as eight bits, some rows at a time.

    Args:
        array: of integers of 16 or 32 bits or of floats, shape (height, width) or (height, width, channels).
        bits: of integers of 16 bits those that are in use, 8 to 16.
    """
    found = np.empty(array.shape, np.uint8)
    step = max(1, _AT_ONCE // max(1, array[:1].size))
    parts = [slice(top, top + step) for top in range(0, len(array), step)]
    if array.dtype.itemsize == 2 and array.dtype.kind in "ui":
        for rows in parts:
            upper = array[rows].astype(np.uint16) >> (bits - 8)
            found[rows] = upper if bits == 16 else np.minimum(upper, 255)
        return found
    highest = max((_finite(array[rows]).max(initial=0) for rows in parts), default=0)
    is_share = array.dtype.kind == "f" and highest <= 1
    top = 1.0 if is_share else 65535.0 if highest > 255 else 255.0
    for rows in parts:
        found[rows] = (_finite(array[rows]).clip(0, top) * (255.0 / top)).round()
    return found


def _finite(part: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(part.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
