"""The head of a report: where the loop stands, in a sentence, in figures, and round by round."""

from __future__ import annotations

from agir_cvtoolkit.reporting.page_parts import Cell, Fact, Facts, Part, Section, Table, Ways, Words

from ._interval import counted, hours_words, told
from ._report_control import on_the_pool
from ._report_data import ReportData
from ._report_people import pace_words
from ._report_quality import quality_words
from ._report_rounds import RoundView, way_of

_MOST = 12


def summary_of(data: ReportData) -> tuple[Words, ...]:
    """Return the report in a few sentences."""
    found = [Words(_where(data))]
    tested = [
        data.evaluations[one.training_run] for one in data.rounds if one.training_run in data.evaluations
    ]
    if tested:
        value, interval = quality_words(tested[-1].challenger)
        change = ""
        first = tested[0]
        if len(tested) > 1 and first.figure == tested[-1].figure:
            change = f"; the first one reached {first.challenger.quality:.3f}"
        words = (
            f"The newest model reaches {tested[-1].figure} {value}{f' ({interval})' if interval else ''} on"
            f" {counted(tested[-1].pictures, 'test picture')}{change}."
        )
        found.append(Words(words))
    if data.labelled and not data.effort.hours:
        found.append(
            Words(f"{counted(data.labelled, 'picture')} came back, and none of it has cost a person's time.")
        )
    elif data.labelled:
        pace, interval = pace_words(data.effort.pace)
        found.append(
            Words(
                f"People have corrected {counted(data.labelled, 'picture')} in about {hours_words(data.effort.hours)},"
                f" {pace} a picture{f' ({interval})' if interval else ''}."
            )
        )
    return tuple(found)


def facts_of(data: ReportData) -> Facts:
    """Return the figures that matter most."""
    done = sum(one.done > 3 for one in data.rounds)
    facts = [Fact(f"{done}", f"of {counted(len(data.rounds), 'round' if data.loop else 'run')} came back")]
    for model in data.champions:
        evaluation = next(
            (e for e in data.evaluations.values() if model.version in (e.challenger.version,)), None
        )
        if evaluation is not None:
            value, interval = quality_words(evaluation.challenger)
            facts.append(Fact(value, f"{evaluation.figure} of the champion", interval))
    found = on_the_pool(data)
    if found is not None:
        value, interval = told(found.agreement)
        facts.append(Fact(value, "agreement on the whole pool (control slice)", interval))
    facts.append(Fact(f"{data.labelled:,}", "pictures corrected", f"of {data.pool:,} predicted"))
    facts.append(Fact(hours_words(data.effort.hours), "of people's work"))
    return Facts(tuple(facts))


def state_section(data: ReportData) -> Section:
    """Return each round as steps, with its figures as a table."""
    shows = (
        "A round chooses pictures, sends the model's proposals to people, takes their corrections back, trains on them,"
        " and tests the new model against the one in service."
    )
    if data.loop is None:
        shows += " No loop was started here, so each run counts as one."
    if not data.rounds:
        act = "Start with query and infer-seg (or firebase transfer), then upload-cvat."
        parts: tuple[Part, ...] = (Words("Nothing was sent to people yet.", "Nothing to see yet."),)
        return Section("state", "Where does it stand?", shows, act, parts)
    newest = data.rounds[-_MOST:]
    ways = Ways(tuple(way_of(one, _note(data, one)) for one in newest))
    parts_list: list[Part] = []
    if len(newest) < len(data.rounds):
        parts_list.append(
            Words(f"The newest {len(newest)} of {len(data.rounds)} are drawn; the table has all.")
        )
    parts_list += [ways, _table(data)]
    return Section("state", "Where does it stand?", shows, _advice(data.rounds[-1]), tuple(parts_list))


