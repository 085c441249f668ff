"""The section of a report that says how good the model in service is on the whole pool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agir_cvtoolkit.quality.intervals import Measure
from agir_cvtoolkit.reporting.page_parts import Line, LineChart, Part, Section, Words

from ._interval import counted, mean_of, told
from ._report_data import ReportData
from ._report_rounds import RoundView
from ._workspace_rows import RecordRow

_FEW = 10
_NOBODY = "none"
"""Of rounds in which people drew everything: there was no model to agree with."""


@dataclass(frozen=True)
class OnThePool:
    """How far the proposals of one model agreed with people on pictures drawn at random.

    Attributes:
        model: as predictions name it: its name, and behind ``@`` its version.
        agreement: over its control pictures.
        is_in_service: it is a champion, or there is none.
        before: the model that proposed before, and its agreement; None where there is none.
    """

    model: str
    agreement: Measure
    is_in_service: bool
    before: tuple[str, Measure] | None = None


def on_the_pool(data: ReportData) -> OnThePool | None:
    """Return how good the model is that proposed last, as the control slice tells; None where that is not known.

    Only what this one model proposed counts: rounds before it say how good others were.
    """
    rows = _control(data)
    if not rows:
        return None
    order = {one.run_id: number for number, one in enumerate(data.rounds)}
    rows = sorted(rows, key=lambda row: order.get(row.run_id, -1))
    models = list(dict.fromkeys(row.model for row in reversed(rows)))
    measured = [
        (model, mean_of([row.agreement for row in rows if row.model == model and row.agreement is not None]))
        for model in models[:2]
    ]
    told = [(model, agreement) for model, agreement in measured if agreement is not None]
    if not told:
        return None
    versions = {model.version for model in data.champions}
    newest, agreement = told[0]
    in_service = not versions or newest.partition("@")[2] in versions
    return OnThePool(newest, agreement, in_service, told[1] if len(told) > 1 else None)


def control_section(data: ReportData) -> Section:
    """Return how good the model is on the whole pool: by the control slice, and by the test set that is drawn from it."""
    control = _control(data)
    shows = (
        "How far the model's proposals agreed with what people made of them, on pictures that were drawn at random: the"
        " only ones that stand for all pictures, because the others were chosen for being hard."
    )
    title = "How good are the proposals on the whole pool?"
    tested = _tested_words(data)
    found = on_the_pool(data)
    if found is None:
        act = "Choose batches with select: it always keeps a random control slice."
        back = any(row.agreement is not None for row in data.rows)
        why = "No picture has come back yet."
        if back:
            why = (
                "No picture of a control slice has come back that a model had proposed for, so nothing can be said"
                " without bias."
            )
        parts: tuple[Part, ...] = (Words(why, "Not known.", "warn" if back else "plain"), *tested)
        return Section("control", title, shows, act, parts)
    few = found.agreement.frames < _FEW
    act = (
        "Wait for more control pictures before you trust this figure."
        if few
        else "Take this figure, not the one of the chosen pictures, when you say how good the model is."
    )
    before = found.before[1].low if found.before is not None else None
    if before is not None and found.agreement.mean < before:
        act = (
            "Look at its proposals: they agree less with people than those before them. More labels or a longer training"
            " may help; until then the earlier model costs people less."
        )
    words = _lead(found, warns=few)
    return Section("control", title, shows, act, (words, *tested, _chart(data, control)))


def _control(data: ReportData) -> list[RecordRow]:
    """Return what came back of the control slices; rounds of captures choose in one run and send in another."""
    drawn = {one.run_id: frozenset(map(str, one.figures.get("control") or ())) for one in data.rounds}
    return [
        row
        for row in _back(data)
        if (row.chosen is not None and row.chosen.control)
        or row.record_id in drawn.get(row.run_id, frozenset())
    ]


def _back(data: ReportData) -> list[RecordRow]:
    return [row for row in data.rows if row.agreement is not None and row.model.partition("@")[0] != _NOBODY]


def _lead(found: OnThePool, *, warns: bool) -> Words:
    value, interval = told(found.agreement)
    model = _named(found.model)
    who = (
        f"The model in service, {model},"
        if found.is_in_service
        else f"The model that proposed last, {model},"
    )
    count = found.agreement.frames
    pictures = f"{count} control picture{'' if count == 1 else 's'}"
    text = f"From the {pictures} that it proposed for. 1 means that nobody had to change anything."
    if found.before is not None:
        value_before, interval_before = told(found.before[1])
        text += f" {_named(found.before[0])}, which proposed before, had {value_before}"
        text += f" ({interval_before})." if interval_before else "."
    if not found.is_in_service:
        text += " Another model has taken over since; its first control slice has not come back yet."
    lead = f"{who} on the whole pool: {value}" + (f" (95 % interval {interval})." if interval else ".")
    return Words(text, lead, "warn" if warns else "plain")


def _named(model: str) -> str:
    """Return a model as people read it."""
    name, _, version = model.partition("@")
    return f"{name} {version[:12]}".strip() or "what the devices run"


def _tested_words(data: ReportData) -> tuple[Words, ...]:
    """Return how the champion did on the test set, where that was drawn from the control slices of the loop."""
    if not any(one.figures.get("tested") for one in data.rounds):
        return ()
    versions = {model.version for model in data.champions}
    for one in reversed(data.rounds):
        found = data.evaluations.get(one.training_run)
        if found is None:
            continue
        for model in (found.challenger, found.champion):
            if model is not None and model.version in versions:
                value, interval = told(Measure(model.quality, model.low, model.high, found.pictures), 3)
                told_interval = f" (95 % interval {interval})" if interval else ""
                words = (
                    f"On the {found.pictures} test pictures, which were drawn from the control slices and which no model"
                    " has learned from."
                )
                lead = f"{found.figure} of the model in service: {value}{told_interval}."
                return (Words(words, lead, "plain" if interval else "warn"),)
    return ()


def _chart(data: ReportData, control: Sequence[RecordRow]) -> LineChart:
    drawn = {(row.run_id, row.record_id) for row in control}
    others = [
        row for row in _back(data) if row.chosen is not None and (row.run_id, row.record_id) not in drawn
    ]
    rounds = [one for one in data.rounds if any(row.run_id == one.run_id for row in control)]
    lines = [
        _line(name, [_of_round(found, one) for one in rounds])
        for name, found in (("control slice", control), ("chosen pictures", others))
        if found
    ]
    newest = [told(_of_round(control, one))[0] for one in rounds]
    return LineChart(
        "Agreement of proposal and correction, by round",
        f"Agreement on the control slice, round by round: {', '.join(newest)}.",
        "",
        "agreement",
        tuple(lines),
        tuple(one.name for one in rounds),
    )


def _of_round(rows: Sequence[RecordRow], one: RoundView) -> Measure | None:
    return mean_of([row.agreement for row in rows if row.run_id == one.run_id and row.agreement is not None])


def _line(name: str, found: Sequence[Measure | None]) -> Line:
    def each(attribute: str) -> tuple[float, ...]:
        values = (getattr(one, attribute) if one is not None else None for one in found)
        return tuple(math.nan if value is None else value for value in values)

    low = each("low")
    known = any(math.isfinite(value) for value in low)
    counts = tuple(counted(one.frames, "picture") if one else "" for one in found)
    places = tuple(float(at) for at in range(len(found)))
    return Line(name, places, each("mean"), low if known else (), each("high") if known else (), counts)
