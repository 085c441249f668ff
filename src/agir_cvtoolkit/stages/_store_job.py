"""One finished job into a run: its shapes as they were read, and a mask for each of its frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import FrameMap, JobAnnotations, JobInfo, normal_name
from agir_cvtoolkit.errors import MaskError, NoRunError
from agir_cvtoolkit.ledger import PushedFrame
from agir_cvtoolkit.records import Item, ManifestEntry, file_stem
from agir_cvtoolkit.runs import Run

from ._classes import extend_classes, ids_by_label
from ._pulled import PulledFrame, write_mask, write_shapes


@dataclass(frozen=True, eq=False)
class TaskContext:
    """What is known of a task before its jobs are stored.

    Attributes:
        frames: as read from the server.
        pushed: frames that this tool sent, by file name; empty for a task of others.
        named: mask values by normal label name, as the label map or the model names them.
    """

    run: Run
    folder: Path
    frames: FrameMap
    pushed: Mapping[str, PushedFrame]
    named: Mapping[str, int]

    def record_ids(self) -> dict[int, str]:
        """Return the record of each frame; in a task of others the file's name, as short as it is unique."""
        stems = Counter(PurePosixPath(entry.name).stem for entry in self.frames.entries)
        found = {}
        for entry in self.frames.entries:
            stem = PurePosixPath(entry.name).stem
            own = stem if stems[stem] == 1 else entry.name
            found[entry.frame] = self.pushed[entry.name].record_id if entry.name in self.pushed else own
        return found


def store_job(
    task: TaskContext, job: JobInfo, annotations: JobAnnotations
) -> tuple[dict[int, PulledFrame], list[Item]]:
    """Write the shapes and masks of a job.

    Returns:
        The stored frames by number, and what could not be taken.

    Raises:
        DataError: there are more labels than mask values.
    """
    record_ids = task.record_ids()
    items = [
        Item(
            record_ids.get(skipped.frame, f"frame {skipped.frame}"),
            "skipped",
            f"{skipped.kind} on frame {skipped.frame} of job {job.id}: {skipped.reason}",
        )
        for skipped in annotations.skipped
    ]
    write_shapes(task.folder, job.id, annotations.shapes)
    class_ids = extend_classes(
        task.run, _area_labels(annotations), _known_ids(task.run, annotations, record_ids, task.named)
    )
    frames: dict[int, PulledFrame] = {}
    for entry in task.frames.entries:
        if entry.frame not in job.frames or entry.frame in task.frames.deleted_frames:
            continue
        shapes = annotations.shapes.get(entry.frame, ())
        record_id = record_ids[entry.frame]
        sent = task.pushed.get(entry.name)
        size = (entry.width, entry.height)
        try:
            mask = write_mask(task.folder, file_stem(record_id), shapes, size, class_ids)
        except MaskError as error:
            items.append(Item(record_id, "failed", f"frame {entry.frame} of job {job.id}: {error}"))
            continue
        frames[entry.frame] = PulledFrame(
            frame=entry.frame,
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


def named_values(run: Run, settings: Settings) -> dict[str, int]:
    """Return the mask values that the label map names, else the model that predicted, by normal name."""
    configured = settings.cvat_upload.label_map.get("_class")
    names = configured if isinstance(configured, dict) else run.read_metrics("infer-seg").get("classes", {})
    return {normal_name(str(name)): int(value) for value, name in names.items()}


def _area_labels(annotations: JobAnnotations) -> set[str]:
    return {
        s.label for shapes in annotations.shapes.values() for s in shapes if s.kind in {"mask", "polygon"}
    }


def _known_ids(
    run: Run, annotations: JobAnnotations, record_ids: Mapping[int, str], named: Mapping[str, int]
) -> dict[str, set[int]]:
    entries: dict[str, ManifestEntry] = {}
    with suppress(NoRunError):
        entries = {entry.record_id: entry for entry in run.read_manifest()}

    def pairs() -> Iterable[tuple[str, int]]:
        for frame, shapes in annotations.shapes.items():
            entry = entries.get(record_ids.get(frame, ""))
            labels = {shape.label for shape in shapes}
            for label in labels:
                if normal_name(label) in named:
                    yield label, named[normal_name(label)]
                elif entry is not None and len(labels) == 1:
                    yield label, entry.class_id

    return ids_by_label(pairs())
