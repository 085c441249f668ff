"""The proposals of one task: drawn record by record, known to the ledger, written job by job."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from agir_cvtoolkit.cvat import (
    FrameMap,
    JobInfo,
    LabelSet,
    assign_jobs,
    find_jobs,
    read_frame_map,
    read_labels,
    write_new,
)
from agir_cvtoolkit.cvat.annotations import ShapesLostError
from agir_cvtoolkit.cvat.replacing import as_new, read_content
from agir_cvtoolkit.cvat.shape_check import validate
from agir_cvtoolkit.errors import NotFoundError, ServerFaultError
from agir_cvtoolkit.ledger import PushedJob, PushedShape, PushedTask
from agir_cvtoolkit.plain_shapes import pack
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.shapes import Shape

from ._ahead import ahead, masks_at_once
from ._candidates import Candidate
from ._push_words import Push, job_page

_log = logging.getLogger(__name__)

KEPT_BYTES, KEPT_FRAMES = 500_000, 50
"""The ledger gets to know shapes in pieces of about so many bytes or frames, before they are sent."""


def annotate(
    push: Push, task: PushedTask, candidates: Sequence[Candidate], frame_map: FrameMap | None = None
) -> None:
    """Write the proposals of a task that has its pictures, and record what was left in each job.

    Args:
        push: under way.
        task: with an id, state ``filled``.
        candidates: its records.
        frame_map: of the task as this very call made it; None where an earlier call left it unfinished: then
            jobs that are written already, and jobs that somebody works in, stay as they are.
    """
    if task.task_id is None:
        raise ServerFaultError(f"task '{task.name}' has no id", "Run upload-cvat again.")
    frames = frame_map or read_frame_map(push.session, task.task_id)
    labels = push.target.labels or read_labels(push.session, task_id=task.task_id)
    by_frame = {frames.frame_of(c.file_name): c for c in candidates}
    written = {} if frame_map is not None else {job.job_id: job for job in push.ledger.jobs_of_task(task)}
    counts: dict[int, int] = {}
    claimed: set[int] = set()
    with push.progress.bar("Writing annotations", len(by_frame)) as bar:
        for job in _assigned(
            push, task, find_jobs(push.session, task_ids=[task.task_id], required_status=None)
        ):
            own = {f: by_frame[f] for f in sorted(by_frame) if f in job.frames and f not in claimed}
            claimed.update(own)
            if not own:
                continue
            if job.id in written:
                bar.advance(len(own))
                continue
            if frame_map is None and (held := _in_work(push, job, own, labels, frames)) is not None:
                counts.update(held)
                bar.advance(len(own))
                push.ledger.keep_job(_pushed(task, job, "touched"))
                continue
            try:
                _write(push, task, job, own, labels, frames, bar)
            except ShapesLostError as lost:
                # What a person deleted looks like what a server dropped: it is not sent again.
                _log.warning("%s", lost)
                counts.update(_leave(push, job, own, labels, frames))
                push.ledger.keep_job(_pushed(task, job, "touched"))
            else:
                push.ledger.keep_job(_pushed(task, job, "left"))
    if by_frame.keys() - claimed:
        raise _gone(task)
    finish_task(push, task, counts)


def _assigned(push: Push, task: PushedTask, jobs: Sequence[JobInfo]) -> tuple[JobInfo, ...]:
    """Give out a task's jobs before anything is written: what the ledger keeps as their date comes after."""
    return assign_jobs(push.session, jobs, push.members, push.ledger.count_jobs_before(task))


