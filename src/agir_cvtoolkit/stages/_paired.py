"""Means of repetitions and of their differences, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval by Student's distribution.

    Attributes:
        mean: of the values.
        low, high: ends of the interval; None of fewer than two values.
        count: of the values.
    """

    mean: float
    low: float | None
    high: float | None
    count: int


def estimate(values: Sequence[float], level: float, overlap: float = 0.0) -> Estimate:
    """Return the mean of values with its interval: mean ± t · s / √n (Student 1908).

    Of paired repetitions give their differences: what they have in common then drops out.

    Repetitions that draw from the same few things are alike whatever their number: n of them say less than n fresh
    ones. With an overlap the interval is mean ± t · s · √(1/n + overlap), as Nadeau and Bengio (2003, "Inference for the
    Generalization Error", Machine Learning 52) correct it.

    Args:
        values: at least one.
        level: share of the intervals that hold the truth, in (0, 1), such as 0.9.
        overlap: things that each repetition draws, over those that it leaves: 1 where it draws half of them. 0 where
            every repetition has things of its own.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Estimate(mean, None, None, count)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    away = student((1 + level) / 2, count - 1) * deviation * math.sqrt(1 / count + overlap)
    return Estimate(mean, mean - away, mean + away, count)


def student(share: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution.

    By bisection of the distribution function, which for whole degrees of freedom is a finite sum (Abramowitz and Stegun
    1964, 26.7.3 and 26.7.4).

    Args:
        share: in [0.5, 1).
        freedom: degrees of freedom, at least 1.
    """
    low, high = 0.0, 1.0
    while _below(high, freedom) < share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def _below(t: float, freedom: int) -> float:
    """Return the probability of a value below t, for t of 0 and above."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    if freedom % 2:
        term = total = math.cos(angle) if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= square * (k - 1) / k
            total += term
        between = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        term = total = 1.0
        for k in range(2, freedom - 1, 2):
            term *= square * (k - 1) / k
            total += term
        between = math.sin(angle) * total
    return 0.5 + between / 2
