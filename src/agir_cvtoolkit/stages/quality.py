"""``quality``: how well people annotate, from what the server has of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path

from agir_cvtoolkit.corrections import match
from agir_cvtoolkit.cvat import GROUND_TRUTH, JobInfo, moment
from agir_cvtoolkit.cvat.reviews import ReviewIssue, read_issues
from agir_cvtoolkit.errors import DataError, FrameMapError, NotFoundError, ShapeError, UsageError
from agir_cvtoolkit.ledger import Ledger, PushedShape
from agir_cvtoolkit.plain_shapes import unpack
from agir_cvtoolkit.quality.agreement import TOLERANCE_PX, ClassScore, against, between
from agir_cvtoolkit.quality.annotators import FrameScore, ScoreRow, score_rows
from agir_cvtoolkit.quality.drift import Drift, drift_of
from agir_cvtoolkit.quality.speed import WITHIN_S, JobPace, PaceAlarm, alarm_of, seconds_between
from agir_cvtoolkit.quality.working_time import JobTime
from agir_cvtoolkit.shapes import Shape

from ._call import Call
from ._lint_scope import find_scope
from .job_times import read_job_times
from .quality_read import FrameRead, GoldSet, JobReader, Picture, find_gold, is_done


@dataclass(frozen=True)
class QualityResult:
    """What was found of the people's work.

    Attributes:
        jobs: that were looked at: completed ones, but for ground truth.
        gold_frames: frames that could be held against something that is right.
        gold: scores against it.
        changed: scores against the proposals that were pushed: how much of them was changed.
        agreement: of each two people that had the same pictures.
        drifts: of each annotator with gold frames.
        alarms: jobs whose proposals were hardly looked at.
        timed: jobs with proposals of which it is known how long they took, so that an alarm could be given at all.
        times: how long each job took.
        issues: what reviewers said, by task.
        notes: what could not be compared, and why.
    """

    server: str
    jobs: int
    frames: int
    gold_frames: int
    gold: tuple[ScoreRow, ...]
    changed: tuple[ScoreRow, ...]
    agreement: tuple[ScoreRow, ...]
    drifts: tuple[Drift, ...]
    alarms: tuple[PaceAlarm, ...]
    within_s: float
    timed: int
    issues: dict[int, tuple[ReviewIssue, ...]] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()
    page: Path | None = None
    times: tuple[JobTime, ...] = ()

    @property
    def open_issues(self) -> int:
        """Issues that nobody has resolved."""
        return sum(not issue.resolved for listed in self.issues.values() for issue in listed)


def quality_report(
    call: Call | None = None,
    *,
    project_id: int | None = None,
    task_ids: Sequence[int] = (),
    since: datetime | None = None,
    gold_task: int | None = None,
    gold_run: str | None = None,
    within_s: float = WITHIN_S,
    tolerance: float = TOLERANCE_PX,
    page: Path | None = None,
) -> QualityResult:
    """Compare what people drew with gold frames, with the proposals, and with each other.

    Without a project and tasks it is what the run of the call has pushed, else the configured project. One job is read
    after the other; only shapes of pictures that several people had, and of gold frames, are held.

    Args:
        call: options of every command.
        project_id: all jobs of this project.
        task_ids: the jobs of these tasks.
        since: only jobs that were changed since then.
        gold_task: a task with the same pictures (same names and sizes) that is right.
        gold_run: a run into which such a task was pulled.
        within_s: seconds for each picture below which nobody can have looked at a proposal.
        tolerance: of boundaries, in pixels.
        page: where an HTML page is written; none when not given, or in a dry run.

    Raises:
        UsageError: nothing is named that could be looked at, or the gold set is none.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    scope = find_scope(call, settings, project_id, task_ids, writes=None)
    there = Ledger.is_there(settings.io.ledger_url, Path(settings.io.out_root))
    opened = (
        Ledger.open_to_read(settings.io.ledger_url, Path(settings.io.out_root))
        if there
        else nullcontext(None)
    )
    with opened as ledger:
        reader = JobReader(scope.session, ledger)
        gold = find_gold(reader, scope.jobs, settings, gold_task, gold_run)
        work = [
            job
            for job in scope.jobs
            if job.kind != GROUND_TRUTH
            and is_done(job)
            and job.task_id not in gold.tasks
            and (since is None or moment(job.updated_date) >= since)
        ]
        found = _Comparison(reader, gold, ledger, tolerance)
        found.begin(work)
        with call.progress.bar("comparing jobs", len(work)) as bar:
            for job in work:
                found.job(job)
                bar.advance()
        times = read_job_times(scope.session, work, found.counts, ledger)
    issues = read_issues(scope.session, sorted({job.task_id for job in scope.jobs}))
    result = found.result(scope.session.url, len(work), within_s, issues, times)
    if page is not None and not call.dry_run:
        from .quality_page import write_page

        write_page(result, page)
        result = replace(result, page=page)
    return result


