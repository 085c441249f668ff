"""New predictions of records that were pushed before: their proposals replaced where nobody has worked.

See `_replace_job` for what is done in one job, and for what is guaranteed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.cvat import FrameMap, JobInfo, LabelSet, find_jobs, read_frame_map, read_labels
from agir_cvtoolkit.errors import NotFoundError
from agir_cvtoolkit.ledger import PushedFrame, PushedJob, PushedTask

from ._candidates import Candidate
from ._push_words import Push
from ._replace_job import EARLIER, JobReplacement

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Change:
    """A record that is on the server with an earlier prediction, and where."""

    candidate: Candidate
    frame: PushedFrame


@dataclass
class Replaced:
    """What became of changed records.

    Attributes:
        replaced: ids of records with new proposals.
        same: ids of records whose new proposals are the old ones, shape by shape.
        left: with which proposals records are there that were left alone, and why, by id.
    """

    replaced: set[str] = field(default_factory=set)
    same: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)

    def add(self, other: Replaced) -> None:
        """Take in what became of further records."""
        self.replaced |= other.replaced
        self.same |= other.same
        self.left |= other.left


def replace_proposals(push: Push, changes: Sequence[Change], *, dry_run: bool = False) -> Replaced:
    """Replace the proposals of changed records in the jobs that nobody has touched.

    Args:
        push: under way.
        changes: records with an earlier prediction, in tasks that are on the server.
        dry_run: read what there is, say what would happen, and write nothing.

    Raises:
        RemoteError: of its kinds; what was begun is ended by the next call.
    """
    result = Replaced()
    tasks = {task.ordinal: task for task in push.ledger.tasks_of_push(push.push_id)}
    by_task: dict[int, list[Change]] = {}
    for change in changes:
        by_task.setdefault(change.frame.ordinal, []).append(change)
    with push.progress.bar("Replacing proposals", len(changes)) as bar:
        for ordinal in sorted(by_task):
            try:
                result.add(_in_task(push, tasks[ordinal], by_task[ordinal], dry_run=dry_run))
            except NotFoundError as error:
                # It was there when this call began; the next one finds it gone, and pushes its records anew.
                reason = f"{EARLIER}, which somebody deleted while this ran; run upload-cvat again ({error.problem})"
                ids = (change.candidate.record_id for change in by_task[ordinal])
                result.left |= dict.fromkeys(ids, reason)
            bar.advance(len(by_task[ordinal]))
    return result


def end_replacements(push: Push) -> Replaced:
    """End the replacements in which an earlier call was killed.

    Raises:
        RemoteError: of its kinds; the next call tries again.
    """
    result = Replaced()
    begun = [job for job in push.ledger.jobs_of_push(push.push_id) if job.state == "replacing"]
    tasks = {task.ordinal: task for task in push.ledger.tasks_of_push(push.push_id)}
    for ordinal in sorted({job.ordinal for job in begun}):
        place = _Place.find(push, tasks[ordinal])
        records = {frame.frame: frame.record_id for frame in push.ledger.frames_of_task(tasks[ordinal])}
        for kept in begun:
            if kept.ordinal != ordinal:
                continue
            intended = [records[one.frame] for one in push.ledger.replacements_of_job(kept)]
            outcome = place.replacement(push, kept).resume(place.jobs.get(kept.job_id))
            result.replaced |= {records[frame] for frame in outcome.replaced}
            if outcome.reason:
                # Logged too: these records need not be in the batch of this call.
                _log.warning("%s", outcome.reason)
                result.left |= dict.fromkeys(intended, f"{outcome.there}: {outcome.reason}")
    return result


@dataclass(frozen=True)
class _Place:
    """A task as the server has it now."""

    task: PushedTask
    jobs: Mapping[int, JobInfo]
    frames: FrameMap
    labels: LabelSet

    @classmethod
    def find(cls, push: Push, task: PushedTask) -> _Place:
        number = task.task_id or 0
        listed = find_jobs(push.session, task_ids=[number], required_status=None)
        labels = push.target.labels or read_labels(push.session, task_id=number)
        return cls(task, {job.id: job for job in listed}, read_frame_map(push.session, number), labels)

    def replacement(self, push: Push, kept: PushedJob) -> JobReplacement:
        return JobReplacement(push, self.task, kept, self.labels, self.frames)


def _in_task(push: Push, task: PushedTask, changes: Iterable[Change], *, dry_run: bool) -> Replaced:
    result = Replaced()
    kept_jobs = push.ledger.jobs_of_task(task)
    place = _Place.find(push, task)
    by_job: dict[int, list[Change]] = {}
    for change in changes:
        number = change.frame.frame
        holding = [job for job in kept_jobs if number in job.frames]
        record_id = change.candidate.record_id
        if not holding:
            said = "an earlier version of this tool uploaded it and did not note what it left there"
            result.left[record_id] = f"{EARLIER}: {said}"
        elif len(holding) > 1:
            result.left[record_id] = f"{EARLIER}: its frame {number} is in several jobs: {task.url}"
        elif number in place.frames.deleted_frames:
            result.left[record_id] = f"{EARLIER}: its frame {number} was deleted in CVAT: {task.url}"
        else:
            by_job.setdefault(holding[0].job_id, []).append(change)
    for kept in kept_jobs:
        own = {change.frame.frame: change.candidate for change in by_job.get(kept.job_id, ())}
        if not own:
            continue
        work, job = place.replacement(push, kept), place.jobs.get(kept.job_id)
        outcome = work.rehearse(job, own) if dry_run else work.replace(job, own)
        result.replaced |= {own[frame].record_id for frame in outcome.replaced}
        result.same |= {own[frame].record_id for frame in outcome.same}
        done = {*outcome.replaced, *outcome.same}
        left = [candidate.record_id for frame, candidate in own.items() if frame not in done]
        result.left |= dict.fromkeys(left, f"{outcome.there}: {outcome.reason}")
    return result
