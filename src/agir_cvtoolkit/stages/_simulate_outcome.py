"""What a simulation has found: curves with intervals, paired differences, and what they say in words."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ._paired import Estimate, estimate
from ._simulate_arena import RANDOM, Cell
from ._simulate_cells import curves_of

_DRAWS = 2000
_DRAW = 20260101


@dataclass(frozen=True)
class Point:
    """One strategy after so many labels.

    Attributes:
        labels: that may be used.
        score: over the seeds.
        difference: from random choice with as many labels, by seed; None of random choice itself, and without it.
    """

    labels: int
    score: Estimate
    difference: Estimate | None


@dataclass(frozen=True)
class Saving:
    """How many labels a strategy needs for what random choice reaches with `random`.

    Attributes:
        random: labels of random choice.
        needed: of the strategy, on its mean curve; None where it does not get there.
        factor: `random` / `needed`; None where it does not get there.
        low, high: interval of the factor over the seeds; None where less than the level of the draws get there.
    """

    random: int
    needed: float | None
    factor: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class StrategyCurve:
    """One strategy.

    Attributes:
        strategy: its name.
        points: budget by budget.
        savings: for each budget but the first; empty of random choice, and without it.
        verdict: ``better``, ``worse`` or ``no different``: than random choice, beyond the interval, at some budget.
    """

    strategy: str
    points: tuple[Point, ...]
    savings: tuple[Saving, ...]
    verdict: str


def outcome_of(
    cells: Mapping[tuple[str, int, int], Cell],
    strategies: Sequence[str],
    budgets: Sequence[int],
    level: float,
    *,
    shared: bool = True,
) -> tuple[StrategyCurve, ...]:
    """Return the curve of each strategy, from the seeds that have all its cells.

    Args:
        cells: by strategy, seed and budget.
        strategies: names.
        budgets: labels.
        level: of the intervals.
        shared: the first budget is the same units for every strategy, and no comparison.
    """
    curves = {name: _table(found) for name, found in curves_of(cells, strategies, budgets, shared=shared)}
    random = curves.get(RANDOM, {})
    return tuple(
        _curve(name, table, random, budgets, level, int(shared)) for name, table in curves.items() if table
    )


def _table(found: Sequence[Mapping[int, Cell]]) -> dict[int, list[float]]:
    """Return scores budget by budget, by seed, of the seeds that have them all."""
    whole = sorted(set.intersection(*(set(by_seed) for by_seed in found)))
    return {seed: [by_seed[seed].score for by_seed in found] for seed in whole}


def _curve(
    name: str,
    table: Mapping[int, Sequence[float]],
    random: Mapping[int, Sequence[float]],
    budgets: Sequence[int],
    level: float,
    first: int,
) -> StrategyCurve:
    paired = sorted(table.keys() & random.keys()) if name != RANDOM else []
    points = tuple(
        Point(
            labels,
            estimate([row[place] for row in table.values()], level),
            estimate([table[seed][place] - random[seed][place] for seed in paired], level)
            if paired
            else None,
        )
        for place, labels in enumerate(budgets)
    )
    savings: tuple[Saving, ...] = ()
    if paired:
        own, others = (np.array([values[seed] for seed in paired]) for values in (table, random))
        savings = tuple(_saving(own, others, budgets, place, level) for place in range(1, len(budgets)))
    return StrategyCurve(name, points, savings, _verdict(points[first:]))


def _verdict(points: Sequence[Point]) -> str:
    found = [p.difference for p in points if p.difference is not None and p.difference.low is not None]
    if any(d.high is not None and d.high < 0 for d in found):
        return "worse"
    if any(d.low is not None and d.low > 0 for d in found):
        return "better"
    return "no different"


def paired_gain(
    cells: Mapping[tuple[str, int, int], Cell],
    strategy: str,
    labels: int,
    other: str,
    other_labels: int,
    budgets: Sequence[int],
    level: float,
) -> Estimate | None:
    """Return the difference of a strategy with some labels from another one with others, by seed.

    Returns:
        None where no seed has both.
    """
    names = dict(curves_of(cells, (strategy, other), budgets))
    own = names[strategy][list(budgets).index(labels)]
    others = names[other][list(budgets).index(other_labels)]
    seeds = sorted(own.keys() & others.keys())
    return estimate([own[s].score - others[s].score for s in seeds], level) if seeds else None


def _saving(
    own: NDArray[np.float64], random: NDArray[np.float64], budgets: Sequence[int], place: int, level: float
) -> Saving:
    def needed(of: NDArray[np.float64], wanted: float) -> float | None:
        return labels_for(wanted, budgets, of.mean(axis=0).tolist())

    target = float(random[:, place].mean())
    found = needed(own, target)
    drawn = np.random.default_rng(_DRAW).integers(0, len(own), (_DRAWS, len(own)))
    factors = []
    for row in drawn:
        labels = needed(own[row], float(random[row, place].mean()))
        # Not reached within the budgets: fewer than this is all that is known.
        factors.append(-math.inf if labels is None else budgets[place] / labels)
    low, high = np.quantile(factors, ((1 - level) / 2, (1 + level) / 2), method="nearest").tolist()
    known = len(own) > 1 and math.isfinite(low)
    factor = None if found is None else budgets[place] / found
    return Saving(budgets[place], found, factor, low if known else None, high if known else None)


def labels_for(wanted: float, budgets: Sequence[int], scores: Sequence[float]) -> float | None:
    """Return with how many labels a curve first reaches a score: straight between budgets, over log labels.

    Returns:
        None where it does not; the first budget where it begins there.
    """
    if scores[0] >= wanted:
        return float(budgets[0])
    for (few, low), (many, high) in pairwise(zip(budgets, scores, strict=True)):
        if high >= wanted > low:
            share = (wanted - low) / (high - low)
            return float(math.exp(math.log(few) + share * (math.log(many) - math.log(few))))
    return None


def words_of(curves: Sequence[StrategyCurve], metric: str, level: float) -> tuple[str, ...]:
    """Return what was found, in sentences."""
    lines: list[str] = []
    seeds = curves[0].points[0].score.count if curves else 0
    lines.append(
        f"{metric}, mean of {seeds} seeds with {level:.0%} intervals; differences are paired by seed."
    )
    compared = [c for c in curves if c.points[-1].difference is not None]
    for curve in compared:
        parts = []
        for point in curve.points[1:]:
            if point.difference is not None:
                parts.append(f"{_signed(point.difference)} with {point.labels}")
        lines.append(f"{curve.strategy} against random: {', '.join(parts)}.")
        lines += [f"{curve.strategy} {_saved(s)}." for s in curve.savings]
    better = [c.strategy for c in compared if c.verdict == "better"]
    worse = [c.strategy for c in compared if c.verdict == "worse"]
    if compared and any(p.difference and p.difference.low is None for p in compared[0].points):
        lines.append("One seed has no interval: nothing can be told from chance.")
    elif compared:
        if not better:
            lines.append("No strategy was better than random choice beyond its interval.")
        else:
            lines.append(f"Better than random choice beyond the interval: {', '.join(better)}.")
        if worse:
            lines.append(f"Worse than random choice beyond the interval, at some budget: {', '.join(worse)}.")
    return tuple(lines)


def _signed(d: Estimate) -> str:
    interval = "" if d.low is None or d.high is None else f" ({d.low:+.3f} to {d.high:+.3f})"
    return f"{d.mean:+.3f}{interval}"


def _saved(saving: Saving) -> str:
    begin = f"reaches what random choice reaches with {saving.random}"
    if saving.needed is None or saving.factor is None:
        return f"does not reach what random choice reaches with {saving.random}"
    interval = "" if saving.low is None else f" ({saving.low:.2f} to {saving.high:.2f})"
    return f"{begin} with {saving.needed:.0f} labels: {saving.factor:.2f} times as efficient{interval}"


def table_of(curves: Sequence[StrategyCurve]) -> str:
    """Return the curves as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            "strategy",
            "labels",
            "seeds",
            "score",
            "low",
            "high",
            "difference",
            "difference_low",
            "difference_high",
        ]
    )
    for curve in curves:
        for point in curve.points:
            row: list[object] = [curve.strategy, point.labels, point.score.count, *_numbers(point.score)]
            writer.writerow([*row, *(_numbers(point.difference) if point.difference else ["", "", ""])])
    return stream.getvalue()


def _numbers(found: Estimate) -> list[str]:
    return ["" if v is None else f"{v:.6f}" for v in (found.mean, found.low, found.high)]
