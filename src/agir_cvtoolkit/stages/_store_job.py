"""One finished job into a run: its annotations as they were read, and a mask for each of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.cvat import FrameMap, JobAnnotations, JobInfo, normal_name
from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.ledger import PushedFrame
from agir_cvtoolkit.records import Item, file_stem
from agir_cvtoolkit.shapes import Points, Shape, Skeleton

from ._ahead import ahead, masks_at_once
from ._classes import class_table, extend_classes, ids_by_label, read_classes
from ._pull_context import PullContext
from ._pull_files import Area, shapes_on, write_annotations, write_mask
from ._pulled import PulledFrame
from ._pulled_poses import pulled_schema, write_found_poses


@dataclass(frozen=True, eq=False)
class TaskContext:
    """What is known of a task before its jobs are stored.

    Attributes:
        folder: where they are stored.
        frames: as read from the server.
        pushed: frames that this tool sent, by file name; empty for a task of others.
    """

    pull: PullContext
    folder: Path
    frames: FrameMap
    pushed: Mapping[str, PushedFrame]

    @cached_property
    def record_ids(self) -> dict[int, str]:
        """The record of each frame; in a task of others the file's name, as short as it is unique."""
        stems = Counter(PurePosixPath(name).stem for name in self.frames.by_name)
        found = {}
        for entry in self.frames.entries:
            stem = PurePosixPath(entry.name).stem
            own = stem if stems[stem] == 1 else entry.name
            found[entry.frame] = self.pushed[entry.name].record_id if entry.name in self.pushed else own
        return found

    @cached_property
    def proposed_labels(self) -> dict[int, set[str]]:
        """The labels that were proposed on each frame; empty for a task of others."""
        ledger, task_id = self.pull.ledger, self.frames.task_id
        task = ledger.task_by_id(self.pull.session.url, task_id)
        return {} if task is None else ledger.labels_left(task)


def store_job(
    task: TaskContext, job: JobInfo, annotations: JobAnnotations, numbers: Collection[int]
) -> tuple[dict[int, PulledFrame], list[Item]]:
    """Write the annotations and masks of a job, and the poses where its labels are joints.

    Args:
        task: that the job is in.
        job: the job.
        annotations: what it holds.
        numbers: of the frames that are its records.

    Returns:
        The stored frames by number, and what could not be taken.

    Raises:
        DataError: there are more labels than mask values.
    """
    items = [*_not_taken(task, job, annotations, numbers), *_outside(task, job, annotations)]
    write_annotations(task.folder, annotations)
    shown = _shown(task, annotations, numbers)
    # What the frames of the whole task have matters only to labels that get their mask value now.
    known = _known_ids(task, shown) if _without_value(task, shown) else {}
    class_ids = extend_classes(task.pull.run, _labels(shown), known)
    frames: dict[int, PulledFrame] = {}
    joints = pulled_schema(task.pull, job) if _may_have_poses(task, shown) else None

    def drawn(number: int) -> str | None:
        entry = task.frames.by_frame[number]
        stem = file_stem(task.record_ids[number])
        if joints is not None and not any(isinstance(shape, Area) for shape in shown[number]):
            return None  # a picture without poses says nothing of masks
        return write_mask(task.folder, stem, shown[number], (entry.width, entry.height), class_ids)

    sizes = (task.frames.by_frame[n].width * task.frames.by_frame[n].height for n in numbers)
    work = ((number, partial(drawn, number)) for number in sorted(numbers))
    for number, outcome in ahead(work, masks_at_once(max(sizes, default=0))):
        entry = task.frames.by_frame[number]
        shapes = shown[number]
        record_id = task.record_ids[number]
        sent = task.pushed.get(entry.name)
        try:
            mask = outcome.result() if outcome else None
        except MaskError as error:
            items.append(Item(record_id, "failed", f"frame {number} of job {job.id}: {error}"))
            continue
        poses = None
        if joints is not None:
            size = (entry.width, entry.height)
            poses, problems = write_found_poses(task.folder, file_stem(record_id), shapes, joints, size)
            where = f"frame {number} of job {job.id}"
            items += [Item(record_id, "skipped", f"{where}: {problem}") for problem in problems]
        frames[number] = PulledFrame(
            frame=number,
            record_id=record_id,
            file_name=entry.name,
            width=entry.width,
            height=entry.height,
            sha256=sent.sha256 if sent else None,
            job_id=job.id,
            shapes=len(shapes),
            mask=mask,
            not_in_mask=", ".join(sorted({shape.kind for shape in shapes if not isinstance(shape, Area)})),
            poses=poses,
        )
    return frames, items


