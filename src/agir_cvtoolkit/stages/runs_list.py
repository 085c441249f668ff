"""``runs list``, ``runs show``: what lies in the folder of all runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import Run, current_run_id, list_runs

from ._call import Call
from ._disk import held_by
from .status import PREDICTIONS, STAGES, StageStatus, stage_status


@dataclass(frozen=True)
class RunSummary:
    """One run.

    Attributes:
        started: ISO 8601, UTC; None for a run whose mark is damaged.
        current: later commands use it.
        stages: those whose newest pass is complete.
        records: of its query; None where it has none.
        tasks: on servers, with records of this run.
        bytes: on the disk, each file once.
    """

    run_id: str
    started: str | None
    current: bool
    stages: tuple[str, ...]
    records: int | None
    tasks: int
    bytes: int


@dataclass(frozen=True)
class RunsListed:
    """All runs, oldest first."""

    out_root: Path
    runs: tuple[RunSummary, ...]


@dataclass(frozen=True)
class StageShown:
    """One stage of a run.

    Attributes:
        passes: how many were begun.
        metrics: of the newest pass, as in ``metrics.json``.
    """

    stage: str
    state: str
    passes: int
    finished: str | None
    figures: Mapping[str, object]
    metrics: Mapping[str, object]


@dataclass(frozen=True)
class FilesShown:
    """One file or folder at the top of a run."""

    name: str
    files: int
    bytes: int


@dataclass(frozen=True)
class RunShown:
    """One run in full."""

    summary: RunSummary
    root: Path
    stages: tuple[StageShown, ...]
    files: tuple[FilesShown, ...]


def runs_list(call: Call | None = None) -> RunsListed:
    """List all runs; nothing is changed and no server is asked.

    Raises:
        DataError: a file of a run is damaged.
        LedgerError: the ledger cannot be used.
    """
    call = call or Call()
    settings = call.settings()
    out_root = Path(settings.io.out_root)
    with Ledger.open_to_read(settings.io.ledger_url, out_root) as ledger:
        tasks = ledger.task_counts()
    current = current_run_id(out_root)
    found = [_summary(Run(name, out_root / name), current, tasks) for name in list_runs(out_root)]
    return RunsListed(out_root, tuple(sorted(found, key=lambda run: (run.started or "", run.run_id))))


def runs_show(run_id: str | None = None, call: Call | None = None) -> RunShown:
    """Show a run: its stages with their passes and figures, and what lies in its folder.

    Args:
        run_id: of the run; None takes the one of the call, else the current one.
        call: options.

    Raises:
        NoRunError: there is none.
        DataError: a file of the run is damaged.
    """
    call = call or Call()
    settings = call.settings()
    out_root = Path(settings.io.out_root)
    run = replace(call, run=run_id or call.run).open_run(settings)
    with Ledger.open_to_read(settings.io.ledger_url, out_root) as ledger:
        tasks = ledger.task_counts()
    stages = tuple(
        _stage(run, status)
        for status in (stage_status(run, stage) for stage in STAGES)
        if status.state != "-"
    )
    files = []
    for path in sorted(run.root.iterdir()):
        held = held_by(path)
        files.append(FilesShown(path.name + ("/" if path.is_dir() else ""), held.files, held.bytes))
    return RunShown(_summary(run, current_run_id(out_root), tasks), run.root, stages, tuple(files))


def _summary(run: Run, current: str | None, tasks: Mapping[str, int]) -> RunSummary:
    predicted = next((found for name in PREDICTIONS if (found := run.read_metrics(name))), {})
    count = run.read_metrics("query").get("count", predicted.get("total_records"))
    return RunSummary(
        run_id=run.run_id,
        started=run.started_at(),
        current=run.run_id == current,
        stages=tuple(stage for stage in STAGES if run.is_done(stage)),
        records=int(count) if count is not None else None,
        tasks=tasks.get(run.run_id, 0),
        bytes=held_by(run.root).bytes,
    )


def _stage(run: Run, status: StageStatus) -> StageShown:
    metrics = run.read_metrics(status.stage)
    passes = int(metrics.get("pass", 1))
    finished = run.finished_at(status.stage)
    return StageShown(status.stage, status.state, passes, finished, status.figures, metrics)
