"""What was pulled into a run as labelled pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agir_cvtoolkit.errors import DataError, NoRunError
from agir_cvtoolkit.interpolation import shape_on
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.labelled import LabelledPicture, LabelledSet, Provenance
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.plain_shapes import from_plain
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.shapes import Shape

from ._export_split import Side
from ._labelled_job import Job, lists_of, looked_through, readable
from ._labelled_labels import Names, RunLabels, record_id_of
from ._labelled_poses import as_skeletons
from ._originals import Originals
from ._pulled import PulledFrame, PulledTask
from ._run_joints import kept_schema


@dataclass
class Selection:
    """What is taken of a run.

    Attributes:
        tasks: as pulled.
        left_out: ids of jobs of which nothing is taken.
        as_drawn: keep single points and boxes as people drew them; False makes skeletons of them where the task's labels
            are joints.
        pictures: look for the pictures' files.
        split_of: the side of a record.
        items: frames whose shapes could not be read.
    """

    tasks: tuple[PulledTask, ...]
    left_out: Collection[int] = ()
    as_drawn: bool = False
    pictures: bool = True
    split_of: Side = lambda _record, _content: None
    items: list[Item] = field(default_factory=list)


def pulled_set(run: Run, selection: Selection) -> LabelledSet:
    """Return the frames of pulled tasks, each record once: of the newest task that has it.

    Raises:
        NoRunError: nothing was pulled, or nothing is left of it.
        DataError: an annotations file is damaged.
    """
    owners: dict[str, tuple[int, int]] = {}
    for task in selection.tasks:
        for frame in task.frames:
            if frame.job_id not in selection.left_out:
                owners[record_id_of(task, frame)] = (task.task_id, frame.frame)
    if not owners:
        raise NoRunError(
            f"run {run.run_id} has no finished work from CVAT",
            "Complete the jobs in CVAT, then: agir-cvtoolkit download-cvat",
        )
    labels = RunLabels(run)
    jobs = []
    for task in selection.tasks:
        by_job: dict[int, dict[int, PulledFrame]] = {}
        for frame in task.frames:
            if owners.get(record_id_of(task, frame)) == (task.task_id, frame.frame):
                by_job.setdefault(frame.job_id, {})[frame.frame] = frame
        jobs += [looked_through(task, job_id, by_job[job_id], labels) for job_id in sorted(by_job)]
    schema = kept_schema(run)
    if not selection.as_drawn:
        labels.add_poses(_pose_files(jobs), schema)
    names = Names()
    originals = Originals(run)

    def pictures() -> Iterator[LabelledPicture]:
        for job in jobs:
            yield from _of_job(run, job, selection, schema, names, originals)

    return LabelledSet(run.run_id, labels.entries(), len(owners), pictures)


def _pose_files(jobs: Iterable[Job]) -> Iterator[Path]:
    for job in jobs:
        yield from (job.task.folder / f.poses for f in job.frames.values() if f.poses is not None)


def _of_job(
    run: Run,
    job: Job,
    selection: Selection,
    schema: JointSchema | None,
    names: Names,
    originals: Originals,
) -> Iterator[LabelledPicture]:
    made = partial(_picture, run, job, selection, schema, names, originals)
    without = [n for n in sorted(job.frames) if n not in job.with_shapes]
    ascending = list(job.with_shapes) == sorted(job.with_shapes)
    if job.with_shapes:
        with readable(job.path):
            for key, listed in lists_of(job.path):
                number = int(key) if key.isdecimal() else -1
                if number not in job.frames or number not in job.with_shapes:
                    continue
                while ascending and without and without[0] < number:
                    yield made(without.pop(0), ())
                yield made(number, tuple(map(from_plain, listed)))
    for number in without:
        yield made(number, ())


def _picture(
    run: Run,
    job: Job,
    selection: Selection,
    schema: JointSchema | None,
    names: Names,
    originals: Originals,
    number: int,
    drawn: tuple[Shape, ...],
) -> LabelledPicture:
    task, frame = job.task, job.frames[number]
    tracked = (shape_on(track, number, task.deleted_frames) for track in job.tracks)
    shapes = tuple(sorted((*drawn, *(s for s in tracked if s is not None)), key=lambda shape: shape.z_order))
    record_id = record_id_of(task, frame)
    if frame.poses is not None and not selection.as_drawn:
        try:
            shapes = as_skeletons(shapes, task.folder / frame.poses, schema, (frame.width, frame.height))
        except DataError as error:
            selection.items.append(Item(record_id, "failed", str(error)))
    find = partial(originals.find, frame.record_id, frame.sha256, task.folder)
    path = find() if selection.pictures else None

    def content() -> str | None:
        here = path or find() if frame.sha256 is None else None
        return frame.sha256 if here is None else sha256_of(here)

    return LabelledPicture(
        record_id=record_id,
        file_name=names.name(task, frame),
        path=path,
        width=frame.width,
        height=frame.height,
        shapes=shapes,
        tags=job.tags.get(number, ()),
        split=selection.split_of(record_id, content),
        provenance=Provenance(
            made_by="person",
            run_id=run.run_id,
            task_id=task.task_id,
            job_id=frame.job_id,
            frame=number,
            url=f"{task.url}/jobs/{frame.job_id}?frame={number}",
        ),
    )
