"""What a job holds, read from the server's JSON without ever failing for one strange item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agir_cvtoolkit.shapes import Shape, Tag, Track

from .labels import LabelSet
from .shapes_json import shape_from_json, tag_from_json
from .tracks_json import track_from_json

Key = tuple[int, str]
"""A frame and the geometry hash of something on it."""

T = TypeVar("T", Shape, Tag)


@dataclass(frozen=True)
class SkippedShape:
    """A shape of the server that was left out, and why."""

    frame: int
    kind: str
    reason: str


@dataclass(frozen=True)
class JobAnnotations:
    """What a job holds.

    Attributes:
        shapes: by number of the frame in the task; a frame without shapes is not listed.
        tags: what a frame is labelled with as a whole.
        tracks: objects through several frames; they are in no other list. `interpolation.shape_on` tells where
            they are on a frame.
        skipped: what could not be taken: cuboids, unknown kinds and labels, damaged shapes.
    """

    job_id: int
    shapes: Mapping[int, tuple[Shape, ...]]
    tags: Mapping[int, tuple[Tag, ...]] = field(default_factory=dict)
    skipped: tuple[SkippedShape, ...] = ()
    tracks: tuple[Track, ...] = ()

    @property
    def count(self) -> int:
        """Number of shapes, without tags and tracks."""
        return sum(len(shapes) for shapes in self.shapes.values())

    def keys(self) -> Counter[Key]:
        """Return how often each (frame, geometry hash) occurs; a track counts at its first keyframe."""
        found: Counter[Key] = Counter()
        for frame, items in (*self.shapes.items(), *self.tags.items()):
            found.update((frame, item.geometry_hash()) for item in items)
        found.update((track.keyframes[0].frame, track.geometry_hash()) for track in self.tracks)
        return found


def annotations_from_json(job_id: int, answer: Mapping[str, Any], labels: LabelSet) -> JobAnnotations:
    """Read annotations as the server writes them; missing parts are empty, unknown ones are listed as skipped.

    Shapes of a frame come in the order of their ids.
    """
    content = ContentReader(labels)
    for name, items in answer.items():
        for item in _dicts(items):
            content.add(name, item)
    return content.annotations(job_id)


class ContentReader:
    """Gathers what a job holds, item by item.

    Args:
        labels: of its task or project.
    """

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._shapes: list[tuple[int, int, Shape]] = []
        self._tags: list[tuple[int, int, Tag]] = []
        self._tracks: list[Track] = []
        self._skipped: list[SkippedShape] = []

    def add(self, name: str, item: Mapping[str, Any]) -> None:
        """Add an item of the server's list `name`: ``shapes``, ``tags`` or ``tracks``."""
        number = item.get("id")
        order = number if isinstance(number, int) else 0
        if name == "shapes":
            read = shape_from_json(item, self._labels)
            if read.shape is None:
                self._skip(read.frame, read.kind, read.skipped or "")
            else:
                self._shapes.append((read.frame, order, read.shape))
        elif name == "tags":
            tag = tag_from_json(item, self._labels)
            if isinstance(tag, str):
                self._skip(item.get("frame"), "tag", tag)
            else:
                self._tags.append((tag[0], order, tag[1]))
        elif name == "tracks":
            track = track_from_json(item, self._labels)
            if isinstance(track, str):
                self._skip(item.get("frame"), "track", track)
            else:
                self._tracks.append(track)
        else:
            kind = name.removesuffix("s")
            self._skip(item.get("frame"), kind, f"annotations of type {kind} are not taken")

    def annotations(self, job_id: int) -> JobAnnotations:
        """Return all that was added."""
        return JobAnnotations(
            job_id,
            _by_frame(self._shapes),
            _by_frame(self._tags),
            tuple(self._skipped),
            tuple(self._tracks),
        )

    def _skip(self, frame: object, kind: str, reason: str) -> None:
        number = frame if isinstance(frame, int) and not isinstance(frame, bool) else -1
        self._skipped.append(SkippedShape(number, kind, reason))


def _by_frame(items: list[tuple[int, int, T]]) -> dict[int, tuple[T, ...]]:
    # The server lists the shapes of a frame in any order, another one after each change.
    found: dict[int, list[T]] = {}
    for frame, _, item in sorted(items, key=lambda entry: entry[:2]):
        found.setdefault(frame, []).append(item)
    return {frame: tuple(here) for frame, here in found.items()}


def _dicts(items: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())
