"""Ground-truth jobs: made, found, and marked as done."""

from __future__ import annotations

from collections.abc import Sequence

from agir_cvtoolkit.errors import RefusedError, UsageError

from .failures import UNCERTAIN
from .jobs import GROUND_TRUTH, JobInfo, job_from_json
from .listings import Scope, list_jobs
from .session import CvatSession


def ground_truth_job(session: CvatSession, task_id: int) -> JobInfo | None:
    """Return the ground-truth job of a task, or None; a task has one at most.

    Raises:
        RemoteError: of its kinds.
    """
    jobs = list_jobs(session, Scope(task_ids=(task_id,))).items
    return next((job for job in jobs if job.kind == GROUND_TRUTH), None)


def create_ground_truth(session: CvatSession, task_id: int, frames: Sequence[int]) -> JobInfo:
    """Make the ground-truth job of a task; after a lost answer it is looked for first.

    Args:
        session: where the task is.
        task_id: of a task with pictures and without such a job.
        frames: numbers of the frames that the job holds.

    Raises:
        UsageError: the server does not know such jobs.
        RefusedError: the task has one, or lacks a frame.
        RemoteError: of its kinds.
    """
    content = {
        "type": GROUND_TRUTH,
        "task_id": task_id,
        "frame_selection_method": "manual",
        "frames": sorted(set(frames)),
    }
    try:
        made = session.send_json("POST", "/api/jobs", f"make the ground-truth job of task {task_id}", content)
    except UNCERTAIN:
        found = ground_truth_job(session, task_id)
        if found is None:
            raise
        return found
    except RefusedError as error:
        if error.status == 405:
            raise UsageError(
                f"CVAT {session.capabilities.text} at {session.url} has no ground-truth jobs",
                "Give the gold set by --gold-task or --gold-run instead: it is compared without one.",
            ) from error
        raise
    return job_from_json(made)


def complete_ground_truth(session: CvatSession, job_id: int) -> None:
    """Say that a ground-truth job is done: CVAT's own report, and ours, compare with nothing else.

    Raises:
        RemoteError: of its kinds.
    """
    content = {"stage": "acceptance", "state": "completed"}
    session.send_json("PATCH", f"/api/jobs/{job_id}", f"complete job {job_id}", content)