def _may_have_poses(task: TaskContext, shown: Mapping[int, Sequence[Shape]]) -> bool:
    """Whether labels are worth a request: there is a point, or poses were proposed."""
    if any(isinstance(shape, Points | Skeleton) for shapes in shown.values() for shape in shapes):
        return True
    entries = (task.pull.entries.get(task.record_ids.get(number, "")) for number in shown)
    return any(entry is not None and entry.pose_path is not None for entry in entries)


def new_labels(task: TaskContext, annotations: JobAnnotations, numbers: Collection[int]) -> list[str]:
    """Return the labels of a job's areas that have no mask value in the run yet, sorted.

    Raises:
        DataError: the table of labels is damaged.
    """
    return sorted(_without_value(task, _shown(task, annotations, numbers)))


def _not_taken(
    task: TaskContext, job: JobInfo, annotations: JobAnnotations, numbers: Collection[int]
) -> Iterator[Item]:
    """Name what could not be understood on the frames that are stored, or on none at all."""
    for skipped in annotations.skipped:
        if skipped.frame in numbers:
            place = f"{skipped.kind} on frame {skipped.frame} of job {job.id}"
            yield Item(task.record_ids[skipped.frame], "skipped", f"{place}: {skipped.reason}")
        elif skipped.frame not in task.frames.by_frame:
            named = f" on frame {skipped.frame}" if skipped.frame >= 0 else ""
            yield Item(f"job {job.id}", "skipped", f"{skipped.kind}{named}: {skipped.reason}")


def _outside(task: TaskContext, job: JobInfo, annotations: JobAnnotations) -> Iterator[Item]:
    """Name what is on frames that the task does not have."""
    frames: Counter[int] = Counter()
    for number, found in (*annotations.shapes.items(), *annotations.tags.items()):
        frames[number] += len(found)
    for number in sorted(frames.keys() - task.frames.by_frame.keys()):
        said = f"{frames[number]} annotation(s) on frame {number}, which its task does not have"
        yield Item(f"job {job.id}", "skipped", said)


def _shown(
    task: TaskContext, annotations: JobAnnotations, numbers: Collection[int]
) -> dict[int, tuple[Shape, ...]]:
    return {number: shapes_on(annotations, number, task.frames.deleted_frames) for number in numbers}


def _labels(shown: Mapping[int, Sequence[Shape]]) -> set[str]:
    return {shape.label for shapes in shown.values() for shape in shapes if isinstance(shape, Area)}


def _without_value(task: TaskContext, shown: Mapping[int, Sequence[Shape]]) -> set[str]:
    path = class_table(task.pull.run)
    known = read_classes(path) if path.is_file() else {}
    return _labels(shown) - known.keys()


def _known_ids(task: TaskContext, shown: Mapping[int, Sequence[Shape]]) -> dict[str, set[int]]:
    named, entries = task.pull.named_values, task.pull.entries
    # What was proposed counts on all frames of the task: which of its jobs is stored first must not matter.
    proposed = set().union(*task.proposed_labels.values())
    drawn = {frame: {shape.label for shape in shapes} for frame, shapes in shown.items()}

    def pairs() -> Iterable[tuple[str, int]]:
        on_frames = [(frame, labels, labels) for frame, labels in task.proposed_labels.items()]
        on_frames += [(frame, labels, labels - proposed) for frame, labels in drawn.items()]
        for frame, labels, wanted in on_frames:
            entry = entries.get(task.record_ids.get(frame, ""))
            for label in wanted:
                if normal_name(label) in named:
                    yield label, named[normal_name(label)]
                elif entry is not None and len(labels) == 1:
                    yield label, entry.class_id

    return ids_by_label(pairs())
