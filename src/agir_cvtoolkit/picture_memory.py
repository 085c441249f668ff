"""How many bytes the pixels of a picture take in memory: what is in work at once is bounded by them.

The figures are measured peaks of a process, per pixel of the picture.
"""

from __future__ import annotations

from .pictures import PictureInfo

A_PIXEL = 14
"""Bytes that a pixel of a picture of 8 bits takes on its way, where nothing special is asked."""

_DECODING = {"RGB": 7, "L": 8, "P": 8, "1": 8, "CMYK": 12, "I;16": 10, "I": 12, "F": 12}
"""Bytes for each pixel while a file is decoded to RGB, by the mode."""
_DECODING_LAYERS = 16
_TURNING = 4


def decoding_bytes(info: PictureInfo) -> int:
    """Return how many bytes each pixel of a picture takes at most while its file is decoded to RGB."""
    mode = "I;16" if info.mode.startswith("I;16") else info.mode
    stored = info.float_bytes or _DECODING.get(mode, _DECODING_LAYERS)
    return stored + _TURNING * (info.orientation != 1)
