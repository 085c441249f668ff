"""Prediction at the scale that a network was trained at, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.shrinking import averaged

from .predictor import RGB, Band, Probabilities, TilePredictor
from .tiling import Tiling, blended_bands, predicted_tiles

_ROWS = 256
_FULL = np.float32(65535)


def scaled_tiles(predictor: TilePredictor, rgb: RGB, tiling: Tiling) -> Iterator[Probabilities]:
    """Predict a picture at its working size and yield batches of tiles; it is reduced by averaging over areas.

    Args:
        predictor: names the working size.
        rgb: uint8 of shape (height, width, 3).
        tiling: in pixels of the working size.
    """
    size = rgb.shape[1], rgb.shape[0]
    working = predictor.working_size(size)
    if working != size:
        smaller = working[0] < size[0]
        rgb = averaged(rgb, working) if smaller else np.asarray(cv2.resize(rgb, working), dtype=np.uint8)
    return predicted_tiles(predictor, rgb, tiling)


def scaled_bands(
    predictor: TilePredictor, batches: Iterable[Probabilities], size: tuple[int, int], tiling: Tiling
) -> Iterator[Band]:
    """Blend tiles of a picture at its working size and yield bands at its own size.

    Probabilities are enlarged linearly, pixel centre to pixel centre. In between, all planes but the background's are
    held as 16-bit numbers at the working size.

    Args:
        predictor: that the tiles are from.
        batches: as `scaled_tiles` yields them.
        size: width and height of the picture.
        tiling: in pixels of the working size.
    """
    working = predictor.working_size(size)
    classes = len(predictor.classes)
    bands = blended_bands(batches, classes, working, tiling)
    if working == size:
        yield from bands
        return
    planes = np.empty((0, working[1], working[0]), dtype=np.uint16)
    for band in bands:
        if not len(planes):
            planes = np.empty((len(band.probabilities) - 1, working[1], working[0]), dtype=np.uint16)
        rows = slice(band.top, band.top + band.probabilities.shape[1])
        planes[:, rows] = np.rint(np.clip(band.probabilities[1:], 0, 1) * _FULL)
    yield from _enlarged(planes, classes, size)


def _enlarged(planes: NDArray[np.uint16], classes: int, size: tuple[int, int]) -> Iterator[Band]:
    height, width = planes.shape[1:]
    step_x, step_y = width / size[0], height / size[1]
    for top in range(0, size[1], _ROWS):
        rows = min(_ROWS, size[1] - top)
        first = max(0, math.floor((top + 0.5) * step_y - 0.5) - 1)
        last = min(height, math.ceil((top + rows + 0.5) * step_y - 0.5) + 2)
        offset = (top + 0.5) * step_y - 0.5 - first
        matrix = np.array([[step_x, 0, 0.5 * step_x - 0.5], [0, step_y, offset]], dtype=np.float64)
        band: Probabilities = np.empty((len(planes) + 1, rows, size[0]), dtype=np.float32)
        for plane, out in zip(planes, band[1:], strict=True):
            out[:] = cv2.warpAffine(
                plane[first:last].astype(np.float32) / _FULL,
                matrix,
                (size[0], rows),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        band[0] = 1 - band[1:classes].sum(axis=0)
        yield Band(top, band)
