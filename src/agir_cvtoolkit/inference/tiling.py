"""Tiles of a picture, predicted in batches and blended back in bands.

Tiles are spread evenly and overlap; each counts most in its middle (a squared sine, the periodic Hann
window), so no seam shows. Rows are given out as soon as no later tile can touch them: memory is that of one
row of tiles, whatever the height of the picture. Tiles are added in reading order, so the size of a batch
changes nothing. While one batch is predicted, the one before is blended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .predictor import RGB, Band, Probabilities, TilePredictor

_FAINTEST = np.float32(1e-3)


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
        height, width: of a tile, in pixels.
        overlap: smallest share of a tile that its neighbour sees too, in [0, 1).
        pad_mode: ``reflect`` or ``constant`` (black), for pictures smaller than a tile.
        batch_size: tiles predicted at once.
    """

    height: int = 512
    width: int = 512
    overlap: float = 0.25
    pad_mode: str = "reflect"
    batch_size: int = 4


def tile_starts(size: int, tile: int, overlap: float) -> tuple[int, ...]:
    """Return where tiles begin along one side, spread evenly from 0 to ``size - tile``.

    Args:
        size: of the picture, at least `tile`.
        tile: of a tile.
        overlap: smallest share of a tile that its neighbour covers too.
    """
    stride = max(1, math.floor(tile * (1 - overlap)))
    count = math.ceil((size - tile) / stride) + 1
    if count == 1:
        return (0,)
    return tuple(round(i * (size - tile) / (count - 1)) for i in range(count))


def blending_window(size: int) -> NDArray[np.float32]:
    """Return weights along one side of a tile, float32: a squared sine, nowhere below 0.001."""
    phase = np.pi * (np.arange(size, dtype=np.float64) + 0.5) / size
    weights: NDArray[np.float32] = np.maximum(np.sin(phase) ** 2, _FAINTEST).astype(np.float32)
    return weights


def blended_bands(predictor: TilePredictor, rgb: RGB, tiling: Tiling) -> Iterator[Band]:
    """Predict a picture tile by tile and yield its rows from top to bottom.

    Args:
        predictor: gives float32 (n, classes, height, width) for uint8 (n, height, width, 3).
        rgb: uint8 of shape (height, width, 3).
        tiling: size, overlap and batches.

    Yields:
        Bands whose probabilities are the weighted means of the tiles that cover a pixel.
    """
    height, width = rgb.shape[:2]
    padded, (pad_top, pad_left) = _padded(rgb, tiling)
    tops = tile_starts(padded.shape[0], tiling.height, tiling.overlap)
    lefts = tile_starts(padded.shape[1], tiling.width, tiling.overlap)
    window_y, window_x = blending_window(tiling.height), blending_window(tiling.width)
    weights = window_y[:, None] * window_x[None, :]
    total_y = _summed(window_y, tops, padded.shape[0])
    total_x = _summed(window_x, lefts, padded.shape[1])
    classes = len(predictor.classes)
    sums: Probabilities | None = None
    for number, tile in enumerate(_predicted(predictor, padded, tops, lefts, tiling)):
        row, column = divmod(number, len(lefts))
        # What is left of 1 is background: it needs no sum of its own.
        planes = tile[1:]
        if sums is None:
            sums = np.zeros((len(planes), tiling.height, padded.shape[1]), dtype=np.float32)
        sums[:, :, lefts[column] : lefts[column] + tiling.width] += planes * weights
        if column + 1 < len(lefts):
            continue
        top = tops[row]
        finished = (tops[row + 1] if row + 1 < len(tops) else padded.shape[0]) - top
        first, last = max(top, pad_top), min(top + finished, pad_top + height)
        if first < last:
            rows = slice(first - top, last - top)
            total = total_y[first:last, None] * total_x[None, pad_left : pad_left + width]
            band = np.empty((len(planes) + 1, last - first, width), dtype=np.float32)
            np.divide(sums[:, rows, pad_left : pad_left + width], total, out=band[1:])
            np.subtract(1, band[1:classes].sum(axis=0), out=band[0])
            yield Band(first - pad_top, band)
        sums[:, : tiling.height - finished] = sums[:, finished:].copy()
        sums[:, tiling.height - finished :] = 0.0


def _predicted(
    predictor: TilePredictor, rgb: RGB, tops: tuple[int, ...], lefts: tuple[int, ...], tiling: Tiling
) -> Iterator[Probabilities]:
    """Yield tiles in reading order, one batch ahead of the one who takes them."""
    places = [(top, left) for top in tops for left in lefts]

    def predicted(start: int) -> Probabilities:
        chosen = places[start : start + tiling.batch_size]
        tiles = [rgb[top : top + tiling.height, left : left + tiling.width] for top, left in chosen]
        return predictor.predict_tiles(np.stack(tiles))

    with ThreadPoolExecutor(1, "agir-tiles") as ahead:
        upcoming = ahead.submit(predicted, 0)
        for start in range(tiling.batch_size, len(places) + tiling.batch_size, tiling.batch_size):
            batch = upcoming.result()
            if start < len(places):
                upcoming = ahead.submit(predicted, start)
            yield from batch


def _padded(rgb: RGB, tiling: Tiling) -> tuple[RGB, tuple[int, int]]:
    missing = max(0, tiling.height - rgb.shape[0]), max(0, tiling.width - rgb.shape[1])
    if missing == (0, 0):
        return rgb, (0, 0)
    top, left = missing[0] // 2, missing[1] // 2
    pads = ((top, missing[0] - top), (left, missing[1] - left), (0, 0))
    if tiling.pad_mode == "constant":
        return np.pad(rgb, pads), (top, left)
    return np.pad(rgb, pads, mode="reflect"), (top, left)


def _summed(window: NDArray[np.float32], starts: tuple[int, ...], size: int) -> NDArray[np.float32]:
    total = np.zeros(size, dtype=np.float32)
    for start in starts:
        total[start : start + len(window)] += window
    return total
