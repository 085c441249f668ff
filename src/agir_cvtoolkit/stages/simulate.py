"""``simulate``: strategies tried on labelled data, before people's hours go into one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from agir_cvtoolkit.config import Settings, unfit
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.errors import ConfigError, UsageError
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.reporting.efficiency import EfficiencyLine, draw_efficiency
from agir_cvtoolkit.runs import fingerprint, read_json_object, try_lock, write_json, write_text
from agir_cvtoolkit.selection import ChoiceRules, strategy

from ._call import Call
from ._simulate_arena import rules_of
from ._simulate_data import HeldOut, LabelledData, labelled_data, tested_groups
from ._simulate_outcome import StrategyCurve, outcome_of, table_of, words_of
from .select import rules_of as rules_of_select

FOLDER = "simulations"
RESULT, TABLE, PICTURE = "simulation.json", "curves.csv", "curves.png"
_IOU, _PCK = "mean IoU", "PCK at 5 %"
_REVISION = 4
"""Of what cells depend on beside their settings: another one when the learner changes."""
_VARIATIONS = 3
"""In which the learners are shown each unit, beside the plain one."""
_LOOK_S, _CELL_S, _UNIT_S = 0.15, 2.5, 0.004
"""Seconds on one core of 2024: one look of the encoder at 320 x 320 pixels, one training and test, one unit's scores."""


@dataclass(frozen=True)
class SimulateResult:
    """What ``simulate`` found, or in a dry run would do.

    Attributes:
        folder: with ``curves.csv``, ``curves.png``, ``cells.jsonl`` and ``simulation.json``.
        metric: of the scores.
        pool, tested: units to choose from (of the seed that has the fewest), whole pictures to test on.
        drawn: each seed tests on pictures of its own.
        cells: steps in all: trainings.
        done: of them, before this call.
        curves: one for each strategy.
        words: what was found, in sentences.
        seconds: estimated in a dry run, else measured.
    """

    folder: Path
    metric: str
    pool: int
    tested: int
    drawn: bool
    cells: int
    done: int
    curves: tuple[StrategyCurve, ...]
    words: tuple[str, ...]
    seconds: float
    dry_run: bool = False


