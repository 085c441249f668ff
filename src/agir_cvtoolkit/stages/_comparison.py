"""Whether one model is better than another on the same pictures, or only luckier: a paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Judgement

Counts = NDArray[np.float64]
Figure = Callable[[Counts], NDArray[np.float64]]
"""From counts that are summed over pictures, shape (samples, counts), to a figure for each sample."""

_AT_ONE_TIME = 2**22
TAKES_OVER = frozenset({"better", "ahead", "first"})
"""Outcomes with which a challenger becomes the champion by itself."""


@dataclass(frozen=True)
class Verdict:
    """What a comparison says.

    Attributes:
        outcome: ``better`` or ``worse`` beyond chance; ``unclear``: the pictures do not tell; ``few``: there are not
            enough of them to tell; ``ahead``: nor are there, but no model is in service, and the challenger did
            better on those there are; ``first``: there is nothing to compare with; ``blind``: nor does the challenger
            find anything; ``same``: it is the champion.
        figure: what was compared, such as ``pck``.
        difference: challenger less champion.
        low, high: above the one, and below the other, the difference lies with the configured probability.
        pictures: how many say something: of those where neither model can be judged none is counted.
        than: whom the challenger was compared with.
    """

    outcome: Literal["better", "worse", "unclear", "few", "ahead", "first", "blind", "same"]
    figure: str
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    pictures: int = 0
    than: str = "the champion"

    @property
    def takes_over(self) -> bool:
        """Whether the challenger may become the champion by itself."""
        return self.outcome in TAKES_OVER

    @property
    def words(self) -> str:
        """The verdict for people."""
        if self.outcome == "first":
            return "there is no champion to compare with"
        if self.outcome == "blind":
            return "there is no champion, and it finds nothing in the test set"
        if self.outcome == "same":
            return "it is the champion"
        pictures = f"{self.pictures} picture{'' if self.pictures == 1 else 's'}"
        few = f"{pictures} {'is' if self.pictures == 1 else 'are'} too few to tell a difference from chance"
        if self.outcome == "few":
            return few
        if self.outcome == "ahead":
            return f"ahead of {self.than} by {self.difference:+.3f}, and no model is in service; {few}"
        told = {
            "better": f"better than {self.than} beyond chance",
            "worse": f"worse than {self.than} beyond chance",
        }.get(self.outcome, f"no difference from {self.than} beyond chance")
        return f"{told}: {self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}] on {pictures}"


def compare(challenger: Counts, champion: Counts, figure: Figure, name: str, settings: Judgement) -> Verdict:
    """Compare two models on the same pictures.

    The pictures are drawn with replacement, both models judged on the same draw, and the figures subtracted (the
    percentile bootstrap of Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; paired over
    test items as in Koehn 2004, "Statistical significance tests for machine translation evaluation"). Better means
    that the lower percentile of the difference is above 0. Pictures and not joints are drawn, because the joints of
    one animal fail together.

    Of few pictures the bootstrap is too sure. Its percentiles are therefore taken farther out, as Student's t asks
    for: at Phi(-sqrt(n / (n - 1)) * t) of n pictures, with t the quantile of ``confidence`` at n - 1 degrees of
    freedom (the expanded percentile interval of Hesterberg 2015, "What teachers should know about the bootstrap",
    The American Statistician 69(4), section 5.2).

    Args:
        challenger, champion: float64 of shape (pictures, counts): what a model did on each picture, in counts that
            may be summed over pictures.
        figure: from summed counts, larger is better.
        name: of the figure.
        settings: confidence, number of draws, least number of pictures, and seed.
    """
    speaks = np.isfinite(figure(challenger)) | np.isfinite(figure(champion))
    challenger, champion = challenger[speaks], champion[speaks]
    pictures = len(challenger)
    if pictures == 0:
        return Verdict("few", name)
    difference = _figure(challenger, figure) - _figure(champion, figure)
    if pictures < settings.least_pictures:
        return Verdict("few", name, difference, difference, difference, pictures)
    differences = np.concatenate(
        [figure(w @ challenger) - figure(w @ champion) for w in _draws(pictures, settings)]
    )
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return Verdict("few", name, difference, difference, difference, pictures)
    share = _outer_share(settings.confidence, pictures)
    low, high = (float(value) for value in np.quantile(differences, [share, 1 - share]))
    outcome: Literal["better", "worse", "unclear"]
    outcome = "better" if low > 0 else "worse" if high < 0 else "unclear"
    return Verdict(outcome, name, difference, low, high, pictures)


def interval_of(counts: Counts, figure: Figure, settings: Judgement) -> tuple[float, float] | None:
    """Return the interval of one model's figure, drawn as in `compare`; None of too few pictures.

    Args:
        counts: float64 of shape (pictures, counts).
        figure: from summed counts.
        settings: confidence, of which half of the rest lies outside on each side, and the draws.
    """
    counts = counts[np.isfinite(figure(counts))]
    if len(counts) < settings.least_pictures:
        return None
    found = np.concatenate([figure(weights @ counts) for weights in _draws(len(counts), settings)])
    share = _outer_share((1 + settings.confidence) / 2, len(counts))
    low, high = (float(value) for value in np.nanquantile(found, [share, 1 - share]))
    return low, high


def _draws(pictures: int, settings: Judgement) -> Iterator[Counts]:
    """Yield how often each picture is in each draw, shape (draws, pictures), some draws at a time."""
    rng = np.random.default_rng(settings.seed)
    left = settings.resamples
    while left:
        draws = min(left, max(1, _AT_ONE_TIME // pictures))
        yield rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=draws).astype(np.float64)
        left -= draws


def _figure(counts: Counts, figure: Figure) -> float:
    return float(figure(counts.sum(axis=0, keepdims=True))[0])


def _outer_share(confidence: float, pictures: int) -> float:
    """Return the share of the draws that lies outside on one side."""
    away = math.sqrt(pictures / (pictures - 1)) * _student_quantile(confidence, pictures - 1)
    return NormalDist().cdf(-away)


def _student_quantile(share: float, freedom: int) -> float:
    """Return a quantile of Student's t: with t = sqrt(freedom) * tan(a), a has a density of cos(a)^(freedom - 1)."""
    angles = np.linspace(-math.pi / 2, math.pi / 2, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(float(np.interp(share, below / below[-1], angles)))
