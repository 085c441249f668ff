"""Which picture is which frame of a task: read back from the server, never assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from agir_cvtoolkit.errors import FrameMapError, NotFoundError, RefusedError, ServerFaultError
from agir_cvtoolkit.picture_limit import allowed_pixels

from .session import CvatSession
from .whole_numbers import whole_number

_MOST_NAMED = 5
_LONGEST_SIDE = 1_000_000


@dataclass(frozen=True)
class FrameEntry:
    """One frame: its number in the task, the name of its file, and its size in pixels on the server."""

    frame: int
    name: str
    width: int
    height: int


@dataclass(frozen=True)
class FrameMap:
    """All frames of a task, in their order.

    Attributes:
        deleted_frames: numbers of frames that somebody has taken out of the task.
        honeypots: frames that repeat a validation frame under its name, to see how well people work; by
            number the frame that they repeat.
        validation_frames: the pool of frames that honeypots repeat; nobody's ordinary work.
    """

    task_id: int
    entries: tuple[FrameEntry, ...]
    deleted_frames: frozenset[int] = field(default_factory=frozenset)
    honeypots: Mapping[int, int] = field(default_factory=dict, hash=False)
    validation_frames: frozenset[int] = field(default_factory=frozenset)

    @cached_property
    def by_name(self) -> Mapping[str, FrameEntry]:
        """Frames by the name of their file, without honeypots."""
        return {entry.name: entry for entry in self.entries if entry.frame not in self.honeypots}

    @cached_property
    def no_records(self) -> frozenset[int]:
        """Numbers of frames whose annotations are not a record's: deleted, honeypots and their pool."""
        return self.deleted_frames | self.validation_frames | frozenset(self.honeypots)

    @cached_property
    def by_frame(self) -> Mapping[int, FrameEntry]:
        """Frames by their number."""
        return {entry.frame: entry for entry in self.entries}

    def frame_of(self, name: str) -> int:
        """Return the number of the frame of that name.

        Raises:
            FrameMapError: the task has none.
        """
        entry = self.by_name.get(name)
        if entry is None:
            raise FrameMapError(
                f"Picture '{name}' is not in task {self.task_id}", "It was not uploaded there."
            )
        return entry.frame


def read_frame_map(session: CvatSession, task_id: int) -> FrameMap:
    """Read the frames of a task; where names occur twice, which of them are honeypots.

    Raises:
        FrameMapError: two frames have one name, and neither is a honeypot.
        ServerFaultError: the task has no data yet, or the answer cannot be understood.
    """
    subject = f"read the frames of task {task_id}"
    meta: Any = session.get(f"/api/tasks/{task_id}/data/meta", subject)
    frames = meta.get("frames") if isinstance(meta, dict) else None
    if not isinstance(frames, list):
        raise ServerFaultError(
            f"Task {task_id} has no list of frames", "Open it in CVAT; its data may be missing."
        )
    entries = tuple(_entry(number, item) for number, item in enumerate(frames))
    found = FrameMap(task_id, entries, _numbers(meta.get("deleted_frames")))
    if len(found.by_name) < len(entries):
        found = _with_honeypots(session, found)
    _check_names(found)
    return found


def read_frames_of_jobs(session: CvatSession, task_id: int, jobs: Iterable[tuple[int, int]]) -> FrameMap:
    """Read the frames of some jobs of a task, for an account that may see these jobs and not the task.

    Args:
        session: where they are.
        task_id: of the task.
        jobs: id and first frame of each; no ground-truth jobs, which list the whole task under stand-in names.

    Raises:
        FrameMapError: two frames have one name.
        RemoteError: of its kinds.
    """
    entries: dict[int, FrameEntry] = {}
    deleted: set[int] = set()
    for job_id, first in jobs:
        subject = f"read the frames of job {job_id}"
        meta: Any = session.get(f"/api/jobs/{job_id}/data/meta", subject)
        listed = meta.get("frames") if isinstance(meta, dict) else None
        if not isinstance(listed, list):
            raise ServerFaultError(f"Job {job_id} has no list of frames", "Open it in CVAT.")
        for number, item in enumerate(listed, first):
            entries[number] = _entry(number, item)
        deleted |= _numbers(meta.get("deleted_frames"))
    found = FrameMap(task_id, tuple(entries[number] for number in sorted(entries)), frozenset(deleted))
    _check_names(found)
    return found


