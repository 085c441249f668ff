"""What ``quality`` found, as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.quality.annotators import ALL, ScoreRow
from agir_cvtoolkit.quality.intervals import Measure
from agir_cvtoolkit.quality.working_time import time_rows
from agir_cvtoolkit.reporting.page_html import page_html
from agir_cvtoolkit.reporting.page_parts import (
    Cell,
    Fact,
    Facts,
    Line,
    LineChart,
    Page,
    Part,
    Section,
    Table,
)
from agir_cvtoolkit.runs import write_text

from .quality import QualityResult

PACE_NOTE = (
    "The time is what passed between the job's last assignment and its last change: all the time that there was,"
    " pauses included. Whoever gives a job to somebody after it was changed, or changes a label, moves it. It is a"
    " reason to look, not a proof."
)
_SCORED = "Means over frames, with their 95 % intervals from 5 frames on."
_LINES = 5
"""Of a chart: more would not be told apart."""


def write_page(result: QualityResult, path: Path) -> Path:
    """Write the page of a result; it opens without a network and holds no script."""
    write_text(path, page_html(_page(result)))
    return path


def _page(result: QualityResult) -> Page:
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    facts = (
        Fact(str(result.jobs), "jobs"),
        Fact(str(result.frames), "frames"),
        Fact(str(result.gold_frames), "frames held against gold"),
        Fact(str(result.open_issues), "open issues"),
        Fact(str(len(result.alarms)), "alarms"),
    )
    sections = (
        _gold(result),
        _agreement(result),
        _changed(result),
        _alarms(result),
        _times(result),
        _issues(result),
        _by_class_and_week(result),
        *_not_compared(result),
    )
    return Page(
        title="Quality of annotations",
        subtitle=f"{result.server} · {at}",
        summary=(),
        facts=Facts(facts),
        sections=sections,
        made=f"Made by agir-cvtoolkit {__version__} at {at}. Intervals are 95 %.",
    )


def figure(found: Measure | None) -> tuple[str, str]:
    """Return a mean and its interval as people read them; empty where there is none."""
    if found is None:
        return "", ""
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}", ""
    return f"{found.mean:.3f}", f"{found.low:.3f}–{found.high:.3f}"


def _gold(result: QualityResult) -> Section:
    shows = f"What people drew, held against frames of which the right answer is known. {_SCORED}"
    act = "Look at frames of whoever lies far below the others together with them; few frames say little."
    parts: list[Part] = [_scores("Each annotator against gold frames", result.gold)]
    parts += [*_trends(result.gold), _drifts(result)]
    return Section("gold", "Are people right?", shows, act, tuple(parts))


def _agreement(result: QualityResult) -> Section:
    shows = f"How far two people agree who annotated the same frames. {_SCORED}"
    act = "Where two people disagree, the guide is unclear more often than one of them is careless: mend it first."
    table = _scores("Agreement of two people", result.agreement)
    return Section("agreement", "Do people agree?", shows, act, (table,))


def _changed(result: QualityResult) -> Section:
    shows = f"How much of the proposals that were pushed is left: 1 means left as it was. {_SCORED}"
    act = "Figures close to 1 mean a good model, or nobody who looks: compare them with the gold frames."
    table = _scores("Against the proposals that were pushed", result.changed)
    return Section("changed", "What did people change?", shows, act, (table,))


def _by_class_and_week(result: QualityResult) -> Section:
    shows = "The same figures for each class and week."
    act = "Look here for the class, or the week, that draws the figure of somebody down."
    tables = (
        _scores("Against gold frames", result.gold, weekly=True),
        _scores("Agreement", result.agreement, weekly=True),
        _scores("Against the proposals", result.changed, weekly=True),
    )
    return Section("weeks", "Each class and week", shows, act, tables)


def _not_compared(result: QualityResult) -> tuple[Section, ...]:
    if not result.notes:
        return ()
    table = Table("Not compared", ("what",), tuple((Cell(note, is_text=True),) for note in result.notes))
    shows = "What was left out, and why."
    act = "Mend what you can of it, and start quality again."
    return (Section("left-out", "What was not compared?", shows, act, (table,)),)


def _scores(caption: str, rows: Sequence[ScoreRow], *, weekly: bool = False) -> Table:
    with_proposals = any(row.proposals for row in rows)
    columns = ("who", "class", "week", "frames", "IoU", "boundary F1", "OKS", "both", "missed", "extra")
    listed = []
    for row in rows:
        if weekly == (row.week == ALL):
            continue
        cells = [
            Cell(row.annotator, is_text=True),
            Cell(row.label or "all", is_text=True),
            Cell(row.week or "all", is_text=True),
            Cell(str(row.frames)),
            *(Cell(*figure(value)) for value in (row.iou, row.boundary_f1, row.oks)),
            *(Cell(str(count)) for count in (row.matched, row.missed, row.extra)),
        ]
        if with_proposals:
            cells.append(Cell(f"{row.untouched} of {row.proposals}" if row.label == ALL else ""))
        listed.append(tuple(cells))
    return Table(caption, columns + (("untouched",) if with_proposals else ()), tuple(listed), weekly)


def _trends(rows: Sequence[ScoreRow]) -> list[Part]:
    """Return the scores of each person week by week, of five people in a chart."""
    weekly = [row for row in rows if row.label == ALL and row.week != ALL]
    weeks = tuple(sorted({row.week for row in weekly}))
    found: dict[str, dict[str, Measure]] = {}
    for row in weekly:
        value = row.iou or row.oks
        if value is not None:
            found.setdefault(row.annotator, {})[row.week] = value
    charts: list[Part] = []
    for names in _in_fives(sorted(found)):
        lines = tuple(_line(name, [found[name].get(week) for week in weeks]) for name in names)
        alt = f"Scores of {', '.join(names)} in {len(weeks)} weeks; the table has the figures."
        title = "Mean score of the week's frames: IoU, or OKS where there are only points"
        charts.append(LineChart(title, alt, "week", "score", lines, weeks))
    return charts


def _line(name: str, weeks: Sequence[Measure | None]) -> Line:
    def each(attribute: str) -> tuple[float, ...]:
        values = (None if one is None else getattr(one, attribute) for one in weeks)
        return tuple(math.nan if value is None else float(value) for value in values)

    low = each("low")
    known = any(math.isfinite(value) for value in low)
    notes = tuple("" if one is None else f"{one.frames} frames" for one in weeks)
    places = tuple(float(number) for number in range(len(weeks)))
    return Line(name, places, each("mean"), low if known else (), each("high") if known else (), notes)


def _in_fives(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _LINES] for start in range(0, len(names), _LINES)]


def _drifts(result: QualityResult) -> Table:
    rows = []
    for one in result.drifts:
        slope = "" if one.slope is None else f"{one.slope:+.4f}"
        interval = "" if one.low is None or one.high is None else f"{one.low:+.4f} … {one.high:+.4f}"
        verdict = Cell(one.verdict, is_text=True, warns=one.verdict == "worse")
        who = Cell(one.annotator, is_text=True)
        rows.append((who, Cell(str(one.frames)), Cell(str(one.weeks)), Cell(slope, interval), verdict))
    caption = "Drift: change of the score a week, by least squares through the gold frames"
    return Table(caption, ("who", "frames", "weeks", "a week", "verdict"), tuple(rows))


def _alarms(result: QualityResult) -> Section:
    rows = tuple(
        (
            Cell(one.annotator, is_text=True, warns=True),
            Cell(f"{one.job_id} of task {one.task_id}", is_text=True),
            Cell(str(one.pictures)),
            Cell(f"{one.untouched} of {one.proposals}"),
            Cell(f"{one.seconds:.0f} s{'' if one.worked else ' at most'}"),
        )
        for one in result.alarms
    )
    shows = (
        f"Jobs with less than {result.within_s:g} s for each picture, of {result.timed} jobs with proposals."
        f" {PACE_NOTE}"
    )
    act = "Look at some of their pictures, and talk before you judge."
    columns = ("who", "job", "pictures", "untouched", "time")
    table = Table("Proposals accepted within seconds", columns, rows)
    return Section("alarms", "Does somebody accept without looking?", shows, act, (table,))


def _times(result: QualityResult) -> Section:
    rows = tuple(
        (
            Cell(row.annotator, is_text=True),
            Cell(row.measured, is_text=True),
            *(Cell(str(count)) for count in (row.jobs, row.frames, row.shapes)),
            Cell(f"{row.median_per_frame:.1f} s"),
        )
        for row in time_rows(result.times)
    )
    shows = (
        "Median of the jobs' seconds for each picture. Worked: by the server's event log, without pauses. Elapsed: from a"
        " job's assignment, or the push, to its last change. Simulated: no person did it."
    )
    act = "Plan with worked time where there is any; elapsed time holds pauses."
    columns = ("who", "", "jobs", "pictures", "shapes", "each picture")
    return Section("time", "How long does it take?", shows, act, (Table("Time", columns, rows),))


def _issues(result: QualityResult) -> Section:
    rows = []
    for task_id, listed in sorted(result.issues.items()):
        for issue in listed:
            said = " / ".join(f"{comment.who}: {comment.text}" for comment in issue.comments)
            rows.append(
                (
                    Cell("resolved" if issue.resolved else "open", is_text=True, warns=not issue.resolved),
                    Cell(f"task {task_id}, job {issue.job_id}, frame {issue.frame}", is_text=True),
                    Cell(said, is_text=True),
                )
            )
    table = Table("Issues", ("", "where", "said"), tuple(rows))
    act = "Have open ones resolved in CVAT before the frames are learned from."
    return Section("issues", "What did reviewers say?", "CVAT's issues with their comments.", act, (table,))
