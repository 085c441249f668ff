"""``lint-cvat``: find what is wrong with annotations on the server, and repair what is safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger

from ._call import Call
from ._connect import connect
from ._lint_check import MOST_LISTED, Check, Fix, LintRow
from ._lint_restore import RestoredJob, read_backups, restore_job
from ._lint_scope import find_scope

__all__ = ["MOST_LISTED", "Fix", "LintRestored", "LintResult", "LintRow", "lint_cvat", "lint_restore"]


@dataclass(frozen=True)
class LintResult:
    """What was found.

    Attributes:
        counts: findings by rule; all of them.
        findings: the first `MOST_LISTED`.
        repaired: findings that were repaired; in a dry run would be.
        backup: the folder that puts the repairs back; None where nothing was repaired.
        notes: what else there is to say of jobs.
    """

    tasks: int
    jobs: int
    shapes: int
    counts: Mapping[str, int] = field(hash=False)
    findings: tuple[LintRow, ...]
    repaired: int = 0
    backup: Path | None = None
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def total(self) -> int:
        """All findings."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong (any more), else 4."""
        return 4 if self.total > (0 if self.dry_run else self.repaired) else 0


@dataclass(frozen=True)
class LintRestored:
    """What was put back, job by job."""

    jobs: tuple[RestoredJob, ...]
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where something was left."""
        return 1 if any(job.left for job in self.jobs) else 0


def lint_cvat(
    call: Call | None = None,
    *,
    project_id: int | None = None,
    task_ids: Sequence[int] = (),
    fix: Fix | None = None,
    backup: Path | None = None,
    jobs: int | None = None,
) -> LintResult:
    """Check annotations on the server, one job after the other; memory is that of one job's hashes.

    Without a project and tasks it is what the run of the call has pushed, else the configured project.

    Args:
        call: options of every command; with ``dry_run`` nothing is repaired.
        project_id: all jobs of this project.
        task_ids: the jobs of these tasks.
        fix: ``machine`` repairs what a program made (of tasks that were pushed from here: what the ledger knows, else
            by ``source``) in jobs in which nobody has worked; ``human`` everything that can
            be repaired safely. Jobs that were saved meanwhile are left alone, ground truth and replicas always.
        backup: folder of the backups; ``lint`` beside the runs when not given.
        jobs: so many are read from the server at the same time; ``cvat_download.parallel_requests`` when not given.

    Raises:
        UsageError: nothing is named that could be checked.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    writes = "lint-cvat --fix" if fix is not None and not call.dry_run else None
    scope = find_scope(call, settings, project_id, task_ids, writes=writes)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = backup or Path(settings.io.out_root).parent / "lint" / stamp
    out_root = Path(settings.io.out_root)
    there = Ledger.is_there(settings.io.ledger_url, out_root)
    opened = Ledger.open_to_read(settings.io.ledger_url, out_root) if there else nullcontext(None)
    at_once = jobs or settings.cvat_download.parallel_requests
    with opened as ledger, call.progress.bar("checking jobs", len(scope.jobs)) as bar:
        check = Check(scope.session, ledger, fix, folder, dry_run=call.dry_run)
        for _ in check.jobs(scope.jobs, at_once):
            bar.advance()
    return LintResult(
        len({job.task_id for job in scope.jobs}),
        len(scope.jobs),
        check.shapes,
        dict(check.counts),
        tuple(check.rows),
        check.repaired,
        folder if check.backed_up else None,
        tuple(check.notes),
        call.dry_run,
    )


def lint_restore(backup: Path, call: Call | None = None) -> LintRestored:
    """Put back what ``--fix`` has changed, from its backup; what somebody has changed since is left and listed.

    Args:
        backup: of one job, or a folder of several.
        call: options of every command; with ``dry_run`` nothing is changed.

    Raises:
        UsageError: it is no backup, or of another server.
        DataError: it is damaged.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    backups = read_backups(backup)
    session = connect(
        settings, "cvat_download", None, writes=None if call.dry_run else "lint-cvat --restore"
    ).session
    for one in backups:
        if one.server != session.url:
            raise UsageError(
                f"{one.path} is of {one.server}, and the configured server is {session.url}",
                f"Set CVAT_URL={one.server}, with an account there.",
            )
    return LintRestored(
        tuple(restore_job(session, one, dry_run=call.dry_run) for one in backups), call.dry_run
    )