class _Comparison:
    """Takes jobs one after the other; keeps scores, and shapes only of pictures that occur again."""

    def __init__(self, reader: JobReader, gold: GoldSet, ledger: Ledger | None, tolerance: float) -> None:
        self.frames = 0
        self.counts: dict[int, tuple[str, int, int]] = {}
        self.notes = list(gold.notes)
        self._reader, self._gold, self._ledger, self._tolerance = reader, gold, ledger, tolerance
        self._repeated: frozenset[Picture] = frozenset()
        self._kept: dict[Picture, list[FrameRead]] = {}
        self._against: list[FrameScore] = []
        self._changed: list[FrameScore] = []
        self._paces: list[JobPace] = []

    def begin(self, work: Sequence[JobInfo]) -> None:
        """Find out which pictures several jobs have."""
        readable = []
        for job in work:
            try:
                self._reader.numbers_of(job)
            except (FrameMapError, NotFoundError) as error:
                self.notes.append(f"job {job.id} was left out: {error}")
                continue
            readable.append(job)
        self._repeated = self._reader.repeated(readable)
        self._readable = {job.id for job in readable}

    def job(self, job: JobInfo) -> None:
        """Compare the frames of one job."""
        if job.id not in self._readable:
            return
        try:
            reads = list(self._reader.read(job))
        except (DataError, NotFoundError) as error:
            self.notes.append(f"job {job.id} was left out: {error}")
            return
        pushed = self._pushed(job)
        shapes = sum(len(read.shapes) for read in reads)
        self.counts[job.id] = self._reader.annotator(job), len(reads), shapes
        for read in reads:
            self.frames += 1
            truth = self._gold.of(read)
            if truth is not None:
                classes = against(read.shapes, truth, read.size, tolerance=self._tolerance)
                self._against.append(_scored(read, classes))
            if read.picture in self._repeated and read.real is None:
                self._kept.setdefault(read.picture, []).append(read)
        self._with_proposals(job, reads, pushed)

    def result(
        self,
        server: str,
        jobs: int,
        within_s: float,
        issues: dict[int, tuple[ReviewIssue, ...]],
        times: tuple[JobTime, ...],
    ) -> QualityResult:
        """Add everything up."""
        by_annotator: dict[str, list[FrameScore]] = {}
        for score in self._against:
            by_annotator.setdefault(score.annotator, []).append(score)
        worked = {time.job_id: time.seconds for time in times if time.measured == "worked"}
        paces = [replace(pace, worked=worked.get(pace.job_id)) for pace in self._paces]
        alarms = [alarm for pace in paces if (alarm := alarm_of(pace, within_s)) is not None]
        return QualityResult(
            server,
            jobs,
            self.frames,
            len(self._against),
            score_rows(self._against),
            score_rows(self._changed),
            score_rows(self._pairs()),
            tuple(drift_of(name, found) for name, found in sorted(by_annotator.items())),
            tuple(sorted(alarms, key=lambda alarm: (alarm.annotator, alarm.job_id))),
            within_s,
            sum(seconds_between(pace) is not None for pace in paces),
            issues,
            tuple(self.notes),
            times=times,
        )

    def _pairs(self) -> list[FrameScore]:
        found = []
        for reads in self._kept.values():
            for one, other in combinations(sorted(reads, key=lambda read: (read.annotator, read.job.id)), 2):
                if one.annotator == other.annotator and one.job.task_id != other.job.task_id:
                    continue  # the same person's second round
                names = f"{one.annotator} / {other.annotator}"
                classes = between(one.shapes, other.shapes, one.size, tolerance=self._tolerance)
                later = max(one, other, key=lambda read: read.at)
                found.append(replace(_scored(later, classes), annotator=names))
        return found

    def _pushed(self, job: JobInfo) -> dict[int, list[PushedShape]]:
        if self._ledger is None:
            return {}
        task = self._ledger.task_by_id(self._reader.session.url, job.task_id)
        if task is None:
            return {}
        left = self._ledger.shapes_left(task, job.start_frame, job.stop_frame)
        return {frame: list(shapes) for frame, shapes in left.items()}

    def _with_proposals(
        self, job: JobInfo, reads: Sequence[FrameRead], pushed: dict[int, list[PushedShape]]
    ) -> None:
        pictures = proposals = untouched = 0
        for read in reads:
            listed = pushed.get(read.frame)
            if listed is None or read.real is not None:
                continue
            before = _unpacked(listed)
            if before is None:
                self.notes.append(
                    f"frame {read.frame} of job {job.id}: its proposals are known by hash alone"
                )
                continue
            classes = against(read.shapes, before, read.size, tolerance=self._tolerance)
            same = sum(one.outcome == "accepted" for one in match(before, read.shapes, read.size))
            self._changed.append(replace(_scored(read, classes), proposals=len(before), untouched=same))
            pictures += bool(before)
            proposals += len(before)
            untouched += same
        if proposals:
            assigned = moment(job.assigned_date) if job.assigned_date else None
            annotator, changed = self._reader.annotator(job), moment(job.updated_date)
            self._paces.append(
                JobPace(job.id, job.task_id, annotator, pictures, proposals, untouched, assigned, changed)
            )


def _scored(read: FrameRead, classes: tuple[ClassScore, ...]) -> FrameScore:
    return FrameScore(read.annotator, (read.job.task_id, read.frame), read.at, classes)


def _unpacked(listed: Sequence[PushedShape]) -> list[Shape] | None:
    try:
        known = [unpack(shape.geometry) for shape in listed if shape.geometry is not None]
    except ShapeError:
        return None
    return known if len(known) == len(listed) else None


def since_of(text: str | None) -> datetime | None:
    """Return the moment that ``--since`` names: an ISO 8601 date or time, UTC where it says no zone.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--since '{text}' is no date", "Write it like 2026-08-01.") from error
    return moment(text)
