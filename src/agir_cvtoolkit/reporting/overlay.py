"""Masks laid over pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.scratch import let_go
from agir_cvtoolkit.shrinking import averaged

RGB = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

HIT: Final[Colour] = (40, 190, 90)
WRONG: Final[Colour] = (235, 60, 50)
MISSED: Final[Colour] = (60, 120, 255)

_LONGEST = 2000


def overlay(rgb: RGB, mask: Mask, colour: Colour = HIT, alpha: float = 0.5) -> RGB:
    """Lay a mask over a picture in one colour, its outline opaque.

    Args:
        rgb: uint8 of shape (height, width, 3).
        mask: bool of shape (height, width).
        colour: red, green, blue.
        alpha: how opaque the inside is, 0 to 1.
    """
    painted = rgb.copy()
    _tint(painted, mask, colour, alpha)
    _outline(painted, mask, colour)
    return painted


def comparison(rgb: RGB, mask: Mask, truth: Mask, alpha: float = 0.5) -> RGB:
    """Lay a mask over a picture: right parts in `HIT`, false positives in `WRONG`, false negatives in
    `MISSED`.

    Args:
        rgb: uint8 of shape (height, width, 3).
        mask, truth: bool of shape (height, width).
        alpha: how opaque the right parts are; errors are more opaque.
    """
    painted = rgb.copy()
    strong = 1 - (1 - alpha) * 0.4
    _tint(painted, mask & truth, HIT, alpha)
    _tint(painted, mask & ~truth, WRONG, strong)
    _tint(painted, truth & ~mask, MISSED, strong)
    _outline(painted, mask, (255, 255, 255))
    return painted


def save_overlay(rgb: RGB, mask: Mask | NDArray[np.uint8], path: Path, alpha: float = 0.5) -> None:
    """Write a mask laid over its picture as JPEG, at most 2000 pixels on the longer side.

    Args:
        rgb: uint8 of shape (height, width, 3).
        mask: bool or uint8 of shape (height, width); 0 is background.
        path: where to; its suffix does not matter.
        alpha: how opaque the mask lies over the picture, 0 to 1.
    """
    small, small_mask = shrunk(rgb, _LONGEST), shrunk(mask.view(np.uint8), _LONGEST) != 0
    Image.fromarray(overlay(small, small_mask, alpha=alpha)).save(path, format="JPEG", quality=90)


def shrunk(array: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Return an array, shape (height, width) or (height, width, channels), shrunk to a longest side in
    pixels.

    Pictures are averaged over areas, masks (two dimensions) take the nearest pixel; smaller ones stay as they
    are.
    """
    height, width = array.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return array
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if array.ndim == 3:
        return averaged(array, size)
    nearest = np.asarray(cv2.resize(array, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    let_go(array)
    return nearest


def _tint(rgb: RGB, mask: Mask, colour: Colour, alpha: float) -> None:
    if mask.any():
        blended = rgb[mask] * np.float32(1 - alpha) + np.array(colour, dtype=np.float32) * np.float32(alpha)
        rgb[mask] = blended.astype(np.uint8)


def _outline(rgb: RGB, mask: Mask, colour: Colour) -> None:
    found, _hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    width = max(1, round(max(mask.shape) / 1000))
    cv2.drawContours(rgb, found, -1, colour, width, cv2.LINE_AA)
