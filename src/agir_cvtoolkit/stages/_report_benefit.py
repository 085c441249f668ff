"""The section of a report that says whether choosing pays: curves of chosen labels against as many random ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.reporting.page_parts import Cell, Line, LineChart, Part, Section, Table, Words
from agir_cvtoolkit.runs import read_json_object

from ._report_data import ReportData

_RANDOM = "random"
_MOST_LINES = 4


@dataclass(frozen=True)
class Efficiency:
    """How strategies did against random choice with as many labels.

    Attributes:
        title: where it was measured.
        metric: what was measured.
        lines: of each strategy, random choice among them.
        gains: strategies that were better than random choice beyond chance.
        losses: those that were worse.
        words: what was found, in sentences.
    """

    title: str
    metric: str
    lines: tuple[Line, ...]
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    words: tuple[str, ...]


def benefit_section(data: ReportData) -> Section:
    """Return label efficiency, active against random, with intervals."""
    shows = (
        "The same number of labels spent in two ways: on pictures that a strategy chose, and on pictures drawn at random,"
        " as random choice would have spent them; the strategy pays where its line lies above, beyond chance; whiskers"
        " are 90 % intervals."
    )
    title = "Does choosing pay?"
    rounds = _of_rounds(data)
    found = [*rounds, *_of_simulations(data.out_root.parent / "simulations")]
    few = _too_few(data)
    if not found:
        act = (
            "Measure it: simulate on a labelled data set, or loop.measure_benefit=true in the rounds to come."
        )
        unknown = (Words("It was not measured here yet.", "Not known."),)
        return Section("benefit", title, shows, act, few or unknown)
    parts: list[Part] = [*few]
    for one in found:
        parts.append(_verdict(one, told=one.words[:2] if one in rounds else ()))
        parts.append(_chart(one))
        if one.words:
            cells = tuple((Cell(words, is_text=True),) for words in one.words)
            parts.append(Table("What was found, in words", ("finding",), cells, folded=True))
    parts += _round_by_round(data)
    newest = found[0]
    act = "Keep the strategy that gains, and measure again when the model or the pictures change."
    if newest.losses and not newest.gains:
        act = "Choose at random (select.strategy=random) until a strategy is shown to pay: this one costs labels."
    elif not newest.gains:
        act = "Do not count on a saving yet: choose at random just as well, or try other strategies with simulate."
    return Section("benefit", title, shows, act, tuple(parts))


def read_efficiency(content: Mapping[str, Any], title: str) -> Efficiency | None:
    """Return curves that lie in a result of ``simulate`` or in the figures of a round; None where they do not.

    Args:
        content: with ``metric``, ``curves`` and ``words``.
        title: where it was measured.
    """
    try:
        curves = [_line(curve) for curve in content["curves"]]
        verdicts = {str(curve["strategy"]): str(curve.get("verdict", "")) for curve in content["curves"]}
        words = tuple(str(line) for line in content.get("words", ()))
        metric = str(content.get("metric", "quality"))
    except (KeyError, TypeError, ValueError):
        return None
    if len(curves) < 2:
        return None
    # Random choice first: the line that all others are held against.
    ordered = sorted(curves, key=lambda line: line.name != _RANDOM)[: _MOST_LINES + 1]
    gains = tuple(name for name, verdict in verdicts.items() if verdict == "better")
    losses = tuple(name for name, verdict in verdicts.items() if verdict == "worse")
    return Efficiency(title, metric, tuple(ordered), gains, losses, words)


def _of_rounds(data: ReportData) -> list[Efficiency]:
    measured = [one for one in reversed(data.rounds) if isinstance(one.figures.get("benefit"), dict)]
    found = (
        read_efficiency(one.figures["benefit"], f"With the labels of {one.name.lower()}")
        for one in measured[:1]
    )
    return [one for one in found if one is not None]


def _too_few(data: ReportData) -> tuple[Words, ...]:
    """Return what the newest measurement of a round says where it had too few labels."""
    measured = [one.figures["benefit"] for one in data.rounds if isinstance(one.figures.get("benefit"), dict)]
    if not measured or measured[-1].get("curves"):
        return ()
    words = " ".join(str(line) for line in measured[-1].get("words", ()))
    return (Words(words, "Too few labels to tell: no gain so far.", "warn"),)


def _round_by_round(data: ReportData) -> list[Table]:
    """Return what each round has measured, where more than one has."""
    rows = []
    for one in data.rounds:
        found = one.figures.get("benefit")
        efficiency = read_efficiency(found, one.name) if isinstance(found, dict) else None
        if efficiency is None:
            continue
        random, chosen = efficiency.lines[0], efficiency.lines[-1]
        verdict = str(found.get("verdict", "")) if isinstance(found, dict) else ""
        rows.append(
            (
                Cell(one.name, is_text=True),
                Cell(f"{chosen.x[-1]:.0f}"),
                Cell(f"{random.y[-1]:.3f}", _interval(random)),
                Cell(f"{chosen.y[-1]:.3f}", _interval(chosen)),
                Cell(verdict, is_text=True, warns=verdict == "loss"),
            )
        )
    columns = ("round", "labels of each kind", "random", "chosen", "verdict")
    return [Table("Round by round", columns, tuple(rows))] if len(rows) > 1 else []


def _interval(line: Line) -> str:
    if not line.low or not line.high or not math.isfinite(line.low[-1]):
        return ""
    return f"{line.low[-1]:.3f}–{line.high[-1]:.3f}"


def _of_simulations(folder: Path) -> list[Efficiency]:
    """Return the newest simulation of the workspace."""
    files = sorted(folder.glob("*/simulation.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        try:
            found = read_efficiency(read_json_object(path), f"Simulated on {path.parent.name}")
        except DataError:
            continue
        if found is not None:
            return [found]
    return []


def _verdict(one: Efficiency, told: Sequence[str]) -> Words:
    if told:
        verdict = "a gain" if one.gains else "no gain so far"
        return Words(" ".join(told), f"{one.title}: {verdict}.", "good" if one.gains else "warn")
    if one.gains:
        words = f"{', '.join(one.gains)}: better than random choice with as many labels, beyond chance."
        return Words(words, f"{one.title}: a gain.", "good")
    rest = f" Worse than random choice: {', '.join(one.losses)}." if one.losses else ""
    words = f"No strategy was better than random choice with as many labels beyond chance.{rest}"
    return Words(words, f"{one.title}: no gain so far.", "warn")


def _chart(one: Efficiency) -> LineChart:
    ends = ", ".join(f"{line.name} {line.y[-1]:.3f}" for line in one.lines if line.y)
    return LineChart(
        f"{one.metric} by labels: chosen against random",
        f"{one.title}: {one.metric} with the most labels: {ends}.",
        "labelled pictures",
        one.metric,
        one.lines,
    )


def _line(curve: Mapping[str, Any]) -> Line:
    points: Sequence[Mapping[str, Any]] = curve["points"]
    scores = [point["score"] for point in points]
    low, high = (tuple(_number(score.get(name)) for score in scores) for name in ("low", "high"))
    known = any(math.isfinite(value) for value in low)
    return Line(
        str(curve["strategy"]),
        tuple(float(point["labels"]) for point in points),
        tuple(_number(score["mean"]) for score in scores),
        low if known else (),
        high if known else (),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
