"""One picture from pixels to class indices and a score, with either kind of predictor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.scratch import bands as rows_of
from agir_cvtoolkit.scratch import beside, let_go

from .ensemble import PLANE
from .looks import looking_again
from .postprocess import ClassIndex, classify, edge_occupancy, fill_holes, remove_specks
from .predictor import RGB, Band, Predictor, Probabilities, TilePredictor
from .scaling import scaled_bands, scaled_tiles
from .scores import ScoreGrid
from .tile_size import tile_of
from .tiling import Tiling
from .uncertainty import paint_doubt

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference

_SPECK_SHARE = 2e-5
_LOOKS = "disagreement"

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
        scores: all that were asked for, in [0, 1], by name (`scores.ScoreGrid`).
        class_shares: share of the picture by name of each class that was found in it, without the background.
    """

    index: ClassIndex
    uncertainty: float
    edge_occupancy: float
    foreground_share: float
    doubt: NDArray[np.uint8] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    class_shares: Mapping[str, float] = field(default_factory=dict)


def predicted(predictor: Predictor, rgb: RGB, settings: SegInference) -> Iterator[Piece]:
    """Predict a picture, tiled where that is needed: all that needs the predictor itself.

    Args:
        predictor: of either kind.
        rgb: uint8 of shape (height, width, 3).
        settings: tiles, batches, and whether looks are compared (then there is one more plane).
    """
    if _LOOKS in settings.all_scores:
        predictor = looking_again(predictor)
    if predictor.needs_tiles:
        return scaled_tiles(predictor, rgb, _tiling(predictor, settings))
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
        tiles = cast("Iterable[Probabilities]", pieces)
        return scaled_bands(predictor, tiles, size, _tiling(predictor, settings))
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
    return segmented(predictor, rgb, bands, settings)


def segmented(predictor: Predictor, rgb: RGB, bands: Iterable[Band], settings: SegInference) -> Segmented:
    """Make of the bands of a picture what the settings ask for, holding one band at a time.

    Args:
        predictor: that the bands are from.
        rgb: the picture, uint8 of shape (height, width, 3); where it lies on disk, what is found does too.
        bands: from top to bottom.
        settings: threshold, the areas of specks and holes in pixels, and the measure of doubt. Null areas are 1/50000
            of the picture for whole-picture predictors and 0 for networks.
    """
    post, wanted = settings.post_process, settings.uncertainty
    shape = rgb.shape[0], rgb.shape[1]
    index: ClassIndex = beside(rgb, shape, np.uint8)
    doubt = beside(rgb, shape, np.uint8) if settings.output.save_uncertainty else None
    grid = ScoreGrid(shape, post.threshold, wanted.top_k)
    classes = len(predictor.classes)
    names = _planes(settings)
    for band in bands:
        rows = slice(band.top, band.top + band.probabilities.shape[1])
        said = band.probabilities[:classes]
        index[rows] = classify(said, post.threshold)
        if doubt is not None:
            given = band.probabilities[classes + names.index(wanted.score)] if wanted.score in names else None
            paint_doubt(said, wanted.score, doubt[rows], given)
        grid.add(band.top, band.probabilities)
        let_go(index, *(() if doubt is None else (doubt,)))
    scores = grid.scores(classes, names, settings.all_scores)
    default = 0 if predictor.needs_tiles else max(4, round(index.size * _SPECK_SHARE))
    index = remove_specks(index, default if post.min_area is None else post.min_area)
    index = fill_holes(index, default if post.fill_holes is None else post.fill_holes)
    counts = _counted(index, classes)
    shares = {
        name: round(count / index.size, 6)
        for name, count in zip(predictor.classes[1:], counts[1:].tolist(), strict=True)
        if count
    }
    foreground = float(counts[1:].sum() / index.size)
    return Segmented(index, scores[wanted.score], edge_occupancy(index), foreground, doubt, scores, shares)


def _counted(index: ClassIndex, classes: int) -> NDArray[np.int64]:
    """Count the pixels of each class, some at a time: numpy takes eight bytes for each."""
    counts = np.zeros(classes, dtype=np.int64)
    for rows in rows_of(index):
        counts += np.bincount(index[rows].reshape(-1), minlength=classes)
    return counts


def _planes(settings: SegInference) -> tuple[str, ...]:
    """Return the names of the planes behind the classes."""
    beside = (PLANE,) if settings.model.ensemble else ()
    return (*beside, _LOOKS) if _LOOKS in settings.all_scores else beside


def _tiling(predictor: TilePredictor, settings: SegInference) -> Tiling:
    tile = settings.tile
    height, width = tile_of(tile, predictor)
    return Tiling(height, width, tile.overlap, tile.pad_mode, settings.batch_size)
