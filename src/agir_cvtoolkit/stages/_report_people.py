"""The sections of a report that say what people did and what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from agir_cvtoolkit.reporting.page_parts import (
    BarChart,
    BarRow,
    Cell,
    Fact,
    Facts,
    Part,
    Section,
    Table,
    Words,
)

from ._correction_figures import NOBODY
from ._interval import counted, hours_words, mean_of, number, share_of, told
from ._report_classes import classes_table, people_and_classes_table
from ._report_data import ReportData
from ._workspace_rows import OUTCOMES, RecordRow
from .effort import FEWEST_JOBS, Pace

_MOST_ROWS = 14
_LOG_RULE = "The log adds up what a job's page saw its users do; pauses of more than 100 s are not in it."
_DATES_RULE = (
    "By its dates a job counts from the annotator's job before (or from when it was sent) until it was saved last, so"
    " short pauses are in it."
)


def pace_words(pace: Pace) -> tuple[str, str]:
    """Return seconds for a picture, with their interval and how they are known, as people read them."""
    digits = 1 if pace.seconds < 20 else 0
    parts = [pace.how]
    if pace.low is not None and pace.high is not None:
        parts.insert(0, f"{number(pace.low, digits)}–{number(pace.high, digits)} s")
    return f"{number(pace.seconds, digits)} s", ", ".join(parts)


def effort_section(data: ReportData) -> Section:
    """Return what became of the proposals of each class, and how long it took."""
    shows = (
        "What people did with the proposed shapes of each class, and how much of their time a picture took; what is"
        " accepted costs a glance, what is edited or added costs a drawing."
    )
    title = "What did people have to change?"
    if not data.labelled:
        act = "Send a batch with upload-cvat; when its jobs are completed, bring it back with download-cvat."
        return Section(
            "effort", title, shows, act, (Words("No picture has come back yet.", "Nothing to see."),)
        )
    by_class: dict[str, Counter[str]] = defaultdict(Counter)
    for label, outcome, shapes in data.shapes_by_class:
        by_class[label][outcome] += shapes
    ordered = sorted(by_class, key=lambda label: -sum(by_class[label].values()))
    rows = [_bar(label, by_class[label]) for label in ordered[:_MOST_ROWS]]
    whole: Counter[str] = sum(by_class.values(), Counter())
    if len(rows) > 1:
        rows = [_bar("all classes", whole), *rows]
    parts: list[Part] = [Facts(_facts(data, whole))]
    if rows:
        parts.append(
            BarChart(
                "Shapes by what people did with them",
                f"Of {counted(sum(whole.values()), 'shape')}: {whole['accepted']} accepted, {whole['edited']} edited,"
                f" {whole['deleted']} deleted, {whole['added']} added.",
                OUTCOMES,
                tuple(rows),
            )
        )
    if len(ordered) > _MOST_ROWS:
        parts.append(Words(f"Not drawn, because they have fewer shapes: {len(ordered) - _MOST_ROWS} more."))
    if data.work_by_class:
        parts.append(classes_table(data.work_by_class))
    parts += [_time_words(data.effort.pace), _rounds_table(data)]
    return Section("effort", title, shows, _advice(by_class), tuple(parts))


def annotators_section(data: ReportData) -> Section | None:
    """Return effort and agreement of each annotator by class; None where nobody is known."""
    by_person: dict[str, list[RecordRow]] = defaultdict(list)
    for row in data.rows:
        if row.agreement is not None:
            for name in row.annotators:
                by_person[name].append(row)
    if not by_person:
        return None
    people = sorted(by_person, key=lambda name: (name == NOBODY, name))
    rows = []
    for name in people:
        own = by_person[name]
        changed = share_of(sum(row.state == "changed" for row in own), len(own))
        agreement = mean_of([row.agreement for row in own if row.agreement is not None])
        pace = data.effort.by_person.get(name)
        rows.append(
            (
                Cell(name, is_text=True),
                Cell(f"{len(own):,}"),
                Cell(*told(changed, percent=True)),
                Cell(*told(agreement)),
                Cell(*(pace_words(pace) if pace is not None else ("", ""))),
            )
        )
    columns = ("annotator", "pictures", "changed", "agreement with proposals", "time for a picture")
    parts: list[Part] = [Table("Each annotator", columns, tuple(rows))]
    parts.append(people_and_classes_table(data.work_by_person, people))
    shows = (
        "For each annotator: how many pictures, how many of them were changed, how far the result agreed with the"
        " proposals, and how long a picture took; brackets are 95 % intervals."
    )
    act = (
        "Somebody far from the others, or much faster, is a reason to look at their pictures together; compare people"
        " with quality, which holds them against gold frames."
    )
    return Section("people", "Who did what?", shows, act, tuple(parts))


def _bar(name: str, counts: Mapping[str, int]) -> BarRow:
    proposals = sum(counts.get(outcome, 0) for outcome in OUTCOMES if outcome != "added")
    share = f"{100 * counts.get('accepted', 0) / proposals:.0f} % accepted" if proposals else "none proposed"
    return BarRow(name, tuple(counts.get(outcome, 0) for outcome in OUTCOMES), share)


def _facts(data: ReportData, whole: Mapping[str, int]) -> tuple[Fact, ...]:
    back = [row for row in data.rows if row.agreement is not None]
    changed = share_of(sum(row.state == "changed" for row in back), len(back))
    edits = mean_of([float(row.edits) for row in back])
    proposals = sum(whole.values()) - whole.get("added", 0)
    share = told(share_of(whole.get("accepted", 0), proposals), percent=True)
    return (
        Fact(f"{len(back):,}", "pictures came back"),
        Fact(told(changed, percent=True)[0], "of them were changed", told(changed, percent=True)[1]),
        Fact(share[0] or "–", "of the proposed shapes were accepted as they were", share[1]),
        Fact(told(edits, 1)[0], "shapes changed in a picture", told(edits, 1)[1]),
        Fact(pace_words(data.effort.pace)[0], "a picture", pace_words(data.effort.pace)[1]),
    )


def _time_words(pace: Pace) -> Words:
    nobody = (
        f" Left out: {counted(pace.simulated, 'job')} of a simulated annotator, which cost no person's time."
        if pace.simulated
        else ""
    )
    if not pace.is_measured:
        return Words(
            f"No person's job could be timed yet; the setting report.seconds_per_picture stands in for it.{nobody}",
            "The time is assumed.",
            "warn",
        )
    made_of = f"Timed: {counted(pace.jobs, 'job')} with {counted(pace.pictures, 'picture')}, {pace.how}."
    left_out = (
        f" {counted(pace.left_out, 'job')} more held a pause or had no known beginning."
        if pace.left_out
        else ""
    )
    aside = (
        f" {counted(pace.set_aside, 'job')} more that only dates could time are not in it."
        if pace.set_aside
        else ""
    )
    rule = f" {_LOG_RULE}" if pace.by_log else ""
    rule += f" {_DATES_RULE}" if pace.by_dates else ""
    few = "" if pace.jobs >= FEWEST_JOBS else f" Below {FEWEST_JOBS} jobs no interval is given."
    return Words(f"{made_of}{left_out}{aside}{nobody}{rule}{few}", "How the time was measured.")


def _rounds_table(data: ReportData) -> Table:
    rows = []
    for one in data.rounds:
        pictures = sum(data.effort.pictures_by_run.get(run_id, 0) for run_id in one.runs)
        if pictures:
            hours = sum(data.effort.hours_by_run.get(run_id, 0.0) for run_id in one.runs)
            back = [row for row in data.rows if row.run_id == one.run_id and row.agreement is not None]
            changed = share_of(sum(row.state == "changed" for row in back), len(back))
            cells = (Cell(f"{pictures:,}"), Cell(hours_words(hours)), Cell(*told(changed, percent=True)))
            rows.append((Cell(one.name, is_text=True), *cells))
    return Table("Effort by round", ("round", "pictures", "people's work", "changed"), tuple(rows))


def _advice(by_class: Mapping[str, Counter[str]]) -> str:
    """Return where the next hours go: the class that costs most work."""

    def work(label: str) -> int:
        return sum(by_class[label].values()) - by_class[label]["accepted"]

    if not by_class:
        return "Nothing had to be drawn: the model may be good enough for pictures of this kind."
    worst = max(by_class, key=work)
    if not work(worst):
        return "Everything was accepted: look at some pictures to be sure that somebody looked, then label harder ones."
    kind = by_class[worst].most_common()
    most = next(outcome for outcome, _ in kind if outcome != "accepted")
    reason = {
        "added": "the model misses it: label more pictures that show it",
        "deleted": "the model sees it where it is not: label pictures of what it takes for it",
        "relabelled": "the model takes it for another class: label pictures with both",
    }.get(most, "it is found, but not exactly: label more of it, and look at the overlays below")
    return f"Most of the work goes into “{worst}”, mostly {most}: {reason}."
