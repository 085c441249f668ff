"""Ground-truth jobs and replicas, stored apart from a task's own work: nothing is ever trained on them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.cvat import GROUND_TRUTH, JobAnnotations, JobInfo
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import Item, file_stem

from ._pulled import PulledFrame, PulledTask, read_frame_map_file, write_frame_map
from ._store_job import TaskContext, store_job

FRAMES = "frames.json"
_FOLDERS = {GROUND_TRUTH: GROUND_TRUTH, "replica": "replicas"}
APART_FOLDERS = tuple(_FOLDERS.values())


def apart_folder(task_folder: Path, kind: str, job_id: int) -> Path:
    """Return the folder of a ground-truth job or replica: ``ground_truth/job_5``, ``replicas/job_6``."""
    return task_folder / _FOLDERS.get(kind, file_stem(kind)) / f"job_{job_id}"


def is_apart_current(task_folder: Path, kind: str, job_id: int) -> bool:
    """Whether what was read of such a job lies there wholly."""
    folder = apart_folder(task_folder, kind, job_id)
    try:
        found = read_frame_map_file(folder / FRAMES)
    except DataError:
        return False
    whole = all((folder / path).is_file() for frame in found.frames for path in frame.files)
    return whole and not found.incomplete_jobs


def store_apart(
    task: TaskContext, job: JobInfo, annotations: JobAnnotations, numbers: Collection[int]
) -> tuple[dict[int, PulledFrame], list[Item]]:
    """Write the annotations, masks and list of frames of a ground-truth job or replica.

    Args:
        task: that the job is in.
        job: the job.
        annotations: what it holds.
        numbers: of its frames.

    Returns:
        The stored frames by number, and what could not be taken.

    Raises:
        DataError: there are more labels than mask values.
    """
    folder = apart_folder(task.folder, job.kind, job.id)
    frames, items = store_job(replace(task, folder=folder), job, annotations, numbers)
    content = PulledTask(
        task_id=job.task_id,
        name=f"{job.kind} job {job.id}",
        url=f"{task.pull.session.task_url(job.task_id)}/jobs/{job.id}",
        folder=folder,
        frames=tuple(frames[number] for number in sorted(frames)),
        incomplete_jobs=(job.id,) if items else (),
    )
    write_frame_map(content, FRAMES)
    return frames, items