def read_job_frames(session: CvatSession, job_id: int) -> tuple[frozenset[int] | None, frozenset[int]]:
    """Read which frames of its task a ground-truth job holds, and which of them are deleted.

    Returns:
        Their numbers in the task, None for all from the job's first to its last; and the deleted ones.

    Raises:
        RemoteError: of its kinds.
    """
    meta: Any = session.get(f"/api/jobs/{job_id}/data/meta", f"read the frames of job {job_id}")
    if not isinstance(meta, dict):
        raise ServerFaultError(f"Job {job_id} has no list of frames", "Open it in CVAT.")
    included = meta.get("included_frames")
    return (
        _numbers(included) if isinstance(included, list) else None,
        _numbers(meta.get("deleted_frames")),
    )


def _check_names(frames: FrameMap) -> None:
    names = Counter(entry.name for entry in frames.entries if entry.frame not in frames.honeypots)
    doubled = [name for name, count in names.items() if count > 1]
    if doubled:
        raise FrameMapError(
            f"Task {frames.task_id} has several frames of one name: {_some(doubled)}",
            "Rename the pictures, or leave the task out (cvat_download.task_ids).",
        )


def _with_honeypots(session: CvatSession, frames: FrameMap) -> FrameMap:
    if not session.capabilities.validation_layout:
        return frames
    path = f"/api/tasks/{frames.task_id}/validation_layout"
    try:
        layout: Any = session.get(path, f"read the honeypots of task {frames.task_id}")
    except (NotFoundError, RefusedError):
        return frames
    layout = layout if isinstance(layout, dict) else {}
    if layout.get("mode") != "gt_pool":
        return frames
    numbers, real = layout.get("honeypot_frames"), layout.get("honeypot_real_frames")
    if not (isinstance(numbers, list) and isinstance(real, list) and len(numbers) == len(real)):
        return frames
    return replace(
        frames,
        honeypots={
            number: own
            for number, own in zip(numbers, real, strict=True)
            if isinstance(number, int) and isinstance(own, int)
        },
        validation_frames=_numbers(layout.get("validation_frames")),
    )


def _numbers(listed: object) -> frozenset[int]:
    return frozenset(n for n in listed if isinstance(n, int)) if isinstance(listed, list) else frozenset()


def check_frames(frames: FrameMap, expected: Mapping[str, tuple[int, int] | None]) -> None:
    """Check that a task's frames are exactly the pictures that were sent.

    Args:
        frames: as read back.
        expected: width and height by file name; None where the size is not known.

    Raises:
        FrameMapError: a name is missing or extra, or a picture has another size.
    """
    missing = [name for name in expected if name not in frames.by_name]
    extra = [name for name in frames.by_name if name not in expected]
    if missing or extra:
        parts = [f"missing {_some(missing)}"] if missing else []
        parts += [f"not sent {_some(extra)}"] if extra else []
        raise FrameMapError(
            f"Task {frames.task_id} does not hold the {len(expected)} pictures sent: {'; '.join(parts)}",
            "Run the stage again.",
        )
    for name, size in expected.items():
        entry = frames.by_name[name]
        if size is not None and size != (entry.width, entry.height):
            raise FrameMapError(
                f"Picture '{name}' is {size[0]}x{size[1]} here and {entry.width}x{entry.height} in task "
                f"{frames.task_id}",
                "Is it rotated by EXIF? Shapes would not fit; send it upright.",
            )


def _entry(number: int, item: object) -> FrameEntry:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ServerFaultError(
            f"Frame {number} has no name", "The task may hold a video; only pictures are read."
        )
    of = f"frame {number} ('{item['name'][:100]}')"
    width = whole_number(item, "width", of, most=_LONGEST_SIDE, missing=0)
    height = whole_number(item, "height", of, most=allowed_pixels() // max(1, width), missing=0)
    return FrameEntry(number, item["name"], width, height)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
