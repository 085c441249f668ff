"""Whether somebody's work gets better or worse over the weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .annotators import FrameScore, week_of

FEWEST_FRAMES = 10
FEWEST_WEEKS = 3
_DRAWS, _SEED, _WEEK_S = 2000, 20260102, 7 * 24 * 3600


@dataclass(frozen=True)
class Drift:
    """How somebody's score changes.

    Attributes:
        slope: change of the score a week; None where there are too few frames or weeks.
        low, high: its 95 % interval.
        verdict: ``worse``, ``better``, ``no change to be seen``, or that there are too few frames.
    """

    annotator: str
    frames: int
    weeks: int
    slope: float | None
    low: float | None
    high: float | None
    verdict: str


def drift_of(annotator: str, scores: Sequence[FrameScore]) -> Drift:
    """Return the trend of one annotator's scores against gold frames.

    A straight line by least squares through (time in weeks, score of the frame); its interval is the percentile
    bootstrap over frames (Efron and Tibshirani 1993). It says worse or better only where the whole interval does, and
    nothing at all below `FEWEST_FRAMES` frames or `FEWEST_WEEKS` weeks.
    """
    weeks = len({week_of(score.at) for score in scores})
    if len(scores) < FEWEST_FRAMES or weeks < FEWEST_WEEKS:
        few = f"too few frames: {len(scores)} in {weeks} weeks, at least {FEWEST_FRAMES} in {FEWEST_WEEKS} are needed"
        return Drift(annotator, len(scores), weeks, None, None, None, few)
    ordered = sorted(scores, key=lambda score: (score.at, score.frame))
    first = ordered[0].at.timestamp()
    x = np.array([(score.at.timestamp() - first) / _WEEK_S for score in ordered])
    y = np.array([score.score for score in ordered])
    chosen = np.random.default_rng(_SEED).integers(0, len(x), (_DRAWS, len(x)))
    slopes = _slopes(x[chosen], y[chosen])
    low, high = np.percentile(slopes[np.isfinite(slopes)], (2.5, 97.5))
    verdict = "worse" if high < 0 else "better" if low > 0 else "no change to be seen"
    slope = float(_slopes(x[None], y[None])[0])
    return Drift(annotator, len(scores), weeks, slope, float(low), float(high), verdict)


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least-squares slope of each row; NaN where all of its times are one."""
    away = x - x.mean(axis=1, keepdims=True)
    squares = np.square(away).sum(axis=1)
    shared = (away * (y - y.mean(axis=1, keepdims=True))).sum(axis=1)
    slopes: NDArray[np.float64] = np.divide(shared, squares, out=np.full(len(x), np.nan), where=squares > 0)
    return slopes