def simulate(
    data: Path | None = None,
    *,
    strategies: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    seeds: int | None = None,
    unit: str | None = None,
    test: Path | None = None,
    duplicates: float | None = None,
    jobs: int | None = None,
    out: Path | None = None,
    call: Call | None = None,
) -> SimulateResult:
    """Replay labelled data as a pool whose labels are known, and compare how fast a model learns by each strategy.

    Every cell (strategy, seed, number of labels) is kept as it is finished: killed and started again, the simulation
    goes on; finished, the same call does nothing. The same cells come out whatever the number of processes.

    Args:
        data: a folder with ``images/`` and ``labels/`` (or ``masks/``, or ``poses/``), a data set version, or
            DeepLabCut's ``CollectedData_*.csv``; None for the corrections of the run.
        strategies, budgets, seeds, unit, test, duplicates, jobs: as in the group ``simulate``, in whose place they are
            taken where they are given.
        out: folder of the results; None for one below ``simulations/`` beside the runs, named after data and settings.
        call: options of every command; the group ``select`` says what the default strategy is.

    Raises:
        ConfigError: there is no such strategy or encoder.
        DataError: the data cannot be read, or are too few.
        UsageError: another process is at it, or `out` holds another simulation.
        MissingExtraError: the learner needs the extra ``train``.
    """
    call = call or Call()
    given = {
        "strategies": strategies,
        "budgets": budgets,
        "seeds": seeds,
        "unit": unit,
        "test": None if test is None else str(test),
        "duplicates": duplicates,
        "jobs": jobs,
    }
    settings = _with(call.settings(), {name: value for name, value in given.items() if value is not None})
    wanted = settings.simulate
    started = time.perf_counter()
    run = None if data is not None else call.open_run(settings)
    found = labelled_data(data or Path(), run, settings)
    tested = tested_groups(found, wanted.test, wanted.test_share)
    unit = "region" if found.kind == "masks" and wanted.unit == "tile" else "picture"
    configured = rules_of_select(settings.select.model_copy(update={"unit": unit}))
    rules = rules_of(wanted.strategies, configured, found.kind)
    for each in rules.values():
        strategy(each.strategy, each.options)
    key = _key(found, tested, wanted, rules)
    root = Path(settings.io.out_root).parent / FOLDER
    folder = out or root / f"{file_stem(found.name)}-{key[:12]}"
    if call.dry_run:
        return _planned(found, tested, settings, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with try_lock(folder / "lock") as ours:
        if not ours:
            raise UsageError(f"another process simulates in {folder}", "Wait for it, or name another folder.")
        _check_same(folder, key)
        return _simulated(found, tested, settings, rules, key, folder, root, call, started)


def _simulated(
    data: LabelledData,
    tested: HeldOut,
    settings: Settings,
    rules: Mapping[str, ChoiceRules],
    key: str,
    folder: Path,
    root: Path,
    call: Call,
    started: float,
) -> SimulateResult:
    from agir_cvtoolkit.models.libraries import require_torch

    from ._simulate_cells import CELLS, Book, Schedule, run_all

    wanted = settings.simulate
    book = Book(folder / CELLS)
    before = len(book.cells)
    total = _cells(wanted)
    sizes = read_json_object(folder / RESULT)
    if before < total or "pool" not in sizes:
        require_torch("A simulation")
        from ._simulate_arena import Arena
        from ._simulate_units import least_pool, pool_and_test

        store = root / "features" / file_stem(wanted.encoder)
        units = pool_and_test(data, tested, wanted, store, call.progress)
        sizes = {"key": key, "pool": least_pool([u.group for u in units.pool], tested, wanted.seeds)}
        sizes["tested"] = len({units.test[place].record_id for place in units.sides(0)[1]})
        write_json(folder / RESULT, sizes)
        arena = Arena(units, store, rules)
        firsts = {seed: arena.first(seed, wanted.budgets[0]) for seed in range(wanted.seeds)}
        schedule = Schedule(firsts, wanted.strategies, wanted.budgets)
        with call.progress.bar("simulate", schedule.total) as bar:
            bar.advance(before)
            run_all(schedule, book, (units, store, rules), wanted.jobs, bar)
    metric = _IOU if data.kind == "masks" else _PCK
    curves = outcome_of(book.cells, wanted.strategies, wanted.budgets, wanted.level)
    words = words_of(curves, metric, wanted.level)
    result = SimulateResult(
        folder,
        metric,
        int(sizes["pool"]),
        int(sizes["tested"]),
        tested.count is not None,
        total,
        before,
        curves,
        words,
        round(time.perf_counter() - started, 1),
    )
    if before < total or not (folder / PICTURE).is_file():
        _write(result, key, settings)
    return result


def _write(result: SimulateResult, key: str, settings: Settings) -> None:
    write_text(result.folder / TABLE, table_of(result.curves))
    draw_efficiency(
        result.folder / PICTURE,
        f"{result.metric} by labels, with {settings.simulate.level:.0%} intervals",
        [
            EfficiencyLine(
                curve.strategy,
                tuple(float(p.labels) for p in curve.points),
                tuple(p.score.mean for p in curve.points),
                tuple(p.score.mean if p.score.low is None else p.score.low for p in curve.points),
                tuple(p.score.mean if p.score.high is None else p.score.high for p in curve.points),
            )
            for curve in result.curves
        ],
        x_name=f"labelled {'pictures' if result.metric == _PCK else settings.simulate.unit + 's'}",
    )
    content = {
        "key": key,
        "pool": result.pool,
        "tested": result.tested,
        "metric": result.metric,
        "settings": settings.dump("simulate", "select"),
        "curves": [asdict(curve) for curve in result.curves],
        "words": result.words,
    }
    write_json(result.folder / RESULT, content)


def _planned(data: LabelledData, tested: HeldOut, settings: Settings, folder: Path) -> SimulateResult:
    from ._simulate_cells import CELLS, Book
    from ._simulate_units import cuts_of, least_pool

    wanted = settings.simulate
    own, held = cuts_of(data, tested, wanted)
    grown = 1 / (1 - wanted.duplicates)
    pool = round(least_pool([cut.truth.group for cut in own], tested, wanted.seeds) * grown)
    what = wanted.unit if data.kind == "masks" else "picture"
    ours = tested.by(0)
    tested_on = len({cut.truth.record_id for cut in held if cut.truth.group in ours})
    total = _cells(wanted)
    done = len(Book(folder / CELLS).cells)
    everything = len(own) * grown + len(held)
    # Poses are looked at in all their variations first, masks when they are first learned from.
    learned = min(len(own) * grown, wanted.seeds * len(wanted.strategies) * wanted.budgets[-1])
    first, later = (everything, learned) if data.kind == "masks" else (everything * (1 + _VARIATIONS), 0.0)
    seconds = first * _LOOK_S + later * _VARIATIONS * _LOOK_S / wanted.jobs
    seconds += (total - done) * (_CELL_S + pool * _UNIT_S) / wanted.jobs
    words = (
        f"would choose from {pool} {what}s and test on {tested_on} pictures"
        + (", other ones for each seed" if tested.count is not None else ""),
        f"would train {total - done} of {total} small models, in about {max(1, round(seconds / 60))} min",
    )
    metric = _IOU if data.kind == "masks" else _PCK
    return SimulateResult(
        folder,
        metric,
        pool,
        tested_on,
        tested.count is not None,
        total,
        done,
        (),
        words,
        round(seconds, 1),
        dry_run=True,
    )


def _cells(wanted: Simulate) -> int:
    return wanted.seeds * (1 + len(wanted.strategies) * (len(wanted.budgets) - 1))


def _key(data: LabelledData, tested: HeldOut, wanted: Simulate, rules: Mapping[str, ChoiceRules]) -> str:
    """Return what tells simulations apart; more seeds and more processes continue one, other labels begin another."""
    files = [
        (truth.record_id, *(_stamp(path) for path in (truth.picture, truth.mask) if path is not None))
        for truth in data.truths
    ]
    poses = [repr(truth.sample.pose) for truth in data.truths if truth.sample is not None]
    same = wanted.model_dump(mode="json", exclude={"jobs", "seeds", "level", "test", "test_share"})
    return fingerprint(
        _REVISION, files, poses, asdict(tested), same, {n: asdict(r) for n, r in rules.items()}
    )


def _stamp(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return path.name, found.st_size, found.st_mtime_ns


def _with(settings: Settings, given: Mapping[str, object]) -> Settings:
    try:
        changed = Simulate.model_validate(settings.simulate.model_dump() | dict(given))
    except ValidationError as error:
        raise ConfigError(unfit(error, "simulate"), "See: agir-cvtoolkit simulate --help") from error
    return settings.model_copy(update={"simulate": changed})


def _check_same(folder: Path, key: str) -> None:
    known = read_json_object(folder / RESULT).get("key")
    if known is not None and known != key:
        raise UsageError(f"{folder} holds another simulation", "Name another folder, or remove it.")
