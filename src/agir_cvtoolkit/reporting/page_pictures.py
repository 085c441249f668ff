"""Proposal and correction in one small picture, told apart by brightness and hatching as well as by colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .overlay import RGB, Colour, Mask

ADDED: Final[Colour] = (0, 114, 178)
REMOVED: Final[Colour] = (230, 159, 0)
_DARK: Final[Colour] = (32, 21, 0)
_WHITE: Final[Colour] = (255, 255, 255)
_BLACK: Final[Colour] = (27, 31, 35)
_QUALITY = 82
_AROUND = 0.08
_STRIPE = 6

Point = tuple[float, float]


def difference(rgb: RGB, before: Mask, after: Mask) -> RGB:
    """Lay proposal and correction over a picture.

    What both have is outlined in white; what the person added is filled blue; what the person took away is filled
    yellow with dark stripes.

    Args:
        rgb: uint8 of shape (height, width, 3).
        before, after: bool of shape (height, width).
    """
    painted = rgb.copy()
    rows, columns = np.ogrid[: before.shape[0], : before.shape[1]]
    stripes = (rows + columns) % _STRIPE < 2
    _fill(painted, after & ~before, ADDED, 0.72)
    _fill(painted, before & ~after & ~stripes, REMOVED, 0.82)
    _fill(painted, before & ~after & stripes, _DARK, 0.9)
    kept, _hierarchy = cv2.findContours(
        (before & after).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(painted, kept, -1, _BLACK, 3, cv2.LINE_AA)
    cv2.drawContours(painted, kept, -1, _WHITE, 1, cv2.LINE_AA)
    return painted


def moved_points(rgb: RGB, before: Iterable[Point | None], after: Iterable[Point | None]) -> RGB:
    """Draw proposed and corrected joints over a picture: kept ones in white, moved ones with their way.

    Args:
        rgb: uint8 of shape (height, width, 3).
        before, after: of the same joints in the same order, in pixels of `rgb`; None where a joint is absent.
    """
    painted = rgb.copy()
    size = max(3, max(rgb.shape) // 110)
    for a, b in zip(before, after, strict=True):
        old, new = _pixel(a), _pixel(b)
        if old is not None and new is not None and max(abs(old[0] - new[0]), abs(old[1] - new[1])) <= 1:
            cv2.circle(painted, new, size + 1, _BLACK, -1, cv2.LINE_AA)
            cv2.circle(painted, new, size, _WHITE, -1, cv2.LINE_AA)
            continue
        if old is not None and new is not None:
            cv2.line(painted, old, new, _BLACK, 3, cv2.LINE_AA)
            cv2.line(painted, old, new, _WHITE, 1, cv2.LINE_AA)
        if old is not None:
            cv2.drawMarker(painted, old, _DARK, cv2.MARKER_TILTED_CROSS, 3 * size, 4, cv2.LINE_AA)
            cv2.drawMarker(painted, old, REMOVED, cv2.MARKER_TILTED_CROSS, 3 * size, 2, cv2.LINE_AA)
        if new is not None:
            cv2.circle(painted, new, size + 2, _WHITE, -1, cv2.LINE_AA)
            cv2.circle(painted, new, size, ADDED, -1, cv2.LINE_AA)
    return painted


def cut_to(shown: Mask) -> tuple[slice, slice]:
    """Return the rows and columns around what is marked in a mask; all of them where that is most of the picture.

    Args:
        shown: bool of shape (height, width).
    """
    height, width = shown.shape
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not len(rows):
        return slice(0, height), slice(0, width)
    around = round(_AROUND * max(height, width))
    top, bottom = max(0, int(rows[0]) - around), min(height, int(rows[-1]) + 1 + around)
    left, right = max(0, int(columns[0]) - around), min(width, int(columns[-1]) + 1 + around)
    if (bottom - top) * (right - left) > 0.6 * height * width:
        return slice(0, height), slice(0, width)
    return slice(top, bottom), slice(left, right)


def jpeg(rgb: RGB, longest: int) -> bytes:
    """Return a picture as JPEG, shrunk to a longest side in pixels.

    Args:
        rgb: uint8 of shape (height, width, 3).
        longest: smaller ones stay as they are.
    """
    image = Image.fromarray(rgb)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=3.0)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue()


def data_address(content: bytes) -> str:
    """Return a JPEG as an address that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def _fill(rgb: RGB, mask: Mask, colour: Colour, alpha: float) -> None:
    mixed = rgb[mask] * np.float32(1 - alpha) + np.asarray(colour, dtype=np.float32) * np.float32(alpha)
    rgb[mask] = mixed.astype(np.uint8)


def _pixel(point: Point | None) -> tuple[int, int] | None:
    return None if point is None else (round(point[0]), round(point[1]))


def resized_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> Mask:
    """Return where a mask is not 0, in another size (width, height), nearest pixels."""
    found = cv2.resize(np.not_equal(mask, 0).view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.not_equal(found, 0)
