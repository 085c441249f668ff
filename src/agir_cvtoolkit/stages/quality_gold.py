"""``quality setup-gold``: ground-truth jobs out of a gold set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agir_cvtoolkit.cvat import GROUND_TRUTH, JobInfo, Scope, list_jobs, read_job, write_new
from agir_cvtoolkit.cvat.validation import complete_ground_truth, create_ground_truth, ground_truth_job
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.shapes import Shape

from ._call import Call
from ._connect import connect
from .quality_read import JobReader, Picture, pictures_of_run, pictures_of_task


@dataclass(frozen=True)
class GoldTask:
    """The ground-truth job of one task.

    Attributes:
        job_id: None in a dry run that would make it.
        was_there: it was made before, by an earlier call.
        shapes: of the gold set on its frames.
    """

    task_id: int
    job_id: int | None
    frames: int
    shapes: int
    was_there: bool


@dataclass(frozen=True)
class GoldSetUp:
    """What was set up."""

    tasks: tuple[GoldTask, ...]
    dry_run: bool = False


def quality_setup_gold(
    call: Call | None = None,
    *,
    task_ids: Sequence[int],
    gold_task: int | None = None,
    gold_run: str | None = None,
) -> GoldSetUp:
    """Make the ground-truth job of tasks and put a gold set's annotations into it; pictures are found by name and size.

    Called again it goes on where it stopped. A ground-truth job that somebody else has filled is left alone. In a task
    with honeypots the job is there from the beginning, since the server makes honeypots only while a task is made; it
    is filled here.

    Args:
        call: options of every command; with ``dry_run`` nothing is made.
        task_ids: that get such a job.
        gold_task: a task with the same pictures that is right.
        gold_run: a run into which such a task was pulled.

    Raises:
        UsageError: no gold set is named, none of its pictures is in a task, the server knows no ground truth, or the job
            of a task holds something else.
        RemoteError: of its kinds.
    """
    call = call or Call()
    if not task_ids:
        raise UsageError("no task is named", "Give --task-id.")
    if (gold_task is None) == (gold_run is None):
        raise UsageError("name one gold set", "Give --gold-task or --gold-run.")
    settings = call.settings()
    writes = None if call.dry_run else "quality setup-gold"
    session = connect(settings, "cvat_download", None, writes=writes).session
    reader = JobReader(session, None)
    gold = (
        pictures_of_run(settings, gold_run)
        if gold_run is not None
        else pictures_of_task(reader, gold_task or 0)
    )
    wanted = {task_id: _frames(reader, task_id, gold) for task_id in dict.fromkeys(task_ids)}
    for task_id, frames in wanted.items():
        if not frames:
            raise UsageError(
                f"task {task_id} has no picture of the gold set",
                "Names and sizes of the pictures must be the same.",
            )
    done = [_set_up(reader, task_id, frames, dry_run=call.dry_run) for task_id, frames in wanted.items()]
    return GoldSetUp(tuple(done), call.dry_run)


def _frames(
    reader: JobReader, task_id: int, gold: dict[Picture, tuple[Shape, ...]]
) -> dict[int, tuple[Shape, ...]]:
    frames = reader.frames_of(task_id)
    listed = [entry for entry in frames.entries if entry.frame not in frames.honeypots]
    if frames.validation_frames:
        listed = [entry for entry in listed if entry.frame in frames.validation_frames]
    return {
        entry.frame: gold[picture]
        for entry in listed
        if entry.frame not in frames.deleted_frames
        and (picture := (entry.name, entry.width, entry.height)) in gold
    }


def _set_up(
    reader: JobReader, task_id: int, frames: dict[int, tuple[Shape, ...]], *, dry_run: bool
) -> GoldTask:
    session = reader.session
    job = ground_truth_job(session, task_id)
    shapes = sum(map(len, frames.values()))
    if job is not None:
        _check(reader, job, frames)
    if dry_run:
        return GoldTask(task_id, None if job is None else job.id, len(frames), shapes, job is not None)
    made = job if job is not None else create_ground_truth(session, task_id, sorted(frames))
    if made.project_id is None:
        made = replace(made, project_id=_project_of(reader, task_id))
    write_new(session, made, frames, labels=reader.labels_of(made), frame_map=reader.frames_of(task_id))
    if made.state != "completed":
        complete_ground_truth(session, made.id)
    return GoldTask(task_id, made.id, len(frames), shapes, job is not None)


def _project_of(reader: JobReader, task_id: int) -> int | None:
    jobs = list_jobs(reader.session, Scope(task_ids=(task_id,))).items
    return next((job.project_id for job in jobs if job.kind != GROUND_TRUTH), None)


def _check(reader: JobReader, job: JobInfo, frames: dict[int, tuple[Shape, ...]]) -> None:
    """Refuse a job that holds other frames, or something that is not the gold set's."""
    other = sorted(set(frames) - set(reader.numbers_of(job)))
    found = read_job(reader.session, job.id, reader.labels_of(job))
    gold = {(n, shape.geometry_hash()) for n, shapes in frames.items() for shape in shapes}
    foreign = [key for key in found.keys() if key not in gold]  # noqa: SIM118 - a method of ours, no mapping
    if other or foreign:
        what = (
            f"lacks frames {', '.join(map(str, other[:5]))}"
            if other
            else f"holds {len(foreign)} other shapes"
        )
        raise UsageError(
            f"task {job.task_id} has ground-truth job {job.id} already, and it {what}",
            "A task has one at most: delete it in CVAT first, if it is not wanted.",
        )