def _where(data: ReportData) -> str:
    if not data.rounds:
        return "Nothing was sent to people yet."
    one = data.rounds[-1]
    noun = (
        f"{one.name} of loop {one.loop}"
        if one.loop
        else f"The newest of {len(data.rounds)} runs, {one.name},"
        if len(data.rounds) > 1
        else f"Run {one.name}"
    )
    ended = f" The loop has ended: {data.loop.ended}." if data.loop is not None and data.loop.ended else ""
    return f"{noun} {_stands(one)}.{ended}"


def _stands(one: RoundView) -> str:
    best = one.figures.get("incumbent") or "the champion"
    if one.failed:
        return f"failed when it was to be {one.failed}{f': {one.reason}' if one.reason else ''}"
    if one.ending == "rejected":
        return f"has ended; its model was not better than {best} and was rejected"
    return (
        "has only begun",
        "has its pictures chosen; they are to be sent",
        "waits for people to finish their work in CVAT",
        "waits for people to finish their work in CVAT",
        "has its corrections back; a model is to be trained",
        "has trained a model; it is to be tested",
        "has tested its model",
        "has ended; its model is the champion",
    )[min(one.done, 7)]


def _advice(one: RoundView) -> str:
    if one.failed:
        return "Mend the reason, then start the same command again: it goes on where it stopped."
    if one.ending == "rejected":
        return "Label another batch: more, or other pictures than the last ones."
    if one.loop:
        people = "Have the jobs finished in CVAT; " if one.done in {2, 3} else ""
        return f"{people}agir-cvtoolkit loop {one.loop} goes on."
    return (
        "Choose a batch: agir-cvtoolkit select.",
        "Send it: agir-cvtoolkit upload-cvat.",
        "Have the jobs finished in CVAT, then: agir-cvtoolkit download-cvat.",
        "Have the jobs finished in CVAT, then: agir-cvtoolkit download-cvat.",
        "Learn from it: agir-cvtoolkit train.",
        "Test the model: agir-cvtoolkit evaluate.",
        "Put it into service, if it is better: agir-cvtoolkit promote.",
        "Begin the next round with the new champion: agir-cvtoolkit infer-seg -o seg_inference.model.predictor=champion.",
    )[min(one.done, 7)]


def _note(data: ReportData, one: RoundView) -> str:
    rows = data.rows_by_run.get(one.run_id, ())
    back = sum(row.agreement is not None for row in rows)
    sent = sum(row.state != "predicted" for row in rows)
    parts = [
        f"{back:,} of {counted(sent, 'picture')} back"
        if sent
        else f"{counted(len(rows), 'picture')} predicted"
    ]
    evaluation = data.evaluations.get(one.training_run)
    if evaluation is not None:
        value, interval = quality_words(evaluation.challenger)
        parts.append(f"{evaluation.figure} {value}{f' ({interval})' if interval else ''}")
        parts.append(evaluation.words)
    return f"{one.now}. {'; '.join(part for part in parts if part)}."


def _table(data: ReportData) -> Table:
    rows = []
    for one in reversed(data.rounds):
        own = data.rows_by_run.get(one.run_id, ())
        back = [row for row in own if row.agreement is not None]
        evaluation = data.evaluations.get(one.training_run)
        value = quality_words(evaluation.challenger) if evaluation is not None else ("", "")
        hours = sum(data.effort.hours_by_run.get(run_id, 0.0) for run_id in one.runs)
        rows.append(
            (
                Cell(one.name, is_text=True),
                Cell(one.now, is_text=True, warns=one.failed is not None),
                Cell(one.opened[:16].replace("T", " ")),
                Cell(f"{len(own):,}"),
                Cell(f"{sum(row.state != 'predicted' for row in own):,}"),
                Cell(f"{len(back):,}"),
                Cell(hours_words(hours)),
                Cell(*value),
            )
        )
    figure = next((e.figure for e in data.evaluations.values()), "quality")
    columns = ("round", "state", "begun (UTC)", "predicted", "sent", "back", "people's work", figure)
    return Table("All rounds, the newest first", columns, tuple(rows))
