"""Which picture is which frame of a task: read back from the server, never assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agir_cvtoolkit.errors import FrameMapError, ServerFaultError

from .session import CvatSession

_MOST_NAMED = 5


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
    """

    task_id: int
    entries: tuple[FrameEntry, ...]
    deleted_frames: frozenset[int] = field(default_factory=frozenset)

    @cached_property
    def by_name(self) -> Mapping[str, FrameEntry]:
        """Frames by the name of their file."""
        return {entry.name: entry for entry in self.entries}

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
    """Read the frames of a task.

    Raises:
        FrameMapError: two frames have one name.
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
    doubled = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if doubled:
        raise FrameMapError(
            f"Task {task_id} has several frames of one name: {_some(doubled)}",
            "Rename the pictures, or leave the task out (cvat_download.task_ids).",
        )
    deleted = meta.get("deleted_frames") or ()
    return FrameMap(task_id, entries, frozenset(number for number in deleted if isinstance(number, int)))


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
    return FrameEntry(number, item["name"], int(item.get("width") or 0), int(item.get("height") or 0))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"
