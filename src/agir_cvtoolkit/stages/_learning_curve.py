"""How quality grows with labels, and what more of them would bring: a power law with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Numbers of labels that must differ before a curve is fitted."""
_DRAWS = 2000
_SEED = 20260101
_NO_INTERVAL = 0.05
"""Half width that is assumed of a point without an interval."""


@dataclass(frozen=True)
class CurvePoint:
    """A model's quality after so many labelled pictures.

    Attributes:
        labels: pictures that people have labelled.
        quality: in [0, 1].
        low, high: its 95 % interval; None where unknown.
    """

    labels: int
    quality: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Forecast:
    """What more labels would bring.

    Attributes:
        labels: pictures in all.
        quality: that is expected.
        low, high: 95 % interval of the curve there.
        gain_low, gain_high: of the difference from now.
    """

    labels: int
    quality: float
    low: float
    high: float
    gain_low: float
    gain_high: float

    @property
    def is_told(self) -> bool:
        """Whether a gain can be told from chance."""
        return self.gain_low > 0


@dataclass(frozen=True, eq=False)
class Curve:
    """``1 - quality = a * labels ** -b``, in draws.

    The learning curves of classifiers follow such a law over the range that annotation budgets cover (Figueroa et al.
    2012, "Predicting sample size required for classification performance"; Hestness et al. 2017, arXiv 1712.00409). Each
    draw moves the points within their intervals and fits anew by least squares of the logarithms.

    Attributes:
        logs: of shape (draws, 2): log a and -b; the first row is that of the points themselves.
        newest: labels of the last point.
    """

    logs: NDArray[np.float64]
    newest: int

    def at(self, labels: int) -> Forecast:
        """Return what is expected after so many labels in all."""
        there, now = self._qualities(labels), self._qualities(self.newest)
        low, high = (float(value) for value in np.percentile(there, (2.5, 97.5)))
        gain_low, gain_high = (float(value) for value in np.percentile(there - now, (2.5, 97.5)))
        return Forecast(labels, float(there[0]), low, high, gain_low, gain_high)

    def labels_for(self, quality: float, most: int) -> int | None:
        """Return how many labels the curve expects for a quality; None beyond `most`."""
        log_a, slope = self.logs[0]
        if slope >= 0 or not 0 < quality < 1:
            return None
        labels = float(np.exp(min(50.0, (np.log(1 - quality) - log_a) / slope)))
        return round(labels) if labels <= most else None

    def _qualities(self, labels: int) -> NDArray[np.float64]:
        return np.asarray(1 - np.clip(np.exp(self.logs[:, 0] + self.logs[:, 1] * np.log(labels)), 0, 1))


def fit(points: Sequence[CurvePoint]) -> Curve | None:
    """Fit the curve; None where too few numbers of labels differ to tell its form.

    Args:
        points: of models that were tested on the same pictures.
    """
    known = sorted((p for p in points if p.labels > 0 and p.quality < 1), key=lambda p: p.labels)
    if len({p.labels for p in known}) < FEWEST:
        return None
    x = np.log([p.labels for p in known])
    y = np.asarray([p.quality for p in known])
    spread = np.asarray(
        [_NO_INTERVAL if p.low is None or p.high is None else (p.high - p.low) / 2 for p in known]
    )
    deviation = np.maximum(spread / 1.96, 1e-3)
    drawn = np.random.default_rng(_SEED).normal(y, deviation, (_DRAWS, len(y)))
    errors = np.clip(1 - np.vstack([y[None], drawn]), 1e-4, 1.0)
    # Weights of the logarithm of the error: its deviation is that of the quality over the error.
    weight = ((1 - y) / deviation) ** 2
    centre = (weight * x).sum() / weight.sum()
    logs = np.log(errors)
    slope = (weight * (x - centre) * logs).sum(axis=1) / (weight * (x - centre) ** 2).sum()
    log_a = (weight * logs).sum(axis=1) / weight.sum() - slope * centre
    return Curve(np.stack([log_a, slope], axis=1), known[-1].labels)
