"""One picture from pixels to class indices and a score, with either kind of predictor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .postprocess import ClassIndex, classify, edge_occupancy, fill_holes, remove_specks
from .predictor import RGB, Band, Predictor
from .scaling import scaled_bands
from .tiling import Tiling
from .uncertainty import UncertaintySum

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference

_SPECK_SHARE = 2e-5


@dataclass(frozen=True, eq=False)
class Segmented:
    """What a predictor says of a picture.

    Attributes:
        index: uint8 of shape (height, width), indices into the predictor's classes; 0 is background.
        uncertainty: in [0, 1], larger is less sure.
        edge_occupancy: share of the one-pixel border that is foreground.
        foreground_share: share of the picture that is foreground.
    """

    index: ClassIndex
    uncertainty: float
    edge_occupancy: float
    foreground_share: float


def probability_bands(predictor: Predictor, rgb: RGB, tiling: Tiling) -> Iterator[Band]:
    """Yield the probabilities of a picture in bands from top to bottom, tiled where that is needed."""
    if predictor.needs_tiles:
        return scaled_bands(predictor, rgb, tiling)
    return predictor.predict_bands(rgb)


def segment(predictor: Predictor, rgb: RGB, settings: SegInference) -> Segmented:
    """Predict a picture, clean the result up and score it.

    Args:
        predictor: of either kind.
        rgb: uint8 of shape (height, width, 3).
        settings: tiles, threshold, and the areas of specks and holes in pixels; null areas are 1/50000 of the
            picture for whole-picture predictors and 0 for networks.
    """
    post, tile = settings.post_process, settings.tile
    tiling = Tiling(tile.height, tile.width, tile.overlap, tile.pad_mode, settings.batch_size)
    index: ClassIndex = np.zeros(rgb.shape[:2], dtype=np.uint8)
    doubt = UncertaintySum()
    for band in probability_bands(predictor, rgb, tiling):
        index[band.top : band.top + band.probabilities.shape[1]] = classify(
            band.probabilities, post.threshold
        )
        doubt.add(band.probabilities)
    default = 0 if predictor.needs_tiles else max(4, round(index.size * _SPECK_SHARE))
    index = remove_specks(index, default if post.min_area is None else post.min_area)
    index = fill_holes(index, default if post.fill_holes is None else post.fill_holes)
    share = float(np.count_nonzero(index) / index.size) if index.size else 0.0
    return Segmented(index, doubt.score, edge_occupancy(index), share)
