"""One push: candidates into tasks, each step known to the ledger before it is taken.

A task goes through ``planned`` (its unique name is reserved), ``created`` (it has an id, its pictures are
under way), ``filled`` (its frames were read back and fit) and ``done`` (its shapes were read back and
counted). A push that was killed goes on from there: what is half-made is removed and made anew, what is
filled gets its missing shapes, and what somebody has begun to work in is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from agir_cvtoolkit.cvat import (
    CvatSession,
    FrameMap,
    PictureToSend,
    TaskInfo,
    TaskRequest,
    UploadOptions,
    create_task_with_pictures,
    delete_task,
    find_jobs,
    find_tasks,
    get_task,
    read_frame_map,
    read_job,
)
from agir_cvtoolkit.cvat.tasks import is_being_prepared
from agir_cvtoolkit.errors import AgirError, FrameMapError, LedgerError, NotFoundError, ServerFaultError
from agir_cvtoolkit.ledger import PushedFrame, PushedJob, PushedTask

from ._candidates import Candidate
from ._places import same_place
from ._push_shapes import annotate, finish_task
from ._push_words import Push
from ._untouched import why_left

_log = logging.getLogger(__name__)


def tidy_up(push: Push, candidates: Sequence[Candidate]) -> None:
    """Bring unfinished tasks of an earlier call to an end, or remove them."""
    current = {c.record_id: c for c in candidates}
    for task in push.ledger.tasks_of_push(push.push_id):
        if task.state == "done":
            continue
        frames = push.ledger.frames_of_task(task)
        there = task.state == "filled" and bool(frames) and is_there(push.session, task, frames)
        same = all(
            f.record_id in current and current[f.record_id].prediction_hash == f.prediction_hash
            for f in frames
        )
        if there and same:
            _log.info("going on with task %s, which has its pictures but not all shapes", task.task_id)
            _finish(push, task, [current[f.record_id] for f in frames])
        elif there and _is_in_work(push, task, get_task(push.session, task.task_id or 0)):
            _accept(push, task)
        else:
            _remove(push, task)


def _accept(push: Push, task: PushedTask) -> None:
    """Leave a task as it is in which somebody works although not all of its proposals came there."""
    _log.warning(
        "task %s was left without all its proposals and is in work: it is left as it is: %s",
        task.task_id,
        task.url,
    )
    counts: dict[int, int] = {}
    for job in find_jobs(push.session, task_ids=[task.task_id or 0], required_status=None):
        there = read_job(push.session, job.id).shapes
        counts.update({frame: len(there.get(frame, ())) for frame in job.frames})
        push.ledger.keep_job(
            PushedJob(
                task.push_id, task.ordinal, job.id, job.start_frame, job.stop_frame, "", state="touched"
            )
        )
    finish_task(push, task, counts)


def is_there(session: CvatSession, task: PushedTask, frames: Sequence[PushedFrame]) -> bool:
    """Whether a task is still on the server, under its name or, renamed, with its frames."""
    if task.task_id is None:
        return False
    try:
        if get_task(session, task.task_id).name == task.name:
            return True
        names = read_frame_map(session, task.task_id).by_name
    except (NotFoundError, FrameMapError):
        return False
    return bool(frames) and all(frame.file_name in names for frame in frames)


def push_tasks(push: Push, candidates: Sequence[Candidate]) -> None:
    """Make as many tasks as the candidates need, each with at most ``images_per_task`` pictures."""
    size = push.upload.images_per_task
    known = push.ledger.tasks_of_push(push.push_id)
    ordinal = max((task.ordinal for task in known), default=0)
    for group in same_place(candidates):
        for start in range(0, len(group), size):
            ordinal += 1
            _push_task(push, ordinal, group[start : start + size])


def _push_task(push: Push, ordinal: int, candidates: Sequence[Candidate]) -> None:
    name = f"{push.name} [{push.push_id}-{ordinal}]"
    task = PushedTask(push.push_id, ordinal, name, push.run_id, "planned", None, None)
    _must_be_new(push, name)
    push.ledger.plan_task(task)
    upload = push.upload
    project = push.target.project
    request = TaskRequest(
        name=name,
        project_id=project.id if project else None,
        labels=() if project else push.labels,
        segment_size=upload.segment_size,
        subset=upload.subset,
    )
    pictures = [PictureToSend(c.file_name, c.image, c.width, c.height, c.sha256) for c in candidates]
    options = UploadOptions(
        image_quality=upload.image_quality,
        chunk_size=upload.chunk_size,
        use_cache=upload.use_cache,
        in_flight=upload.parallel_requests,
        deadline_s=upload.deadline_s,
    )
    created = create_task_with_pictures(
        push.session,
        request,
        pictures,
        on_created=lambda task_id: push.ledger.task_created(task, task_id, push.session.task_url(task_id)),
        on_deleted=lambda _: push.ledger.plan_task(task),
        progress=push.progress,
        options=options,
        place=candidates[0].place,
    )
    task = replace(task, state="filled", task_id=created.task_id, url=created.url)
    push.ledger.task_filled(task, _frames(push, task, candidates, created.frame_map))
    _finish(push, task, candidates, created.frame_map)


def _must_be_new(push: Push, name: str) -> None:
    """Refuse to make the twin of a task that another ledger knows, before this one would take it for its own."""
    for found in find_tasks(push.session, name=name):
        if _came_late(push, found):
            delete_task(push.session, found.id)
            continue
        how = "is on" if found.size else "is on, or on its way to,"
        raise LedgerError(
            f"task {found.id} '{name}' {how} {push.session.url} already, but this ledger does not know it: the run "
            "was copied without its ledger, or two ledgers push the same",
            "Use the ledger that it was pushed with (io.ledger_url, or restore its backup), or set another "
            "cvat_upload.task_name to upload everything anew.",
        )


def _came_late(push: Push, found: TaskInfo) -> bool:
    """Whether a task was made by a request of this ledger that was carried out after it was given up.

    An empty task of which this ledger has never heard is another's, whose pictures may be under way.
    """
    return (
        not found.size
        and push.ledger.has_planned(push.push_id, found.name)
        and not is_being_prepared(push.session, found.id)
        and not find_jobs(push.session, task_ids=[found.id], required_status=None)
    )


def _finish(
    push: Push, task: PushedTask, candidates: Sequence[Candidate], frame_map: FrameMap | None = None
) -> None:
    """Annotate a task that has its pictures; one that cannot be annotated is removed."""
    try:
        annotate(push, task, candidates, frame_map)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            push.session.stop()
        try:
            _remove(push, task)
        except AgirError as second:
            note = (
                f"Task {task.task_id} is left unfinished ({second.problem}); the next upload-cvat goes on from"
                f" there: {task.url}"
            )
            if isinstance(error, AgirError):
                error.next_step = f"{error.next_step} {note}".strip()
            else:
                _log.error("%s", note)
                error.add_note(note)
        raise


def _frames(
    push: Push, task: PushedTask, candidates: Sequence[Candidate], frame_map: FrameMap
) -> list[PushedFrame]:
    return [
        PushedFrame(
            push_id=push.push_id,
            ordinal=task.ordinal,
            frame=frame_map.frame_of(c.file_name),
            record_id=c.record_id,
            file_name=c.file_name,
            sha256=c.sha256,
            width=c.width,
            height=c.height,
            prediction_hash=c.prediction_hash,
            units=c.units,
        )
        for c in candidates
    ]


def _remove(push: Push, task: PushedTask) -> None:
    """Remove an unfinished task, found by its unique name, unless a person has begun to work in it."""
    for found in find_tasks(push.session, name=task.name):
        if _is_in_work(push, task, found):
            raise ServerFaultError(
                f"Task {found.id} '{found.name}' was left unfinished and somebody works in it",
                f"Look at {push.session.task_url(found.id)}; delete it there, or push under another name.",
            )
        _log.info("removing half-made task %d", found.id)
        delete_task(push.session, found.id)
    push.ledger.forget_task(task)


def _is_in_work(push: Push, task: PushedTask, there: TaskInfo) -> bool:
    """Whether somebody works in a task, or it cannot be told: whatever is not exactly as it was sent counts."""
    try:
        reason = why_left(push.session, push.ledger, task, there)
    except FrameMapError as error:
        reason = str(error)
    if reason:
        _log.info("task %d stays: %s", there.id, reason)
    return bool(reason)
