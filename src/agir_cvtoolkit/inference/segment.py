"""One picture from pixels to class indices and a score, with either kind of predictor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from .looks import looking_again
from .postprocess import ClassIndex, classify, edge_occupancy, fill_holes, remove_specks
from .predictor import RGB, Band, Predictor, Probabilities
from .scaling import scaled_bands, scaled_tiles
from .tiling import Tiling
from .uncertainty import UncertaintySum

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference

_SPECK_SHARE = 2e-5

Piece = Probabilities | Band
"""A batch of tiles, or a band, as the predictor is of the one kind or the other."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """What a predictor says of a picture.

    Attributes:
        index: uint8 of shape (height, width), indices into the predictor's classes; 0 is background.
        uncertainty: in [0, 1], larger is less sure.
        edge_occupancy: share of the one-pixel border that is foreground.
        foreground_share: share of the picture that is foreground.
        doubt: uint8 of shape (height, width), how unsure each pixel is (0 sure, 255 not at all); None where that is not
            asked for.
    """

    index: ClassIndex
    uncertainty: float
    edge_occupancy: float
    foreground_share: float
    doubt: NDArray[np.uint8] | None = None


def predicted(predictor: Predictor, rgb: RGB, settings: SegInference) -> Iterator[Piece]:
    """Predict a picture, tiled where that is needed: all that needs the predictor itself.

    Args:
        predictor: of either kind.
        rgb: uint8 of shape (height, width, 3).
        settings: tiles, batches, and whether looks are compared (then there is one more plane).
    """
    if settings.uncertainty.score == "disagreement":
        predictor = looking_again(predictor)
    if predictor.needs_tiles:
        return scaled_tiles(predictor, rgb, _tiling(settings))
    return predictor.predict_bands(rgb)


def probability_bands(
    predictor: Predictor, pieces: Iterable[Piece], size: tuple[int, int], settings: SegInference
) -> Iterator[Band]:
    """Yield the probabilities of a picture in bands from top to bottom.

    Args:
        predictor: that the pieces are from.
        pieces: as `predicted` yields them.
        size: width and height of the picture.
        settings: as `predicted` took them.
    """
    if predictor.needs_tiles:
        return scaled_bands(predictor, cast("Iterable[Probabilities]", pieces), size, _tiling(settings))
    return iter(cast("Iterable[Band]", pieces))


def segment(predictor: Predictor, rgb: RGB, settings: SegInference) -> Segmented:
    """Predict a picture, clean the result up and score it.

    Args:
        predictor: of either kind.
        rgb: uint8 of shape (height, width, 3).
        settings: as `segmented` and `predicted` take them.
    """
    size = rgb.shape[1], rgb.shape[0]
    # One after the other: on a CPU, a thread beside a network that has all cores to itself only makes it wait.
    bands = probability_bands(predictor, predicted(predictor, rgb, settings), size, settings)
    return segmented(predictor, rgb.shape[:2], bands, settings)


def segmented(
    predictor: Predictor, shape: tuple[int, int], bands: Iterable[Band], settings: SegInference
) -> Segmented:
    """Make of the bands of a picture what the settings ask for, holding one band at a time.

    Args:
        predictor: that the bands are from.
        shape: height and width of the picture.
        bands: from top to bottom.
        settings: threshold, the areas of specks and holes in pixels, and the measure of doubt. Null areas are 1/50000
            of the picture for whole-picture predictors and 0 for networks.
    """
    post, wanted = settings.post_process, settings.uncertainty
    index: ClassIndex = np.zeros(shape, dtype=np.uint8)
    doubt = np.zeros(shape, dtype=np.uint8) if settings.output.save_uncertainty else None
    score = UncertaintySum(wanted.score, wanted.top_k)
    classes = len(predictor.classes)
    for band in bands:
        rows = slice(band.top, band.top + band.probabilities.shape[1])
        index[rows] = classify(band.probabilities[:classes], post.threshold)
        score.add(band.probabilities, None if doubt is None else doubt[rows])
    default = 0 if predictor.needs_tiles else max(4, round(index.size * _SPECK_SHARE))
    index = remove_specks(index, default if post.min_area is None else post.min_area)
    index = fill_holes(index, default if post.fill_holes is None else post.fill_holes)
    share = float(np.count_nonzero(index) / index.size) if index.size else 0.0
    return Segmented(index, score.score, edge_occupancy(index), share, doubt)


def _tiling(settings: SegInference) -> Tiling:
    tile = settings.tile
    return Tiling(tile.height, tile.width, tile.overlap, tile.pad_mode, settings.batch_size)
