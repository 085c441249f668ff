"""``select``: choose what people get to see next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from agir_cvtoolkit.choosing import Choice, Known
from agir_cvtoolkit.config import Select, Settings, unfit
from agir_cvtoolkit.errors import ConfigError, NoRunError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, fingerprint, write_json
from agir_cvtoolkit.selection import ChoiceRules, Decisions, Quota, decide, shipped

from ._batch import BATCH, CHOICES, FOLDER, SUMMARY
from ._call import Call
from ._select_known import known_units
from ._select_pool import Gathered, gather
from ._select_quotas import quota_notes
from ._select_sheet import draw_batch
from ._select_write import lines_of, read_choices, rows_of, write_batch, write_choices
from .effort import Pace, measured_effort

STAGE = "select"


@dataclass(frozen=True)
class SelectResult:
    """What ``select`` chose, or in a dry run would choose.

    Attributes:
        number: of the batch in its run, from 1; 0 in a dry run.
        units: that could be chosen from, before anything was left out.
        wanted: how many were asked for.
        chosen, control: how many were chosen, and how many of these at random.
        population: units that the control slice was drawn from, and stands for.
        unit: ``picture`` or ``region``.
        strategy, seed: that it went by.
        embeddings: model and version; None where there were none.
        counts: units by the rule that kept or dropped them.
        seconds: of a person's work for one unit; None where it was not asked for.
        timing: how these seconds are known, such as ``by CVAT's event log``; empty where they were not asked for.
        choices: of the chosen units, by rank.
        items: records that could not be chosen, with the reason.
        notes: what was done otherwise than asked for.
        files: that were written, relative to the run.
    """

    run_id: str
    number: int
    units: int
    wanted: int
    chosen: int
    control: int
    population: int
    unit: str
    strategy: str
    seed: int
    embeddings: str | None
    counts: Mapping[str, int] = field(hash=False)
    seconds: float | None
    choices: tuple[Choice, ...]
    items: tuple[Item, ...]
    notes: tuple[str, ...]
    files: tuple[str, ...] = ()
    dry_run: bool = False
    timing: str = ""

    @property
    def exit_code(self) -> int:
        """0, 1 where a record could not be chosen or fewer were chosen than asked for."""
        return 1 if self.items or self.chosen < self.wanted else 0


@dataclass(frozen=True)
class Explained:
    """Why units were chosen or not.

    Attributes:
        choices: of the units that were asked about.
        counts: all units by rule.
    """

    run_id: str
    choices: tuple[Choice, ...]
    counts: Mapping[str, int] = field(hash=False)


def select(
    count: int | None = None,
    *,
    hours: float | None = None,
    strategy: str | None = None,
    scores: Mapping[str, float] | None = None,
    unit: str | None = None,
    seed: int | None = None,
    contact_sheet: bool = False,
    call: Call | None = None,
) -> SelectResult:
    """Choose the batch that is worth a person's time; from then on ``upload-cvat`` sends it and nothing else.

    What is labelled or in a task, of whatever run of the workspace, is left out, and so is what looks like it. Called
    again before the batch was sent, the same call changes nothing, and another one replaces the batch; after that, it
    chooses the next one. Earlier batches lie in ``history/select/``. Without a given value the configuration counts.

    Args:
        count: so many units.
        hours: as many units as people do in that time, by the measured seconds for each.
        strategy: a name that `select_strategies` lists, ``package.module:Class`` or ``file.py:Class``.
        scores: weight of each score that the strategy goes by.
        unit: ``picture`` or ``region``.
        seed: of all chance.
        contact_sheet: draw the batch into ``select/contact_sheet.jpg``.
        call: options of every command.

    Raises:
        NoRunError: nothing was predicted.
        UsageError: there is nothing to choose from, or both `count` and `hours` are given.
        ConfigError: no such strategy or score, or the run lacks what the strategy needs.
        DataError: a file of the run is damaged.
    """
    call = call or Call()
    settings = call.settings()
    given = {"count": count, "strategy": strategy, "scores": scores, "unit": unit, "seed": seed}
    settings = _with(settings, {name: value for name, value in given.items() if value is not None})
    if count is not None and hours is not None:
        raise UsageError("--count and --hours exclude each other", "Give one of them.")
    if hours is not None and hours <= 0:
        raise UsageError(f"{hours:g} hours are no time to work in", "Give more than 0.")
    run = call.open_run(settings)
    with call.work(run, STAGE):
        return select_run(run, settings, call, hours=hours, contact_sheet=contact_sheet)


def select_run(
    run: Run, settings: Settings, call: Call, *, hours: float | None = None, contact_sheet: bool = False
) -> SelectResult:
    """Do what `select` does with a run and settings that are there already; the caller holds the stage."""
    wanted = settings.select
    open_ledger = Ledger.open_to_read if call.dry_run else Ledger.open
    with open_ledger(settings.io.ledger_url, settings.io.out_root) as ledger:
        pace = None
        count = wanted.count
        if hours is not None:
            report = settings.report
            jobs = ledger.finished_jobs()
            pace = measured_effort(jobs, report.seconds_per_picture, report.longest_s).pace
            count = max(1, int(hours * 3600 / pace.seconds))
        rules = rules_of(wanted)
        known, gathered, found = chosen_of(run, settings, ledger, count, rules, call.progress)
        result = _result(run, wanted, count, gathered, found, pace)
        result = replace(result, notes=(*result.notes, *quota_notes(rules, gathered.pool, found)))
        if pace is not None and hours is not None and hours * 3600 < pace.seconds:
            more = f"a {wanted.unit} takes {pace.seconds:.0f} s, more than {hours:g} hours: one was chosen all the same"
            result = replace(result, notes=(*result.notes, more))
        if call.dry_run:
            return result
        call.record_config(run, STAGE, settings, settings.dump("select", "io"))
        identity = _identity(settings, count, gathered, known)
        return _kept(run, settings, ledger, gathered, found, result, identity, contact_sheet)


def chosen_of(
    run: Run, settings: Settings, ledger: Ledger, count: int, rules: ChoiceRules, progress: Progress
) -> tuple[Known, Gathered, Decisions]:
    """Gather what can be chosen of a run and what is known, and choose."""
    gathered = gather(run, settings, ledger, progress)
    known = known_units(settings, ledger, progress)
    # People's names of classes and the model's may differ in their capitals.
    counts = {name: known.class_counts.get(name.casefold(), 0.0) for name in gathered.pool.classes}
    known = replace(known, class_counts=counts)
    return known, gathered, decide(gathered.pool, count, rules, known, settings.select.seed)


def select_explain(unit: str | None = None, call: Call | None = None) -> Explained:
    """Tell why units of the newest batch were chosen, or why one was or was not.

    Args:
        unit: id of a record or of a region; None for all that were chosen.
        call: options of every command.

    Raises:
        NoRunError: nothing was chosen in the run.
        UsageError: there is no such unit.
    """
    call = call or Call()
    run = call.open_run(call.settings())
    path = run.path(FOLDER, CHOICES)
    if not path.is_file():
        raise NoRunError(
            f"in run {run.run_id} nothing was chosen yet", "Choose: agir-cvtoolkit select --count 20"
        )
    choices = read_choices(path)
    counts: dict[str, int] = {}
    for one in choices:
        rule = one.rule.partition(" of ")[0] if not one.chosen and "duplicate of" in one.rule else one.rule
        counts[rule] = counts.get(rule, 0) + 1
    if unit is None:
        return Explained(run.run_id, tuple(one for one in choices if one.chosen), counts)
    found = tuple(one for one in choices if unit in {one.unit_id, one.record_id})
    if not found:
        near = did_you_mean(unit, [one.unit_id for one in choices])
        raise UsageError(f"run {run.run_id} had no unit '{unit}' to choose from", near)
    return Explained(run.run_id, found, counts)


def select_strategies() -> Mapping[str, str]:
    """Return what each shipped strategy does, by name."""
    return shipped()


def rules_of(wanted: Select) -> ChoiceRules:
    """Return the rules that the configuration asks for."""
    strata, classes = wanted.quotas.strata, wanted.quotas.classes
    quotas = [Quota("stratum", name, bounds.least, bounds.most) for name, bounds in strata.items()]
    quotas += [Quota("class", name, bounds.least, bounds.most) for name, bounds in classes.items()]
    return ChoiceRules(
        strategy=wanted.strategy,
        options=dict(wanted.options),
        scores=dict(wanted.scores),
        control=wanted.control,
        near_bits=wanted.near_duplicates,
        alike=wanted.alike,
        quotas=tuple(quotas),
        class_share=wanted.class_share,
        per_record=wanted.per_picture if wanted.unit == "region" else None,
        exact_up_to=wanted.exact_up_to,
    )


def _with(settings: Settings, given: Mapping[str, Any]) -> Settings:
    if not given:
        return settings
    try:
        changed = Select.model_validate(settings.select.model_dump() | dict(given))
    except ValidationError as error:
        raise ConfigError(unfit(error, "select"), "See: agir-cvtoolkit select --help") from error
    return settings.model_copy(update={"select": changed})


def _identity(settings: Settings, count: int, gathered: Gathered, known: Known) -> str:
    entries = [
        (entry.record_id, entry.sha256, entry.model, entry.uncertainty, dict(entry.scores))
        for entry in gathered.entries
    ]
    made = gathered.embedded
    return fingerprint(
        STAGE,
        settings.dump("select"),
        count,
        entries,
        sorted(known.ids),
        None if made is None else (made.model, made.version),
    )


def _kept(
    run: Run,
    settings: Settings,
    ledger: Ledger,
    gathered: Gathered,
    found: Decisions,
    result: SelectResult,
    identity: str,
    contact_sheet: bool,
) -> SelectResult:
    wanted = settings.select
    stage_pass = run.begin(STAGE, identity, (FOLDER,))
    entries = {entry.record_id: entry for entry in gathered.entries}
    lines, failed = lines_of(run, result.choices, entries)
    write_choices(run, found)
    rows = rows_of(run, stage_pass.number, result.choices, lines, wanted.strategy, wanted.seed)
    kept = {row.unit_id for row in rows}
    choices = tuple(one for one in result.choices if one.unit_id in kept)
    files = [f"{FOLDER}/{name}" for name in (BATCH, CHOICES, SUMMARY)]
    if contact_sheet:
        files.append(draw_batch(run, choices, entries))
    content = {
        "number": stage_pass.number,
        "settings": settings.dump("select")["select"],
        "units": result.units,
        "wanted": result.wanted,
        "chosen": len(choices),
        "control": sum(one.control for one in choices),
        "control_population": result.population,
        "embeddings": result.embeddings,
        "models": sorted({entry.model for entry in gathered.entries}),
        "counts": dict(result.counts),
        "notes": result.notes,
    }
    write_json(run.path(FOLDER, SUMMARY), content)
    write_batch(run, lines)
    ledger.record_selection(run.run_id, stage_pass.number, rows)
    numbers = {name: value for name, value in content.items() if name not in {"settings", "number"}}
    run.write_metrics(STAGE, numbers | {"items": [asdict(item) for item in failed]}, number=stage_pass.number)
    run.finish(stage_pass)
    return SelectResult(
        **{name: getattr(result, name) for name in SelectResult.__dataclass_fields__}
        | {
            "number": stage_pass.number,
            "chosen": len(choices),
            "control": sum(one.control for one in choices),
            "choices": choices,
            "items": (*result.items, *failed),
            "files": tuple(files),
            "dry_run": False,
        }
    )


def _result(
    run: Run, wanted: Select, count: int, gathered: Gathered, found: Decisions, pace: Pace | None
) -> SelectResult:
    choices = tuple(found.choice(int(index)) for index in found.chosen)
    made = gathered.embedded
    return SelectResult(
        run_id=run.run_id,
        number=0,
        units=len(found),
        wanted=count,
        chosen=len(choices),
        control=sum(one.control for one in choices),
        population=found.population,
        unit=wanted.unit,
        strategy=wanted.strategy,
        seed=wanted.seed,
        embeddings=None if made is None else f"{made.model}@{made.version}",
        counts=found.counts(),
        seconds=None if pace is None else pace.seconds,
        timing="" if pace is None else pace.how,
        choices=choices,
        items=gathered.items,
        notes=(*gathered.notes, *found.notes),
        dry_run=True,
    )
