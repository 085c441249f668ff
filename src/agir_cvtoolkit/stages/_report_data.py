"""What a report is made of, gathered once: pages and the dashboard are drawn from it without asking anybody again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from agir_cvtoolkit.choosing import parted_id
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import UsageError, did_you_mean
from agir_cvtoolkit.ledger import DatasetVersion, Ledger, LoopRow, ModelRow
from agir_cvtoolkit.runs import Run, list_runs, open_run

from ._evaluations import RunEvaluation, read_evaluation
from ._learning_curve import Curve, CurvePoint, fit
from ._report_rounds import RoundView, rounds_of_loop, rounds_of_runs
from ._strata import with_strata
from ._workspace_rows import (
    WAITING,
    ClassWork,
    RecordRow,
    read_rows,
    shapes_by_class,
    work_by_class,
    work_by_person,
)
from .effort import Effort, measured_effort


@dataclass(frozen=True)
class Scope:
    """What a report is about: one loop, one run, or the whole workspace."""

    loop: str | None = None
    run_id: str | None = None

    @property
    def words(self) -> str:
        """For people."""
        if self.loop is not None:
            return f"loop {self.loop}"
        return f"run {self.run_id}" if self.run_id is not None else "the whole workspace"


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that a report shows but pictures.

    Attributes:
        rows: one for each record of each run.
        evaluations: by run.
        models: newest first.
        datasets: newest first.
        shapes_by_class: class, outcome and how many shapes.
        work_by_class: what people did, by class.
        work_by_person: what people did, by annotator and class.
        points: labels and quality of each trained model, the oldest first.
        curve: through them; None where there are too few.
    """

    scope: Scope
    out_root: Path
    loop: LoopRow | None
    rounds: tuple[RoundView, ...]
    rows: tuple[RecordRow, ...]
    evaluations: Mapping[str, RunEvaluation]
    effort: Effort
    models: tuple[ModelRow, ...]
    datasets: tuple[DatasetVersion, ...]
    shapes_by_class: tuple[tuple[str, str, int], ...] = ()
    work_by_class: Mapping[str, ClassWork] = field(default_factory=dict)
    work_by_person: Mapping[tuple[str, str], ClassWork] = field(default_factory=dict)
    points: tuple[CurvePoint, ...] = ()
    curve: Curve | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        """Pictures that came back, each once."""
        return len({row.record_id for row in self.rows if row.agreement is not None})

    @property
    def pool(self) -> int:
        """Pictures that were predicted, each once."""
        return len({row.record_id for row in self.rows})

    @cached_property
    def left(self) -> int:
        """Pictures that were predicted, and of which people have got nothing yet, each once."""
        waiting = {row.record_id for row in self.rows if row.state == WAITING}
        given = {parted_id(row.record_id)[0] for row in self.rows if row.state != WAITING}
        return len(waiting - given)

    @cached_property
    def rows_by_run(self) -> Mapping[str, Sequence[RecordRow]]:
        """The rows of each run."""
        found: dict[str, list[RecordRow]] = {}
        for row in self.rows:
            found.setdefault(row.run_id, []).append(row)
        return found

    @cached_property
    def species(self) -> tuple[str, ...]:
        """Species of the records, as far as they were read."""
        return tuple(sorted({row.species for row in self.rows if row.species}))

    @cached_property
    def strata(self) -> tuple[str, ...]:
        """Other groups of the records, as far as they were read: ``column=value``."""
        return tuple(sorted({one for row in self.rows for one in row.strata}))

    @property
    def champions(self) -> tuple[ModelRow, ...]:
        """The models in service."""
        return tuple(model for model in self.models if model.is_champion)


