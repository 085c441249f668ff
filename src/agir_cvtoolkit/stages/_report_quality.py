"""The sections of a report that say how good the model is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agir_cvtoolkit.quality.intervals import Measure
from agir_cvtoolkit.reporting.page_parts import (
    Cell,
    Line,
    LineChart,
    Part,
    Section,
    Table,
    Words,
)

from ._evaluations import RunEvaluation, Tested
from ._interval import hours_words, told
from ._report_data import ReportData
from ._report_rounds import RoundView


def model_section(data: ReportData) -> Section:
    """Return how new models did against champions, round by round and by labels."""
    tested = [
        (one, data.evaluations[one.training_run])
        for one in data.rounds
        if one.training_run in data.evaluations
    ]
    shows = (
        "Each new model (challenger) and the model it had to beat (champion), judged on test pictures that no model"
        " ever learned from; whiskers are 95 % intervals."
    )
    before = next((found.incumbent for _, found in tested if found.incumbent), "")
    if before:
        shows += f" Before there was a champion, the first models had to beat {before}, which predicted until then."
    if not tested:
        parts: tuple[Part, ...] = (Words("No model has been tested yet.", "Nothing to see yet.", "plain"),)
        return Section("model", "Is the model getting better?", shows, "Run train, then evaluate.", parts)
    figure = tested[-1][1].figure
    tested = [(one, found) for one, found in tested if found.figure == figure]
    parts_list: list[Part] = [_rounds_chart(tested, figure)]
    if len({found.test_set for _, found in tested}) > 1:
        words = (
            "The test set grew or changed between rounds: compare the two models of one round with each other rather"
            " than one round with another."
        )
        parts_list.append(Words(words, "Not all on the same pictures.", "warn"))
    by_labels = _labels_chart(data, figure)
    if by_labels is not None:
        parts_list.append(by_labels)
    return Section("model", "Is the model getting better?", shows, _advice(tested), tuple(parts_list))


def calibration_section(data: ReportData) -> Section | None:
    """Return whether the newest model is right as often as it says; None where that was never measured."""
    found = [one for one in data.evaluations.values() if any(count for count, _, _ in one.bins)]
    if not found:
        return None
    newest = found[-1]
    filled = [(count, sure / count, hit / count) for count, sure, hit in newest.bins if count]
    total = sum(count for count, _, _ in filled)
    line = Line(
        "the model",
        tuple(sure for _, sure, _ in filled),
        tuple(right for _, _, right in filled),
        notes=tuple(f"{count / total:.1%} of the pixels" for count, _, _ in filled),
    )
    ece = newest.ece if newest.ece is not None else math.nan
    lower = min(*line.x, *line.y)
    chart = LineChart(
        "How often it is right, by how sure it is",
        f"Reliability of model {newest.challenger.version}: expected calibration error {ece:.3f}.",
        "how sure the model is",
        "how often it is right",
        (line,),
        y_range=(max(0.0, math.floor(lower * 10) / 10 - 0.02), 1.02),
        diagonal=True,
    )
    above = sum(count * (right - sure) for count, sure, right in filled) / total
    habit = "too modest" if above > 0 else "too sure of itself"
    off = ece > 0.05
    act = (
        f"The model is {habit}: order pictures by its confidence, but do not read it as a probability."
        if off
        else "Its confidence may be read as a probability; thresholds on it mean what they say."
    )
    words = Words(
        f"On average its confidence and its accuracy lie {100 * ece:.1f} percentage points apart (0 is ideal).",
        f"Calibration error {ece:.3f}.",
        "warn" if off else "good",
    )
    shows = (
        f"For the model of {newest.run_id}: of all pixels of which it was, say, 80 % sure, were 80 % right? On the"
        " dotted line it would be as right as it is sure."
    )
    return Section("calibration", "Can its confidence be trusted?", shows, act, (words, chart))


def quality_words(tested: Tested) -> tuple[str, str]:
    """Return a model's figure and its interval as people read them."""
    count = 0
    return told(Measure(tested.quality, tested.low, tested.high, count), 3)


