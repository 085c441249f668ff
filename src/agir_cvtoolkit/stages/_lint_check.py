"""Jobs checked and repaired, one after the other."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.cvat import ANNOTATION, CvatSession, FrameMap, JobInfo
from agir_cvtoolkit.cvat.job_stream import download_job, items_of_file
from agir_cvtoolkit.cvat.raw_shapes_json import raw_shapes
from agir_cvtoolkit.cvat.replacing import read_one_job
from agir_cvtoolkit.errors import FrameMapError, NotFoundError, ServerFaultError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.quality.lint_finding import Finding
from agir_cvtoolkit.quality.lint_job import JobLint

from ._ahead import ahead
from ._lint_machine import Machine
from ._lint_repair import Repaired, key_of, repair_job
from ._lint_scope import JobFacts

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


class Check:
    """Checks jobs one after the other, in their order; those to come are read meanwhile.

    Args:
        session: with the server.
        ledger: knows what was pushed; None where there is none.
        fix: what is repaired.
        folder: of the backups.
        dry_run: nothing is repaired.
    """

    def __init__(
        self, session: CvatSession, ledger: Ledger | None, fix: Fix | None, folder: Path, *, dry_run: bool
    ) -> None:
        self.shapes = 0
        self.repaired = 0
        self.counts: Counter[str] = Counter()
        self.rows: list[LintRow] = []
        self.notes: list[str] = []
        self.backed_up = False
        self._session = session
        self._facts = JobFacts(session)
        self._ledger = ledger
        self._fix = fix
        self._folder = folder
        self._dry_run = dry_run

    def jobs(self, listed: Sequence[JobInfo], at_once: int) -> Iterator[JobInfo]:
        """Check jobs, and repair them where that is asked for; yield each when it is done.

        Args:
            listed: by task.
            at_once: so many are read at the same time.
        """
        with tempfile.TemporaryDirectory(prefix="agir-") as folder:
            work = ((job, partial(self._fetched, job, Path(folder) / f"{job.id}.json")) for job in listed)
            for job, outcome in ahead(work, at_once):
                try:
                    if outcome is not None:
                        self._job(*outcome.result())
                except NotFoundError:
                    self.notes.append(f"job {job.id} was deleted while it was read")
                except (FrameMapError, ServerFaultError) as error:
                    problem = f"it cannot be checked: {error.problem}"
                    self._keep(job, None, [Finding("unreadable", problem, error.next_step)], {}, None)
                yield job

    def _fetched(self, listed: JobInfo, path: Path) -> tuple[JobInfo, Path]:
        # Its date must be from before its annotations.
        job = read_one_job(self._session, listed.id) if self._fix is not None else listed
        download_job(self._session, job.id, path)
        return job, path

    def _job(self, job: JobInfo, path: Path) -> None:
        raw, frames = self._facts.of(job)
        lint = JobLint(raw)
        found = [*self._findings(lint, job, path), *lint.end()]
        done = self._repair(job, path, found)
        path.unlink()
        self._keep(job, frames, found, self._why_left(job), done)

    def _findings(self, lint: JobLint, job: JobInfo, path: Path) -> Iterator[Finding]:
        is_untouched = job.kind == ANNOTATION and job.state == "new" and job.stage == "annotation"
        machine = Machine(self._session.url, self._ledger, job, self._facts.labels_of(job))
        for kind, item in items_of_file(path, job.id):
            self.shapes += 1
            is_machine = is_untouched and machine.made(kind, item)
            for shape in raw_shapes(kind, item, is_machine=is_machine):
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
