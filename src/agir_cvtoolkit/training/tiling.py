"""Where tiles lie in a picture, and how a picture and its mask are brought to tile size together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config._training import Preprocess

_WAYS = {
    "AREA": cv2.INTER_AREA,
    "BILINEAR": cv2.INTER_LINEAR,
    "BICUBIC": cv2.INTER_CUBIC,
    "NEAREST": cv2.INTER_NEAREST_EXACT,
}


@dataclass(frozen=True, eq=False)
class CutTile:
    """A tile.

    Attributes:
        left, top: in pixels of the scaled picture.
        image: uint8 of shape (height, width, 3).
        mask: uint8 of shape (height, width), class ids.
    """

    left: int
    top: int
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def starts(side: int, tile: int, stride: int) -> list[int]:
    """Return where tiles begin along a side: every pixel is covered, the last tile is moved inside.

    Args:
        side: length of the picture's side in pixels.
        tile: length of the tile's side.
        stride: at most `tile`.
    """
    if side <= tile:
        return [0]
    last = side - tile
    found = list(range(0, last, stride))
    return [*found, last]


def scaled_size(size: tuple[int, int], settings: Preprocess) -> tuple[int, int]:
    """Return width and height of a picture of `size` after ``scale`` and ``max_side``."""
    factor = settings.scale
    longest = max(size) * factor
    if settings.max_side is not None and longest > settings.max_side:
        factor *= settings.max_side / longest
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def resized(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], size: tuple[int, int], way: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize a picture and its mask to `size` (width, height); the mask takes the nearest pixel."""
    if (image.shape[1], image.shape[0]) == size:
        return image, mask
    smaller = cv2.resize(image, size, interpolation=_WAYS[way])
    smaller_mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(smaller, dtype=np.uint8), np.asarray(smaller_mask, dtype=np.uint8)


def cut(image: NDArray[np.uint8], mask: NDArray[np.uint8], settings: Preprocess) -> Iterator[CutTile]:
    """Cut a scaled picture into tiles of ``preprocess.size``, padding what is smaller; no pixel is lost.

    Yields nothing where the picture is smaller than a tile and padding is off.
    """
    tile_height, tile_width = settings.size.height, settings.size.width
    height, width = mask.shape
    if settings.resize.enabled and _fits_one(height, width, settings):
        factor = min(tile_height / height, tile_width / width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image, mask = resized(image, mask, size, settings.resize.interpolation.image)
        height, width = mask.shape
    if height < tile_height or width < tile_width:
        if not settings.pad.enabled:
            return
        image, mask = _padded(image, mask, settings)
        height, width = mask.shape
    stride = settings.grid_crop.stride
    for top in starts(height, tile_height, stride or tile_height):
        for left in starts(width, tile_width, stride or tile_width):
            rows, columns = slice(top, top + tile_height), slice(left, left + tile_width)
            yield CutTile(left, top, image[rows, columns], mask[rows, columns])


def _fits_one(height: int, width: int, settings: Preprocess) -> bool:
    relative = max(height / settings.size.height, width / settings.size.width)
    if relative <= 1.0:
        return False
    return relative <= settings.grid_crop.threshold or not settings.grid_crop.enabled


def _padded(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], settings: Preprocess
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    missing_height = max(0, settings.size.height - mask.shape[0])
    missing_width = max(0, settings.size.width - mask.shape[1])
    rows = (missing_height // 2, missing_height - missing_height // 2)
    columns = (missing_width // 2, missing_width - missing_width // 2)
    if settings.pad.mode == "reflect":
        return np.pad(image, (rows, columns, (0, 0)), mode="symmetric"), np.pad(
            mask, (rows, columns), mode="symmetric"
        )
    return (
        np.pad(image, (rows, columns, (0, 0)), constant_values=settings.pad.fill),
        np.pad(mask, (rows, columns)),
    )
