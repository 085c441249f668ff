"""The pictures that are made of a mask on request: cutouts and masks in colour."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.records import FieldValue

from .postprocess import ClassIndex
from .predictor import RGB

Colour = tuple[int, int, int]

_GOLDEN = 0.6180339887


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


def colorized(index: ClassIndex, colours: Sequence[Colour], brightness: float) -> RGB:
    """Return a mask in colour on black, uint8 of shape (height, width, 3).

    Args:
        index: uint8 of shape (height, width), 0 is background.
        colours: of the classes 1, 2, ...
        brightness: factor on the colours; channels stop at 255.
    """
    table = np.zeros((len(colours) + 1, 3), dtype=np.uint8)
    table[1:] = np.clip(np.array(colours, dtype=np.float64) * brightness, 0, 255).round()
    painted: RGB = table[index]
    return painted


def palette_colour(value: int) -> Colour:
    """Return the colour of a mask value where nothing else gives it one: hues a golden angle apart."""
    red, green, blue = colorsys.hsv_to_rgb((value * _GOLDEN) % 1.0, 0.75, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


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
