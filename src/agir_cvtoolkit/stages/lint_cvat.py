"""``lint-cvat``: find what is wrong with annotations on the server, and repair what is safe."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.cvat import ANNOTATION, CvatSession, FrameMap, JobInfo
from agir_cvtoolkit.cvat.job_stream import download_job, items_of_file
from agir_cvtoolkit.cvat.raw_shapes_json import raw_shapes
from agir_cvtoolkit.cvat.replacing import read_one_job
from agir_cvtoolkit.errors import FrameMapError, NotFoundError, ServerFaultError, UsageError
from agir_cvtoolkit.quality.lint_finding import Finding
from agir_cvtoolkit.quality.lint_job import JobLint

from ._call import Call
from ._connect import connect
from ._lint_repair import Repaired, key_of, repair_job
from ._lint_restore import RestoredJob, read_backups, restore_job
from ._lint_scope import JobFacts, find_scope

Fix = Literal["machine", "human"]
MOST_LISTED = 10_000
"""Findings that are kept; more are counted."""


@dataclass(frozen=True)
class LintRow:
    """One thing that is wrong, and where.

    Attributes:
        rule: its kind, see `quality.lint_finding.RULES`.
        picture: name of the frame; empty where it is the whole job.
        url: of the page that shows it.
        repair: how it would be repaired; empty where a person has to.
        is_machine: the shape is a program's, and nobody has worked in its job.
        outcome: ``repaired``, or why it was not; empty where nothing was to be repaired.
    """

    rule: str
    task_id: int
    job_id: int
    frame: int | None
    picture: str
    shape_id: int | None
    kind: str
    label: str
    problem: str
    next_step: str
    url: str
    repair: str = ""
    is_machine: bool = False
    outcome: str = ""


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
) -> LintResult:
    """Check annotations on the server, one job after the other; memory is that of one job's hashes.

    Without a project and tasks it is what the run of the call has pushed, else the configured project.

    Args:
        call: options of every command; with ``dry_run`` nothing is repaired.
        project_id: all jobs of this project.
        task_ids: the jobs of these tasks.
        fix: ``machine`` repairs what a program made in jobs in which nobody has worked; ``human`` everything that can
            be repaired safely. Jobs that were saved meanwhile are left alone, ground truth and replicas always.
        backup: folder of the backups; ``lint`` beside the runs when not given.

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
    check = _Check(scope.session, fix, folder, dry_run=call.dry_run)
    with call.progress.bar("checking jobs", len(scope.jobs)) as bar:
        for job in scope.jobs:
            check.job(job)
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


class _Check:
    def __init__(self, session: CvatSession, fix: Fix | None, folder: Path, *, dry_run: bool) -> None:
        self.shapes = 0
        self.repaired = 0
        self.counts: Counter[str] = Counter()
        self.rows: list[LintRow] = []
        self.notes: list[str] = []
        self.backed_up = False
        self._session = session
        self._facts = JobFacts(session)
        self._fix = fix
        self._folder = folder
        self._dry_run = dry_run

    def job(self, listed: JobInfo) -> None:
        """Check one job, and repair it where that is asked for."""
        try:
            raw, frames = self._facts.of(listed)
            # Its date must be from before its annotations.
            job = read_one_job(self._session, listed.id) if self._fix is not None else listed
            with tempfile.TemporaryDirectory(prefix="agir-") as folder:
                path = Path(folder) / "annotations.json"
                download_job(self._session, job.id, path)
                lint = JobLint(raw)
                found = [*self._findings(lint, job, path), *lint.end()]
                done = self._repair(job, path, found)
        except NotFoundError:
            self.notes.append(f"job {listed.id} was deleted while it was read")
            return
        except (FrameMapError, ServerFaultError) as error:
            unreadable = Finding("unreadable", f"it cannot be checked: {error.problem}", error.next_step)
            self._keep(listed, None, [unreadable], {}, None)
            return
        self._keep(job, frames, found, self._why_left(job), done)

    def _findings(self, lint: JobLint, job: JobInfo, path: Path) -> Iterator[Finding]:
        is_untouched = job.kind == ANNOTATION and job.state == "new" and job.stage == "annotation"
        for kind, item in items_of_file(path, job.id):
            self.shapes += 1
            for shape in raw_shapes(kind, item, is_untouched=is_untouched):
                yield from lint.add(shape)

    def _why_left(self, job: JobInfo) -> dict[bool, str]:
        """Return why what can be repaired is not, for a person's shapes (False) and a program's (True)."""
        if self._fix is None:
            return {}
        if job.kind != ANNOTATION:
            reason = f"jobs of type {job.type} are never repaired"
            return {True: reason, False: reason}
        return {} if self._fix == "human" else {False: "a person's: --fix human repairs it"}

    def _repair(self, job: JobInfo, path: Path, found: list[Finding]) -> Repaired | None:
        reasons = self._why_left(job)
        wanted = [f for f in found if key_of(f) is not None and f.is_machine not in reasons]
        if self._fix is None or not wanted:
            return None
        if self._dry_run:
            return Repaired()
        done = repair_job(self._session, job, path, wanted, self._folder)
        self.backed_up = True
        if done.note:
            self.notes.append(
                f"job {job.id}: {done.note}, and may have changed what was repaired; look at it"
            )
        return done

    def _keep(
        self,
        job: JobInfo,
        frames: FrameMap | None,
        found: list[Finding],
        reasons: Mapping[bool, str],
        done: Repaired | None,
    ) -> None:
        for finding in found:
            self.counts[finding.rule] += 1
            row = self._row(job, frames, finding)
            key = key_of(finding)
            if key is not None and finding.is_machine in reasons:
                row = replace(row, outcome=reasons[finding.is_machine])
            elif key is not None and done is not None:
                left = done.left.get(key, "")
                self.repaired += not left
                row = replace(row, outcome=left or ("would be repaired" if self._dry_run else "repaired"))
            if len(self.rows) < MOST_LISTED:
                self.rows.append(row)

    def _row(self, job: JobInfo, frames: FrameMap | None, finding: Finding) -> LintRow:
        entry = (
            frames.by_frame.get(finding.frame) if frames is not None and finding.frame is not None else None
        )
        url = f"{self._session.url}/tasks/{job.task_id}/jobs/{job.id}"
        return LintRow(
            finding.rule,
            job.task_id,
            job.id,
            finding.frame,
            entry.name if entry is not None else "",
            finding.shape_id,
            finding.kind,
            finding.label,
            finding.problem,
            finding.next_step,
            url if finding.frame is None else f"{url}?frame={finding.frame}",
            finding.repair.says if finding.repair is not None else "",
            finding.is_machine,
        )
