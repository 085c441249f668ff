"""The section of a report that says what the next hours bring."""

from __future__ import annotations

from agir_cvtoolkit.reporting.page_parts import Cell, Line, LineChart, Part, Section, Table, Words

from ._report_data import ReportData
from ._report_people import pace_words
from .plan import Plan, planned

_HOURS = (1.0, 3.0, 6.0, 12.0, 24.0)


def plan_section(data: ReportData) -> Section:
    """Return batch sizes and expected quality for some hours of work."""
    plans = [planned(data, hours) for hours in _HOURS]
    pace, interval = pace_words(data.effort.pace)
    shows = (
        f"How many pictures some hours suffice for at {pace} a picture{f' ({interval})' if interval else ''}, and what"
        " the learning curve expects of them."
    )
    act = "Plan a batch with: agir-cvtoolkit plan --hours 6. Take the intervals seriously: they say what is not known."
    told = plans[2].forecast
    tone = "good" if told is not None and told.is_told else "warn"
    parts: list[Part] = [Words(plans[2].verdict, "Six hours.", tone)]  # type: ignore[arg-type]
    parts += [Words(caution, "Mind:", "warn") for caution in plans[2].cautions]
    chart = _chart(data)
    if chart is not None:
        parts.append(chart)
    parts.append(Table("Hours and what they bring", _columns(plans[0]), tuple(_row(plan) for plan in plans)))
    return Section("plan", "What would more hours bring?", shows, act, tuple(parts))


def _columns(plan: Plan) -> tuple[str, ...]:
    return ("hours", "pictures", *((f"expected {plan.figure}", "gain") if plan.forecast else ()))


def _row(plan: Plan) -> tuple[Cell, ...]:
    interval = "" if plan.pictures_low is None else f"{plan.pictures_low:,}–{plan.pictures_high:,}"
    cells = (
        Cell(f"{plan.hours:g}"),
        Cell(f"{plan.batch:,}", "all that are left" if plan.batch < plan.pictures else interval),
    )
    if plan.forecast is None:
        return cells
    one = plan.forecast
    gain = f"{one.gain_low:+.3f} to {one.gain_high:+.3f}"
    return (*cells, Cell(f"{one.quality:.3f}", f"{one.low:.3f}–{one.high:.3f}"), Cell(gain))


def _chart(data: ReportData) -> LineChart | None:
    if data.curve is None:
        return None
    first, last = min(point.labels for point in data.points), data.curve.newest
    places = sorted({round(first + (3 * last - first) * step / 24) for step in range(25)})
    ahead = [data.curve.at(labels) for labels in places]
    points = sorted(data.points, key=lambda point: point.labels)
    figure = next(iter(data.evaluations.values())).figure
    whole = all(point.low is not None for point in points)
    measured = Line(
        "measured",
        tuple(float(point.labels) for point in points),
        tuple(point.quality for point in points),
        tuple(point.low or 0.0 for point in points) if whole else (),
        tuple(point.high or 0.0 for point in points) if whole else (),
        joined=False,
    )
    curve = Line(
        "curve",
        tuple(float(one.labels) for one in ahead),
        tuple(one.quality for one in ahead),
        tuple(one.low for one in ahead),
        tuple(one.high for one in ahead),
        has_marks=False,
    )
    return LineChart(
        f"{figure} by labelled pictures, and where the curve leads",
        f"A power law through {len(points)} tested models, drawn on to {places[-1]} pictures.",
        "labelled pictures",
        figure,
        (measured, curve),
    )
