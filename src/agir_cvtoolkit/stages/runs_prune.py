"""``runs prune``: remove what can be had again, and nothing else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from agir_cvtoolkit.errors import ConfigError, NoRunError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import DATA_SET, Run, current_run_id, discard, list_runs

from ._call import Call
from ._prunable import REMOVING, Kept, Kind, Prunable, leftovers, old_runs, parts_of, why_kept
from .status import STAGES

_AGE = re.compile(r"(\d{1,5})\s*(h|d|w)")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class PrunedPart:
    """One thing that was removed, or in a dry run would be.

    Attributes:
        kind: ``temporary``, ``history``, ``cutouts`` or ``run``.
        path: relative to the folder of all runs.
        bytes: that its removal gives back.
        why: why it is not needed.
    """

    kind: str
    run_id: str
    path: str
    files: int
    bytes: int
    why: str


@dataclass(frozen=True)
class PruneResult:
    """What ``runs prune`` did, or in a dry run would do.

    Attributes:
        kept: runs that are old enough and stay, with the reason.
        items: what could not be removed.
    """

    out_root: Path
    parts: tuple[PrunedPart, ...]
    kept: tuple[Kept, ...]
    items: tuple[Item, ...]
    dry_run: bool

    @property
    def bytes(self) -> int:
        """What all of it gives back."""
        return sum(part.bytes for part in self.parts)

    @property
    def exit_code(self) -> int:
        """0, or 1 where something could not be removed."""
        return 1 if self.items else 0


def runs_prune(
    call: Call | None = None, *, only: Sequence[str] = (), older_than: str | None = None
) -> PruneResult:
    """Remove what can be had again: see `agir_cvtoolkit.stages._prunable.parts_of` for what that is.

    Args:
        call: with ``dry_run`` nothing is removed; with ``run`` only parts of this run are.
        only: some of ``temporary``, ``history``, ``cutouts``, ``run``; none for all.
        older_than: remove also whole runs in which nothing happened for so long (``90d``, ``12w``, ``48h``),
            that were never pushed or pulled and whose models never were champion; None for none.

    Raises:
        ConfigError: an unknown kind, or no length of time.
        UsageError: whole runs are to go and there is no ledger that knows what they are needed for.
    """
    call = call or Call()
    wanted = _kinds(only)
    age = _age(older_than) if older_than is not None else None
    settings = call.settings()
    out_root, url = Path(settings.io.out_root), settings.io.ledger_url
    if call.run is not None and call.run not in list_runs(out_root):
        raise NoRunError(f"run '{call.run}' does not exist in {out_root}", "See: agir-cvtoolkit runs list")
    if age is not None and not Ledger.is_there(url, out_root):
        raise UsageError(
            "there is no ledger, so nobody knows which runs are needed", "Set io.ledger_url to where it is."
        )
    with Ledger.open_to_read(url, out_root) as ledger:
        needs = ledger.needs()
        now = datetime.now(UTC)
        found = (
            list(old_runs(out_root, needs, current_run_id(out_root), now - age)) if age is not None else []
        )
        going = {one.run_id for one in found if isinstance(one, Prunable)}
        chosen = [one for one in found if isinstance(one, Prunable)] + list(leftovers(out_root))
        for run_id in list_runs(out_root):
            if run_id not in going:
                chosen += parts_of(Run(run_id, out_root / run_id), needs, now)
        chosen = [one for one in chosen if one.kind in wanted and call.run in {None, one.run_id}]
        kept = tuple(one for one in found if isinstance(one, Kept) and call.run in {None, one.run_id})
        removed, items = (chosen, []) if call.dry_run else _remove(out_root, chosen, ledger)
    return PruneResult(
        out_root, tuple(_told(out_root, one) for one in removed), kept, tuple(items), call.dry_run
    )


def _remove(out_root: Path, chosen: Sequence[Prunable], ledger: Ledger) -> tuple[list[Prunable], list[Item]]:
    removed: list[Prunable] = []
    items: list[Item] = []
    for one in chosen:
        try:
            if one.kind == "run":
                _remove_run(out_root, one, ledger)
            elif one.kind == "temporary":
                discard(one.path)
            else:
                with _alone(Run(one.run_id, out_root / one.run_id)):
                    discard(one.path)
        except UsageError as error:
            items.append(Item(one.run_id, "skipped", str(error)))
        except OSError as error:
            items.append(Item(one.run_id, "failed", f"{one.path}: {error.strerror}"))
        else:
            removed.append(one)
    return removed, items


def _remove_run(out_root: Path, one: Prunable, ledger: Ledger) -> None:
    """Take a run out of sight in one step, then remove it."""
    away = out_root / f"{REMOVING}{uuid.uuid4().hex[:8]}"
    run = Run(one.run_id, one.path)
    with _alone(run):
        # Since the first look it may have been pushed; now nobody can.
        why = why_kept(run, ledger.needs(), current_run_id(out_root))
        if why:
            raise UsageError(f"run {one.run_id} is not removed", f"Meanwhile {why}.")
        ledger.run_removed(one.run_id, {"files": one.held.files, "bytes": one.held.bytes})
        one.path.rename(away)
    discard(away)
    parent = one.path.parent
    if parent != out_root and not any(parent.iterdir()):
        parent.rmdir()


@contextmanager
def _alone(run: Run) -> Iterator[None]:
    """Hold every stage of a run."""
    with ExitStack() as held:
        for stage in (*STAGES, "promote", "retrain", DATA_SET):
            held.enter_context(run.lock(stage))
        yield


def _kinds(only: Sequence[str]) -> frozenset[str]:
    known: tuple[str, ...] = get_args(Kind)
    for name in only:
        if name not in known:
            hint = f"{did_you_mean(name, known)} Known: {', '.join(known)}".strip()
            raise ConfigError(f"'{name}' is nothing that can be pruned", hint)
    return frozenset(only or known)


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigError(f"'{text}' is no length of time", "Write it like 90d, 12w or 48h.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _told(out_root: Path, one: Prunable) -> PrunedPart:
    path = str(one.path.relative_to(out_root))
    return PrunedPart(one.kind, one.run_id, path, one.held.files, one.held.freed, one.why)
