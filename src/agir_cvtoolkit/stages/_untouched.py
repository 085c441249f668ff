"""Whether anybody has touched a task that was pushed: read from the server, just before it is deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agir_cvtoolkit.cvat import (
    ANNOTATION,
    CvatSession,
    JobInfo,
    LabelSet,
    Scope,
    TaskInfo,
    list_jobs,
    read_frame_map,
    read_job,
    read_labels,
)
from agir_cvtoolkit.cvat.replacing import as_new, read_content
from agir_cvtoolkit.errors import LabelError, ShapeError
from agir_cvtoolkit.ledger import Ledger, PushedJob, PushedShape, PushedTask
from agir_cvtoolkit.plain_shapes import unpack


def why_left(session: CvatSession, ledger: Ledger, pushed: PushedTask, task: TaskInfo) -> str:
    """Return why a task must be left alone, empty where nobody has touched it.

    A task is untouched where every job is new, in stage annotation, of the date that the push left, without
    remarks, and holds exactly the shapes that the push left (a job that was not finished: the first of them), and
    no frame was taken out. Jobs are listed again at the end: what is saved meanwhile is seen.

    Args:
        session: where the task is.
        ledger: knows what the push left.
        pushed: the task as it was pushed.
        task: as the server has it.

    Raises:
        RemoteError: of its kinds.
    """
    if not task.size:
        return ""
    frames = read_frame_map(session, task.id)
    if frames.deleted_frames:
        return f"{len(frames.deleted_frames)} of its frames were taken out"
    sent = {frame.file_name for frame in ledger.frames_of_task(pushed)}
    if sent - set(frames.by_name):
        return "it holds other pictures than were pushed"
    before = _jobs(session, task.id)
    kept = {job.job_id: job for job in ledger.jobs_of_task(pushed)}
    labels = read_labels(session, task_id=task.id)
    for job in before:
        reason = (
            _state(job, kept.get(job.id))
            or _remarks(session, job)
            or _content(session, ledger, pushed, job, labels, whole=pushed.state == "done" or job.id in kept)
        )
        if reason:
            return reason
    return "" if _jobs(session, task.id) == before else "somebody is working in it right now"


def _jobs(session: CvatSession, task_id: int) -> tuple[JobInfo, ...]:
    """Return all jobs of a task, those of validation and consensus too."""
    return list_jobs(session, Scope(task_ids=(task_id,))).items


def _state(job: JobInfo, kept: PushedJob | None) -> str:
    if job.kind != ANNOTATION:
        return f"somebody has made job {job.id} of type {job.type}"
    if job.state != "new" or job.stage != ANNOTATION:
        return f"job {job.id} is {job.state} in stage {job.stage}"
    if kept is None:
        return ""
    if kept.state == "touched":
        return f"somebody has worked in job {job.id}"
    if kept.state == "replacing":
        return f"new proposals are on their way into job {job.id}: run upload-cvat again first"
    if kept.updated_date and kept.updated_date != job.updated_date:
        return f"job {job.id} was saved or assigned, or its labels were changed, since it was pushed"
    return ""


def _remarks(session: CvatSession, job: JobInfo) -> str:
    remarks = session.pages("/api/issues", f"list remarks on job {job.id}", {"job_id": job.id})
    # The server ignores query parameters that it does not know, so its choice is checked.
    return f"job {job.id} has remarks" if any(item.get("job") == job.id for item in remarks) else ""


def _content(
    session: CvatSession,
    ledger: Ledger,
    pushed: PushedTask,
    job: JobInfo,
    labels: LabelSet,
    *,
    whole: bool,
) -> str:
    left = ledger.shapes_left(pushed, job.start_frame, job.stop_frame)
    shapes = [shape for frame in sorted(left) for shape in left[frame]]
    there = read_content(session, job.id, labels)
    if not whole:
        # What a call broke off over holds the first of what it was to write, in their order, and nothing else.
        shapes = shapes[: len(there.shapes)]
    if there.others:
        same = False  # tags, tracks or shapes that nobody here sends
    elif any(shape.geometry is None for shape in shapes):
        same = _same_hashes(session, job, labels, shapes)
    else:
        same = there.signatures() == _signatures(session, labels, shapes)
    return "" if same else f"somebody has changed what is in job {job.id}"


def _signatures(session: CvatSession, labels: LabelSet, shapes: Sequence[PushedShape]) -> Counter[str] | None:
    try:
        return Counter(
            as_new(unpack(shape.geometry or b""), shape.frame, labels, session.capabilities).signature
            for shape in shapes
        )
    except (LabelError, ShapeError, KeyError):
        # A label or sublabel that is gone was deleted by somebody.
        return None


def _same_hashes(session: CvatSession, job: JobInfo, labels: LabelSet, shapes: Sequence[PushedShape]) -> bool:
    """Compare with what an earlier version of this tool has noted: hashes of label and geometry."""
    left = Counter((shape.frame, shape.geometry_hash) for shape in shapes)
    return read_job(session, job.id, labels).keys() == left