def gather(settings: Settings, scope: Scope, *, strata: bool = False) -> ReportData:
    """Read everything.

    Args:
        settings: with the groups ``io`` and ``report``.
        scope: what is read.
        strata: read species and other groups of records out of the manifests, too.

    Raises:
        UsageError: there is no such loop or run.
        LedgerError: the ledger cannot be read.
    """
    out_root = Path(settings.io.out_root)
    known = list_runs(out_root)
    if scope.run_id is not None and scope.run_id not in known:
        open_run(out_root, scope.run_id)  # says what is wrong with the name
    with Ledger.open_to_read(settings.io.ledger_url, out_root) as ledger:
        models, datasets = ledger.models(), ledger.datasets()
        loop = _loop(ledger, scope)
        if loop is not None:
            rounds = rounds_of_loop(ledger, loop.name)
        else:
            wanted = known if scope.run_id is None else [scope.run_id]
            rounds = rounds_of_runs([open_run(out_root, run_id) for run_id in wanted], models)
        within = _runs_of(scope, rounds)
        outcomes = [one for one in ledger.record_outcomes() if within is None or one.run_id in within]
        rows = read_rows(ledger, outcomes, within)
        jobs = ledger.finished_jobs()
    runs = {run_id: open_run(out_root, run_id) for run_id in known if within is None or run_id in within}
    if strata:
        rows = with_strata(rows, runs)
    labels = {dataset.version: dataset.records for dataset in datasets}
    evaluations = _evaluations(rounds, runs, models, labels)
    points = _points(rounds, evaluations)
    own = [job for job in jobs if within is None or job.run_id in within]
    report = settings.report
    return ReportData(
        scope=scope,
        out_root=out_root,
        loop=loop,
        rounds=tuple(rounds),
        rows=tuple(rows),
        evaluations=evaluations,
        effort=measured_effort(own, report.seconds_per_picture, report.longest_s),
        models=tuple(m for m in models if within is None or m.run_id in within),
        datasets=tuple(d for d in datasets if within is None or d.run_id in within),
        shapes_by_class=shapes_by_class(outcomes),
        work_by_class=work_by_class(outcomes),
        work_by_person=work_by_person(outcomes),
        points=points,
        curve=fit(points),
        runs=runs,
    )


def _loop(ledger: Ledger, scope: Scope) -> LoopRow | None:
    """Return the loop of the scope; of the whole workspace the newest one."""
    loops = ledger.loops()
    if scope.loop is None:
        return loops[-1] if loops and scope.run_id is None else None
    found = next((row for row in loops if row.name == scope.loop), None)
    if found is None:
        names = [row.name for row in loops]
        hint = did_you_mean(scope.loop, names) or f"There are: {', '.join(names) or 'none'}."
        raise UsageError(f"there is no loop '{scope.loop}'", hint)
    return found


def _runs_of(scope: Scope, rounds: Iterable[RoundView]) -> frozenset[str] | None:
    if scope.run_id is not None:
        return frozenset({scope.run_id})
    if scope.loop is not None:
        return frozenset(run_id for one in rounds for run_id in one.runs)
    return None


def _evaluations(
    rounds: Iterable[RoundView],
    runs: Mapping[str, Run],
    models: Iterable[ModelRow],
    labels: Mapping[str, int],
) -> dict[str, RunEvaluation]:
    trained_on = {}
    for model in models:
        part = model.card.get("trained_on")
        if model.run_id and isinstance(part, dict):
            trained_on[model.run_id] = labels.get(str(part.get("dataset", "")))
    found = {}
    for one in rounds:
        run = runs.get(one.training_run)
        # A pose model names no version of a data set; its round says how many pictures it learned from.
        learned = (trained_on.get(run.run_id) if run is not None else None) or one.figures.get("learned")
        evaluation = read_evaluation(run, learned) if run is not None else None
        if evaluation is not None:
            found[evaluation.run_id] = evaluation
    return found


def _points(rounds: Iterable[RoundView], evaluations: Mapping[str, RunEvaluation]) -> tuple[CurvePoint, ...]:
    """Return how models did against how many labels they learned from, of the newest kind of model."""
    told = [evaluations[one.training_run] for one in rounds if one.training_run in evaluations]
    kinds = {one.kind for one in told[-1:]}
    return tuple(
        CurvePoint(one.labels, one.challenger.quality, one.challenger.low, one.challenger.high)
        for one in told
        if one.labels and one.kind in kinds
    )
