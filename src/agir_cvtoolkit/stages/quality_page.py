"""What ``quality`` found, as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit.quality.annotators import ALL, ScoreRow
from agir_cvtoolkit.quality.intervals import Measure
from agir_cvtoolkit.quality.working_time import time_rows
from agir_cvtoolkit.reporting.quality_page import Cell, PageTable, PageTrend, quality_page

from .quality import QualityResult

PACE_NOTE = (
    "The time is what passed between the job's last assignment and its last change: all the time that there was,"
    " pauses included. Whoever gives a job to somebody after it was changed, or changes a label, moves it. It is a"
    " reason to look, not a proof."
)


def write_page(result: QualityResult, path: Path) -> Path:
    """Write the page of a result."""
    facts = [
        ("jobs", str(result.jobs)),
        ("frames", str(result.frames)),
        ("frames held against gold", str(result.gold_frames)),
        ("open issues", str(result.open_issues)),
        ("alarms", str(len(result.alarms))),
    ]
    scored = "Mean over frames, with its 95 % interval from 5 frames on."
    parts: list[PageTable | PageTrend] = [
        _scores("Against gold frames", scored, result.gold),
        _trend("Against gold frames, week by week", result.gold),
        _drifts(result),
        _scores("Agreement of two people", scored, result.agreement),
        _scores(
            "Against the proposals that were pushed", f"1 means left as it was. {scored}", result.changed
        ),
        _alarms(result),
        _times(result),
        _issues(result),
        _scores("Against gold frames, each class and week", scored, result.gold, weekly=True),
        _scores("Agreement, each class and week", scored, result.agreement, weekly=True),
        _scores("Against the proposals, each class and week", scored, result.changed, weekly=True),
    ]
    if result.notes:
        rows = tuple((Cell(note, is_text=True),) for note in result.notes)
        parts.append(PageTable("Not compared", "", ("what",), rows))
    return quality_page(path, f"Quality of annotations at {result.server}", facts, parts)


def figure(found: Measure | None) -> tuple[str, str]:
    """Return a mean and its interval as people read them; empty where there is none."""
    if found is None:
        return "", ""
    if found.low is None or found.high is None:
        return f"{found.mean:.3f}", ""
    return f"{found.mean:.3f}", f"{found.low:.3f}–{found.high:.3f}"


def _scores(title: str, note: str, rows: Sequence[ScoreRow], *, weekly: bool = False) -> PageTable:
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
    return PageTable(title, note, columns + (("untouched",) if with_proposals else ()), tuple(listed), weekly)


def _trend(title: str, rows: Sequence[ScoreRow]) -> PageTrend:
    weekly = [row for row in rows if row.label == ALL and row.week != ALL]
    weeks = tuple(sorted({row.week for row in weekly}))
    lines = {}
    for name in sorted({row.annotator for row in weekly}):
        own = {row.week: row.iou or row.oks for row in weekly if row.annotator == name}
        lines[name] = tuple(
            found.mean if (found := own.get(week)) is not None else math.nan for week in weeks
        )
    return PageTrend(title, "Mean IoU of the week's frames; OKS where there are only points.", weeks, lines)


def _drifts(result: QualityResult) -> PageTable:
    rows = []
    for one in result.drifts:
        slope = "" if one.slope is None else f"{one.slope:+.4f}"
        interval = "" if one.low is None or one.high is None else f"{one.low:+.4f} … {one.high:+.4f}"
        verdict = Cell(one.verdict, is_text=True, warns=one.verdict == "worse")
        who = Cell(one.annotator, is_text=True)
        rows.append((who, Cell(str(one.frames)), Cell(str(one.weeks)), Cell(slope, interval), verdict))
    note = "Change of the score a week, by least squares through the gold frames, with its 95 % interval."
    return PageTable("Drift", note, ("who", "frames", "weeks", "a week", "verdict"), tuple(rows))


def _alarms(result: QualityResult) -> PageTable:
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
    note = f"Less than {result.within_s:g} s for each picture. {PACE_NOTE} Known of {result.timed} jobs with proposals."
    columns = ("who", "job", "pictures", "untouched", "time")
    return PageTable("Proposals accepted within seconds", note, columns, rows)


def _times(result: QualityResult) -> PageTable:
    rows = tuple(
        (
            Cell(row.annotator, is_text=True),
            Cell(row.measured, is_text=True),
            *(Cell(str(count)) for count in (row.jobs, row.frames, row.shapes)),
            Cell(f"{row.median_per_frame:.1f} s"),
        )
        for row in time_rows(result.times)
    )
    note = (
        "Median of the jobs' seconds for each picture. Worked: by the server's event log, without pauses. Elapsed: from a"
        " job's assignment, or the push, to its last change. Simulated: no person did it."
    )
    columns = ("who", "", "jobs", "pictures", "shapes", "each picture")
    return PageTable("Time", note, columns, rows)


def _issues(result: QualityResult) -> PageTable:
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
    return PageTable(
        "What reviewers said", "CVAT's issues with their comments.", ("", "where", "said"), tuple(rows)
    )