def _rounds_chart(tested: Sequence[tuple[RoundView, RunEvaluation]], figure: str) -> LineChart:
    places = tuple(float(n) for n in range(len(tested)))
    nothing = Tested("", math.nan, None, None)
    lines = [
        _line("challenger", places, [found.challenger for _, found in tested], [f.words for _, f in tested])
    ]
    beaten = [found.incumbent or "champion" for _, found in tested if found.champion]
    if beaten:
        name = ", then ".join(dict.fromkeys(beaten))
        lines.append(_line(name, places, [found.champion or nothing for _, found in tested], ()))
    last = tested[-1][1].challenger
    value, interval = quality_words(last)
    return LineChart(
        f"{figure} on the test pictures, round by round",
        f"{figure} of the newest model: {value} {interval}; of the first one {tested[0][1].challenger.quality:.3f}.",
        "",
        figure,
        tuple(lines),
        tuple(one.name for one, _ in tested),
    )


def _line(name: str, places: tuple[float, ...], models: Sequence[Tested], notes: Sequence[str]) -> Line:
    low = tuple(math.nan if m.low is None else m.low for m in models)
    high = tuple(math.nan if m.high is None else m.high for m in models)
    known = any(math.isfinite(value) for value in low)
    y = tuple(m.quality for m in models)
    return Line(name, places, y, low if known else (), high if known else (), tuple(notes))


def _labels_chart(data: ReportData, figure: str) -> LineChart | None:
    points = sorted(data.points, key=lambda point: point.labels)
    if len({point.labels for point in points}) < 2:
        return None
    models = [Tested("", point.quality, point.low, point.high) for point in points]
    line = _line("measured", tuple(float(point.labels) for point in points), models, ())
    hours = hours_words(data.effort.hours)
    return LineChart(
        f"{figure} by labelled pictures ({hours} of people's work so far)",
        f"From {points[0].labels} to {points[-1].labels} pictures {figure} went from {points[0].quality:.3f} to"
        f" {points[-1].quality:.3f}.",
        "labelled pictures that the model learned from",
        figure,
        (line,),
    )


def _advice(tested: Sequence[tuple[RoundView, RunEvaluation]]) -> str:
    outcome, before = tested[-1][1].outcome, tested[-1][1].incumbent
    if before and outcome in {"worse", "unclear"}:
        return f"{before} goes on predicting, since no model has been better beyond chance: label more, or train longer."
    return {
        "better": "The newest model is better beyond chance: promote it if that has not happened.",
        "worse": "The newest model is worse than the champion: keep the champion, and look at the newest corrections.",
        "few": "The test set is too small to tell models apart: let more pictures into it (preprocess.split.test).",
        "ahead": "The first model did better, on few pictures: let more into the test set (preprocess.split.test).",
        "first": "This was the first model: label another batch and train again to have something to compare.",
    }.get(outcome, "No difference can be told from chance: label more before you train again.")


def _opponent(found: RunEvaluation) -> str:
    return found.incumbent or (found.champion.version[:12] if found.champion else "none")


def table_of_tests(data: ReportData) -> Table:
    """Return all evaluations as a table: who beat whom."""
    rows = []
    for one in data.rounds:
        found = data.evaluations.get(one.training_run)
        if found is None:
            continue
        mine, theirs = quality_words(found.challenger), ("", "")
        if found.champion is not None:
            theirs = quality_words(found.champion)
        rows.append(
            (
                Cell(one.name, is_text=True),
                Cell(found.challenger.version[:12], is_text=True),
                Cell(*mine),
                Cell(_opponent(found), is_text=True),
                Cell(*theirs),
                Cell(found.words, is_text=True, warns=found.outcome == "worse"),
                Cell(f"{found.pictures:,}"),
            )
        )
    columns = ("round", "challenger", "its figure", "champion", "its figure", "verdict", "test pictures")
    return Table("Who beat whom", columns, tuple(rows))
