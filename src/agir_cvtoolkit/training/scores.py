"""IoU and Dice over a whole split, from counted pixels and never from means over batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Scores of one split.

    Attributes:
        iou, dice: means over the foreground classes that occur in labels or predictions; 1.0 where
            none occurs.
        iou_by_class, dice_by_class: per class, background included; None for a class that does not occur.
    """

    iou: float
    dice: float
    iou_by_class: tuple[float | None, ...]
    dice_by_class: tuple[float | None, ...]

    @property
    def mean_iou(self) -> float:
        """Mean over all classes that occur, the background included: what papers on crops and weeds report."""
        return _mean(self.iou_by_class)


def scores_of(confusion: NDArray[np.int64]) -> Scores:
    """Score a confusion matrix of pixels, shape (classes, classes): rows are labels, columns predictions.

    Per class, with hits the diagonal: IoU = hits / (labelled + predicted - hits) (Jaccard 1912),
    Dice = 2 hits / (labelled + predicted) (Dice 1945).
    """
    hits = np.diag(confusion).astype(np.int64)
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    iou = tuple(float(h / (b - h)) if b else None for h, b in zip(hits, both, strict=True))
    dice = tuple(float(2 * h / b) if b else None for h, b in zip(hits, both, strict=True))
    return Scores(_mean(iou[1:]), _mean(dice[1:]), iou, dice)


def _mean(values: tuple[float | None, ...]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 1.0
