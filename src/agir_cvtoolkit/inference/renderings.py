"""The pictures that are made of a mask on request: cutouts and masks in colour."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.records import FieldValue

from .postprocess import ClassIndex
from .predictor import RGB

Colour = tuple[int, int, int]


def cutout(rgb: RGB, index: ClassIndex, *, rgba: bool) -> NDArray[np.uint8]:
    """Return the plants alone, on black or, with `rgba`, on nothing.

    Args:
        rgb: uint8 of shape (height, width, 3).
        index: uint8 of shape (height, width); 0 is background.
        rgba: return shape (height, width, 4) with alpha 0 in the background.
    """
    foreground = index != 0
    if rgba:
        alpha = foreground.view(np.uint8) * np.uint8(255)
        return np.dstack([rgb, alpha])
    alone: RGB = rgb * foreground[..., None].view(np.uint8)
    return alone


def colorized(index: ClassIndex, colour: Colour, brightness: float) -> RGB:
    """Return a mask in one colour on black, uint8 of shape (height, width, 3); channels stop at 255."""
    bright = np.clip(np.array(colour, dtype=np.float64) * brightness, 0, 255).round().astype(np.uint8)
    table = np.zeros((2, 3), dtype=np.uint8)
    table[1] = bright
    painted: RGB = table[(index != 0).view(np.uint8)]
    return painted


def colour_of(value: FieldValue, fallback: Colour) -> Colour:
    """Read a colour that a source wrote as ``[r, g, b]``; whatever is not one gives the fallback."""
    if not isinstance(value, str):
        return fallback
    try:
        channels = json.loads(value)
    except ValueError:
        return fallback
    if not isinstance(channels, list) or len(channels) != 3:
        return fallback
    if not all(isinstance(c, int | float) and 0 <= c <= 255 for c in channels):
        return fallback
    red, green, blue = (round(c) for c in channels)
    return red, green, blue
