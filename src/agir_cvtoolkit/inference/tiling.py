"""Tiles of a picture, predicted in batches and blended back in bands.

Tiles are spread evenly and overlap; each counts most in its middle (a squared sine, the periodic Hann
window), so no seam shows. Rows are given out as soon as no later tile can touch them: memory is that of one
row of tiles, whatever the height of the picture. Tiles are added in reading order, so the size of a batch
changes nothing. Predicting and blending are apart, so that they can run in different threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.scratch import let_go

from .predictor import RGB, Band, Probabilities, TilePredictor

_FAINTEST = np.float32(1e-3)
_BAND_PIXELS = 1 << 22
"""Rows of tiles of a wider picture are given out in several bands."""


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


def predicted_tiles(predictor: TilePredictor, rgb: RGB, tiling: Tiling) -> Iterator[Probabilities]:
    """Predict a picture tile by tile and yield the batches, in reading order.

    Args:
        predictor: gives float32 (n, classes, height, width) for uint8 (n, height, width, 3).
        rgb: uint8 of shape (height, width, 3).
        tiling: size, overlap and batches.
    """
    grid = _Grid.of((rgb.shape[1], rgb.shape[0]), tiling)
    padded = grid.padded(rgb, tiling.pad_mode)
    places = [(top, left) for top in grid.tops for left in grid.lefts]
    for start in range(0, len(places), tiling.batch_size):
        chosen = places[start : start + tiling.batch_size]
        batch = np.empty((len(chosen), tiling.height, tiling.width, 3), dtype=np.uint8)
        for tile, (top, left) in zip(batch, chosen, strict=True):
            tile[:] = padded[top : top + tiling.height, left : left + tiling.width]
            let_go(rgb)
        yield predictor.predict_tiles(batch)


def blended_bands(
    batches: Iterable[Probabilities], classes: int, size: tuple[int, int], tiling: Tiling
) -> Iterator[Band]:
    """Blend tiles and yield the rows of a picture from top to bottom.

    Args:
        batches: as `predicted_tiles` yields them.
        classes: how many of the planes are classes; others (`looks`) lie behind them.
        size: width and height of the picture.
        tiling: size and overlap.

    Yields:
        Bands whose probabilities are the weighted means of the tiles that cover a pixel.
    """
    grid = _Grid.of(size, tiling)
    window_y, window_x = blending_window(tiling.height), blending_window(tiling.width)
    weights = window_y[:, None] * window_x[None, :]
    share_x = np.reciprocal(_summed(window_x, grid.lefts, grid.width))[
        grid.pad_left : grid.pad_left + size[0]
    ]
    share_y = np.reciprocal(_summed(window_y, grid.tops, grid.height))
    weighted = np.empty_like(weights)
    sums: Probabilities | None = None
    for number, tile in enumerate(tile for batch in batches for tile in batch):
        row, column = divmod(number, len(grid.lefts))
        # What is left of 1 is background: it needs no sum of its own.
        planes = tile[1:]
        if sums is None:
            sums = np.zeros((len(planes), tiling.height, grid.width), dtype=np.float32)
        left = grid.lefts[column]
        for plane, total in zip(planes, sums[:, :, left : left + tiling.width], strict=True):
            np.multiply(plane, weights, out=weighted)
            np.add(total, weighted, out=total)
        if column + 1 < len(grid.lefts):
            continue
        top = grid.tops[row]
        finished = (grid.tops[row + 1] if row + 1 < len(grid.tops) else grid.height) - top
        first, last = max(top, grid.pad_top), min(top + finished, grid.pad_top + size[1])
        step = max(1, _BAND_PIXELS // size[0])
        for start in range(first, last, step):
            end = min(start + step, last)
            part = sums[:, start - top : end - top, grid.pad_left : grid.pad_left + size[0]]
            yield Band(start - grid.pad_top, _whole(part, share_y[start:end], share_x, classes))
        sums[:, : tiling.height - finished] = sums[:, finished:].copy()
        sums[:, tiling.height - finished :] = 0.0


@dataclass(frozen=True)
class _Grid:
    """Where tiles lie on a picture that was padded to hold one at least."""

    height: int
    width: int
    pad_top: int
    pad_left: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def of(cls, size: tuple[int, int], tiling: Tiling) -> _Grid:
        width, height = max(size[0], tiling.width), max(size[1], tiling.height)
        return cls(
            height,
            width,
            (height - size[1]) // 2,
            (width - size[0]) // 2,
            tile_starts(height, tiling.height, tiling.overlap),
            tile_starts(width, tiling.width, tiling.overlap),
        )

    def padded(self, rgb: RGB, mode: str) -> RGB:
        height, width = rgb.shape[:2]
        if (height, width) == (self.height, self.width):
            return rgb
        bottom, right = self.height - height - self.pad_top, self.width - width - self.pad_left
        pads = ((self.pad_top, bottom), (self.pad_left, right), (0, 0))
        return np.pad(rgb, pads) if mode == "constant" else np.pad(rgb, pads, mode="reflect")


def _whole(
    sums: Probabilities, share_y: NDArray[np.float32], share_x: NDArray[np.float32], classes: int
) -> Probabilities:
    """Return weighted sums divided by the weights, behind the background that is left of 1."""
    band = np.empty((len(sums) + 1, *sums.shape[1:]), dtype=np.float32)
    for total, plane in zip(sums, band[1:], strict=True):
        np.multiply(total, share_x, out=plane)
        np.multiply(plane, share_y[:, None], out=plane)
    np.subtract(1, band[1], out=band[0])
    for plane in band[2:classes]:
        np.subtract(band[0], plane, out=band[0])
    return band


def _summed(window: NDArray[np.float32], starts: tuple[int, ...], size: int) -> NDArray[np.float32]:
    total = np.zeros(size, dtype=np.float32)
    for start in starts:
        total[start : start + len(window)] += window
    return total
