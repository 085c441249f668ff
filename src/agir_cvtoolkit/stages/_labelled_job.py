"""The file of a pulled job, looked through once and then read frame by frame."""

from __future__ import annotations

import gc
import mmap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.json_stream import texts_of
from agir_cvtoolkit.plain_shapes import tag_from_plain, track_from_plain
from agir_cvtoolkit.shapes import Tag, Track

from ._labelled_labels import RunLabels
from ._pulled import PulledFrame, PulledTask

_PIECE = 1 << 20
_AT_ONCE = 32 * 1024**2
"""Bytes of a job's file up to which it is read whole, in a tenth of the time."""
_TAGS = b'"tags":{'


@dataclass(frozen=True)
class Job:
    """One job's file, looked through once.

    Attributes:
        with_shapes: frames in the order of the file.
    """

    task: PulledTask
    path: Path
    frames: Mapping[int, PulledFrame]
    with_shapes: tuple[int, ...]
    tracks: tuple[Track, ...]
    tags: Mapping[int, tuple[Tag, ...]]


def looked_through(
    task: PulledTask, job_id: int, frames: Mapping[int, PulledFrame], labels: RunLabels
) -> Job:
    """Read a job's file through: which frames have shapes, and its tracks, tags and labels.

    Raises:
        DataError: it is damaged.
    """
    path = task.folder / "annotations" / f"job_{job_id}.json"
    with_shapes: list[int] = []
    tracks: list[Track] = []
    with readable(path):
        for key, listed in lists_of(path):
            if key == "tracks":
                tracks += map(track_from_plain, listed)
            elif key.isdecimal() and int(key) in frames:
                with_shapes.append(int(key))
                for shape in listed:
                    labels.add(shape)
        for track in tracks:
            labels.add({"label": track.label, "attributes": track.attributes} | _joints_of(track))
        tags = _tags(path)
        for tag in (tag for found in tags.values() for tag in found):
            labels.add({"label": tag.label, "attributes": tag.attributes, "kind": "tag"})
    return Job(task, path, frames, tuple(with_shapes), tuple(tracks), tags)


def lists_of(path: Path) -> Iterator[tuple[str, Iterable[Mapping[str, Any]]]]:
    """Yield the lists of a job's file, each with its key; what a large file holds is read one shape at a time."""
    if path.stat().st_size <= _AT_ONCE:
        with _not_collecting():
            content: Any = orjson.loads(path.read_bytes())
        yield from ((key, value) for key, value in content.items() if isinstance(value, list))
        return
    for key, texts in groupby(texts_of(_pieces(path)), key=itemgetter(0)):
        yield key, (orjson.loads(text) for _, text in texts)


def _joints_of(track: Track) -> dict[str, Any]:
    if not track.elements:
        return {"kind": track.keyframes[0].shape.kind if track.keyframes else "any"}
    return {"kind": "skeleton", "elements": [{"label": element.label} for element in track.elements]}


def _tags(path: Path) -> dict[int, tuple[Tag, ...]]:
    """Return the tags of a job; its file is read whole only where it has any."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # Within a text its quotes would have a backslash.
        if content.find(_TAGS) < 0:
            return {}
        found: Any = orjson.loads(content[:])
    return {int(frame): tuple(map(tag_from_plain, tags)) for frame, tags in found.get("tags", {}).items()}


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


@contextmanager
def _not_collecting() -> Iterator[None]:
    """Look for no garbage while a million small lists are made, none of which is any: it would take half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say which file is damaged."""
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "Remove its folder and run download-cvat again."
        ) from error