def finish_task(push: Push, task: PushedTask, counts: Mapping[int, int]) -> None:
    """Record a task as done: its jobs with the date that the server gives them after the last write.

    Args:
        push: under way.
        task: with all that is to be in it.
        counts: shapes by frame where they are not those of the ledger.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    kept = {job.job_id: job for job in push.ledger.jobs_of_task(task)}
    listed = find_jobs(push.session, task_ids=[task.task_id or 0], required_status=None)
    if kept.keys() - {job.id for job in listed}:
        raise _gone(task)
    jobs = [
        _pushed(task, job, "touched" if kept[job.id].state == "touched" else "left", job.updated_date)
        for job in listed
        if job.id in kept
    ]
    push.ledger.task_done(task, {**push.ledger.shape_counts(task), **counts}, jobs=jobs)


def checked_shapes(candidate: Candidate, frame: int, labels: LabelSet, size: tuple[int, int]) -> list[Shape]:
    """Draw a record's shapes as the server will hold them.

    Raises:
        LabelError: a label that the task does not have.
        ShapeError: a shape that must not be sent.
    """
    drawn = candidate.draw(lambda name: labels.find(name).name)
    return [validate(shape, frame, size, labels.find(shape.label)) for shape in drawn]


def as_pushed(frame: int, shapes: Sequence[Shape]) -> list[PushedShape]:
    """Return shapes as the ledger keeps them."""
    return [
        PushedShape(frame, position, s.label, s.kind, s.geometry_hash(), pack(s))
        for position, s in enumerate(shapes)
    ]


def _gone(task: PushedTask) -> NotFoundError:
    return NotFoundError(
        f"Task {task.task_id} '{task.name}' has lost jobs while it was filled",
        "Somebody has deleted it. Run upload-cvat again: it uploads these records anew.",
        status=404,
    )


def _write(
    push: Push,
    task: PushedTask,
    job: JobInfo,
    own: Mapping[int, Candidate],
    labels: LabelSet,
    frames: FrameMap,
    bar: Bar,
) -> None:
    def shapes_of(frame: int) -> tuple[list[Shape], list[PushedShape]]:
        shapes = checked_shapes(own[frame], frame, labels, _size(frames, frame))
        return shapes, as_pushed(frame, shapes)

    at_once = masks_at_once(max(c.width * c.height for c in own.values()))

    def drawn() -> Iterator[tuple[int, Sequence[Shape]]]:
        waiting: dict[int, list[Shape]] = {}
        rows: dict[int, list[PushedShape]] = {}
        size = 0
        for frame, drawing in ahead(((f, partial(shapes_of, f)) for f in own), at_once):
            if drawing is None:
                continue
            waiting[frame], rows[frame] = drawing.result()
            size += sum(len(row.geometry or b"") for row in rows[frame])
            if size > KEPT_BYTES or len(waiting) >= KEPT_FRAMES:
                yield from _known(push, task, rows, waiting, bar)
                waiting, rows, size = {}, {}, 0
        yield from _known(push, task, rows, waiting, bar)

    write_new(push.session, job, drawn(), labels=labels, frame_map=frames)


def _known(
    push: Push,
    task: PushedTask,
    rows: Mapping[int, Sequence[PushedShape]],
    shapes: Mapping[int, Sequence[Shape]],
    bar: Bar,
) -> Iterator[tuple[int, Sequence[Shape]]]:
    """Yield shapes that are to be sent, once the ledger knows of them."""
    push.ledger.keep_shapes(task, rows)
    for frame, listed in shapes.items():
        yield frame, listed
        bar.advance()


def _in_work(
    push: Push, job: JobInfo, own: Mapping[int, Candidate], labels: LabelSet, frames: FrameMap
) -> dict[int, int] | None:
    """Return the shapes by frame of a job that a person has begun to work in; None where nobody has.

    A write that broke off leaves the first of our shapes, in their order, and nothing else. A job from which
    somebody has deleted some, or in which there is more, is in work.
    """
    there = read_content(push.session, job.id, labels)
    ours = (signature for frame in own for signature in _signatures(push, own, frame, labels, frames))
    first = Counter(signature for _, signature in zip(range(len(there.shapes)), ours, strict=False))
    if job.state == "new" and job.stage == "annotation" and not there.others and first == there.signatures():
        return None
    page = job_page(push.session, job.task_id, job.id)
    _log.warning(
        "job %d was left without all its proposals and is in work: it is left as it is: %s", job.id, page
    )
    return _leave(push, job, own, labels, frames)


def _leave(
    push: Push, job: JobInfo, own: Mapping[int, Candidate], labels: LabelSet, frames: FrameMap
) -> dict[int, int]:
    """Return the shapes by frame of a job that stays as it is; note the records that lack proposals."""
    there = read_content(push.session, job.id, labels)
    left, found = there.signatures(), Counter(shape.frame for shape in there.shapes)
    for frame, candidate in own.items():
        wanted = Counter(_signatures(push, own, frame, labels, frames))
        if missing := sum((wanted - left).values()):
            push.lost[candidate.record_id] = (
                f"without {missing} of its {sum(wanted.values())} proposals: somebody works there, or the server"
                f" has dropped them: {job_page(push.session, job.task_id, job.id, frame)}"
            )
    return {frame: found[frame] for frame in own}


def _signatures(
    push: Push, own: Mapping[int, Candidate], frame: int, labels: LabelSet, frames: FrameMap
) -> list[str]:
    shapes = checked_shapes(own[frame], frame, labels, _size(frames, frame))
    return [as_new(shape, frame, labels, push.session.capabilities).signature for shape in shapes]


def _pushed(task: PushedTask, job: JobInfo, state: str, updated_date: str = "") -> PushedJob:
    return PushedJob(
        push_id=task.push_id,
        ordinal=task.ordinal,
        job_id=job.id,
        start_frame=job.start_frame,
        stop_frame=job.stop_frame,
        updated_date=updated_date,
        state="touched" if state == "touched" else "left",
    )


def _size(frames: FrameMap, frame: int) -> tuple[int, int]:
    entry = frames.by_frame[frame]
    return entry.width, entry.height
