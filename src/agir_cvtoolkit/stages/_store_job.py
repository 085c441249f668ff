"""One finished job into a run: its annotations as they were read, and a mask for each of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.cvat import FrameMap, JobAnnotations, JobInfo, normal_name
from agir_cvtoolkit.errors import MaskError
from agir_cvtoolkit.ledger import PushedFrame
from agir_cvtoolkit.records import Item, file_stem
from agir_cvtoolkit.shapes import Shape

from ._classes import extend_classes, ids_by_label
from ._pull_context import PullContext
from ._pull_files import Area, shapes_on, write_annotations, write_mask
from ._pulled import PulledFrame


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


def store_job(
    task: TaskContext, job: JobInfo, annotations: JobAnnotations, numbers: Collection[int]
) -> tuple[dict[int, PulledFrame], list[Item]]:
    """Write the annotations and masks of a job.

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
    items = [
        Item(
            task.record_ids.get(skipped.frame, f"frame {skipped.frame}"),
            "skipped",
            f"{skipped.kind} on frame {skipped.frame} of job {job.id}: {skipped.reason}",
        )
        for skipped in annotations.skipped
        if skipped.frame in numbers or skipped.frame not in task.frames.by_frame
    ]
    write_annotations(task.folder, annotations)
    shown = {number: shapes_on(annotations, number, task.frames.deleted_frames) for number in numbers}
    labels = {shape.label for shapes in shown.values() for shape in shapes if isinstance(shape, Area)}
    class_ids = extend_classes(task.pull.run, labels, _known_ids(task, shown))
    frames: dict[int, PulledFrame] = {}
    for number in sorted(numbers):
        entry = task.frames.by_frame[number]
        shapes = shown[number]
        record_id = task.record_ids[number]
        sent = task.pushed.get(entry.name)
        size = (entry.width, entry.height)
        try:
            mask = write_mask(task.folder, file_stem(record_id), shapes, size, class_ids)
        except MaskError as error:
            items.append(Item(record_id, "failed", f"frame {number} of job {job.id}: {error}"))
            continue
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
        )
    return frames, items


def _known_ids(task: TaskContext, shown: Mapping[int, Sequence[Shape]]) -> dict[str, set[int]]:
    named, entries = task.pull.named_values, task.pull.entries

    def pairs() -> Iterable[tuple[str, int]]:
        for frame, shapes in shown.items():
            entry = entries.get(task.record_ids.get(frame, ""))
            labels = {shape.label for shape in shapes}
            for label in labels:
                if normal_name(label) in named:
                    yield label, named[normal_name(label)]
                elif entry is not None and len(labels) == 1:
                    yield label, entry.class_id

    return ids_by_label(pairs())
