"""What of the runs can be had again, and what something else stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.ledger import RunNeeds
from agir_cvtoolkit.runs import Run, list_runs, temporaries

from ._disk import Held, held_by

Kind = Literal["temporary", "history", "cutouts", "run"]
KINDS: tuple[Kind, ...] = ("temporary", "history", "cutouts", "run")
REMOVING = ".removing-"
"""Folders of runs on their way out; a killed removal is brought to its end by the next."""
_IDLE = timedelta(hours=1)
_RENDERED = ("cutouts", "colorized_masks")


@dataclass(frozen=True)
class Prunable:
    """One thing that can go.

    Attributes:
        run_id: empty for what lies beside the runs.
        path: of a file or folder.
        held: what it holds.
        why: why it is not needed.
    """

    kind: Kind
    run_id: str
    path: Path
    held: Held
    why: str


@dataclass(frozen=True)
class Kept:
    """A run that is old enough to go and stays."""

    run_id: str
    why: str


def parts_of(run: Run, needs: RunNeeds, now: datetime) -> Iterator[Prunable]:
    """Yield the parts of a run that its own commands make again.

    Temporary files of killed calls, untouched for an hour; earlier passes of query, infer-seg, infer-pose and
    preprocess (never of train: a model is not had again) unless they hold originals of what was pushed or pulled,
    or the newest pass is not complete; and what is rendered for the eye. Nothing of a run whose push is unfinished.
    """
    for path in temporaries(run.root):
        if now - _changed(path) > _IDLE:
            yield Prunable("temporary", run.run_id, path, held_by(path), "left by a call that was killed")
    if run.run_id in needs.unfinished:
        return
    shown = run.run_id in needs.pushed | needs.pulled or run.path("cvat_downloads").is_dir()
    for stage in ("query", "infer-seg", "infer-pose", "preprocess"):
        if (stage in {"infer-seg", "infer-pose"} and shown) or not run.is_done(stage):
            continue
        for path in sorted(run.path("history", stage).glob("*")):
            yield Prunable("history", run.run_id, path, held_by(path), f"an earlier pass of {stage}")
    for name in _RENDERED:
        if run.path(name).is_dir() and run.is_done("infer-seg"):
            yield Prunable(
                "cutouts", run.run_id, run.path(name), held_by(run.path(name)), "infer-seg renders it"
            )


def old_runs(
    out_root: Path, needs: RunNeeds, current: str | None, oldest: datetime
) -> Iterator[Prunable | Kept]:
    """Yield runs in which nothing happened since `oldest`: those that can go, and those that stay and why."""
    for run_id in list_runs(out_root):
        run = Run(run_id, out_root / run_id)
        last = _last_change(run)
        if last >= oldest:
            continue
        why = why_kept(run, needs, current)
        if why:
            yield Kept(run_id, why)
        else:
            yield Prunable(
                "run", run_id, run.root, held_by(run.root), f"nothing happened since {last:%Y-%m-%d}"
            )


def leftovers(out_root: Path) -> Iterator[Prunable]:
    """Yield what killed calls left beside the runs."""
    for path in sorted(out_root.glob(f"{REMOVING}*")):
        yield Prunable("temporary", "", path, held_by(path), "a run whose removal was killed")


def why_kept(run: Run, needs: RunNeeds, current: str | None) -> str:
    """Return what stands on a run, empty where nothing does."""
    root = run.root.resolve()
    if run.run_id == current:
        return "it is the current run"
    if run.run_id in needs.unfinished:
        return "its push is not finished"
    if run.run_id in needs.pushed or run.has_begun("upload-cvat"):
        return "its records were pushed"
    if run.run_id in needs.pulled or run.path("cvat_downloads").is_dir():
        return "it holds people's corrections"
    if run.run_id in needs.champions or any(
        Path(path).is_absolute() and Path(path).is_relative_to(root) for path in needs.champion_files
    ):
        return "its model is or was the champion"
    return ""


def _last_change(run: Run) -> datetime:
    marks = [*run.path(".state").glob("*.json"), run.path("metrics.json"), run.manifest_path]
    # A run without any mark is on its way out already, by another call.
    return max((_changed(path) for path in marks if path.is_file()), default=datetime.max.replace(tzinfo=UTC))


def _changed(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except OSError:  # vanished meanwhile, so it is not idle
        return datetime.max.replace(tzinfo=UTC)
