"""Annotations of a job: read, written in bounded pieces, and counted after."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import ServerFaultError, ShapeError
from agir_cvtoolkit.shapes import Shape

from .failures import UNCERTAIN, is_page
from .frames import FrameMap, read_frame_map
from .jobs import JobInfo
from .json_stream import items_of
from .labels import LabelSet, read_labels
from .session import CvatSession, parsed
from .shapes_json import shape_from_json, shape_to_json, validate
from .transport import PIECE_BYTES, Response

BODY_BYTES = 2_000_000
"""Largest body of one write: servers take more, but proxies often not, and it is held in memory."""

ShapesByFrame = Mapping[int, Sequence[Shape]] | Iterable[tuple[int, Sequence[Shape]]]
"""Shapes by number of the frame in the task; as pairs they may come one frame after the other."""

_Key = tuple[int, str]
_HEAD = b'{"version":0,"tags":[],"tracks":[],"shapes":['


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
        tags: names of the labels that a frame has as a whole.
        skipped: what could not be taken: tracks, cuboids, unknown kinds.
    """

    job_id: int
    shapes: Mapping[int, tuple[Shape, ...]]
    tags: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    skipped: tuple[SkippedShape, ...] = ()

    @property
    def count(self) -> int:
        """Number of shapes."""
        return sum(len(shapes) for shapes in self.shapes.values())

    def keys(self) -> Counter[tuple[int, str]]:
        """Return how often each (frame, geometry hash) occurs."""
        return Counter(
            (frame, shape.geometry_hash()) for frame, shapes in self.shapes.items() for shape in shapes
        )


@dataclass(frozen=True)
class WrittenCount:
    """What a write left behind, as read back from the server.

    Attributes:
        asked: shapes that were to be there.
        sent: of these, how many had to be sent; the rest was there already.
        found: shapes that the job holds now.
        hashes: geometry hashes of what was asked, by frame.
    """

    job_id: int
    asked: int
    sent: int
    found: int
    hashes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def read_job(session: CvatSession, job_id: int, labels: LabelSet | None = None) -> JobAnnotations:
    """Read all annotations of a job as JSON.

    Args:
        session: where the job is.
        job_id: of the job.
        labels: of its task or project; read when not given.

    Raises:
        NotFoundError: there is no such job.
        ServerFaultError: the answer cannot be understood.
    """
    known = labels if labels is not None else read_labels(session, job_id=job_id)
    subject = f"read the annotations of job {job_id}"
    answer: Any = session.get(f"/api/jobs/{job_id}/annotations/", subject)
    if not isinstance(answer, dict):
        raise ServerFaultError(f"The server's answer cannot be understood, could not {subject}", "Try again.")
    return annotations_from_json(job_id, answer, known)


@dataclass(frozen=True)
class _Held:
    """What a job holds, without its geometry: memory is that of one shape and of the hashes."""

    keys: Counter[_Key]
    count: int
    empty: bool


def _read_held(session: CvatSession, job_id: int, labels: LabelSet) -> _Held:
    subject = f"read the annotations of job {job_id}"
    keys: Counter[_Key] = Counter()
    count, others = 0, False
    with tempfile.TemporaryDirectory(prefix="agir-") as folder:
        path = Path(folder) / "annotations.json"
        headers = {"Accept-Encoding": session.packing}
        response = session.request(
            "GET", f"/api/jobs/{job_id}/annotations/", subject, headers=headers, to_file=path
        )
        with path.open("rb") as stream:
            head = stream.read(PIECE_BYTES)
            start = Response(response.status, response.headers, head[:2000])
            try:
                for name, item in items_of(chain([head], iter(lambda: stream.read(PIECE_BYTES), b""))):
                    part = annotations_from_json(job_id, {name: [item]}, labels)
                    keys.update(part.keys())
                    count += part.count
                    others = others or bool(part.tags or part.skipped)
            except ValueError as error:
                if is_page(start):
                    parsed(start, subject)
                raise ServerFaultError(
                    f"The server's answer cannot be read, could not {subject}: {error}",
                    "Run the same command again.",
                    status=response.status,
                ) from error
    return _Held(keys, count, not (count or others))


def annotations_from_json(job_id: int, answer: Mapping[str, Any], labels: LabelSet) -> JobAnnotations:
    """Read annotations as the server writes them; missing parts are empty, unknown ones are ignored.

    Shapes of a frame come in the order of their ids.
    """
    shapes: dict[int, list[Shape]] = {}
    skipped: list[SkippedShape] = []
    # The server lists the shapes of a frame in any order, another one after each change.
    for item in sorted(_dicts(answer.get("shapes")), key=_by_id):
        read = shape_from_json(item, labels)
        if read.shape is not None:
            shapes.setdefault(read.frame, []).append(read.shape)
        else:
            skipped.append(SkippedShape(read.frame, read.kind, read.skipped or ""))
    tags: dict[int, list[str]] = {}
    for item in _dicts(answer.get("tags")):
        label = labels.by_id(item.get("label_id"))
        frame = item.get("frame")
        if label is None or not isinstance(frame, int):
            skipped.append(
                SkippedShape(frame if isinstance(frame, int) else -1, "tag", "its label is unknown")
            )
        else:
            tags.setdefault(frame, []).append(label.name)
    for item in _dicts(answer.get("tracks")):
        frame = item.get("frame")
        skipped.append(SkippedShape(frame if isinstance(frame, int) else -1, "track", "tracks are not taken"))
    return JobAnnotations(
        job_id,
        {frame: tuple(found) for frame, found in sorted(shapes.items())},
        {frame: tuple(names) for frame, names in sorted(tags.items())},
        tuple(skipped),
    )


def write_new(
    session: CvatSession,
    job: JobInfo,
    shapes_by_frame: ShapesByFrame,
    *,
    labels: LabelSet | None = None,
    frame_map: FrameMap | None = None,
    body_bytes: int = BODY_BYTES,
) -> WrittenCount:
    """Bring shapes into a job, once each, whatever happens on the way, and count what is there after.

    What the job holds already is not sent again, nothing in it is changed or removed, so a write that broke
    off is simply repeated. Into an empty job the first body goes by PUT, which may be repeated; the others by
    PATCH, and after a lost answer the job is read before the rest is sent.

    Args:
        session: where the job is.
        job: the job.
        shapes_by_frame: what is to be there; read once, so it may be made on the way.
        labels, frame_map: of the task; read when not given.
        body_bytes: largest body of one request.

    Raises:
        LabelError: a label that the task does not have.
        ShapeError: a shape that must not be sent, or a frame that the job does not have.
        ServerFaultError: the server said yes, but not everything is there.
        RemoteError: of its kinds.
    """
    known = labels if labels is not None else read_labels(session, task_id=job.task_id)
    frames = frame_map if frame_map is not None else read_frame_map(session, job.task_id)
    before = _read_held(session, job.id, known)
    left = before.keys.copy()
    hashes: dict[int, list[str]] = {}
    writer = _Writer(session, job, known, before)
    parts = _Parts()
    for frame, shape in _checked(_pairs(shapes_by_frame), job, known, frames):
        key = (frame, shape.geometry_hash())
        hashes.setdefault(frame, []).append(key[1])
        if left[key] > 0:
            left[key] -= 1
            continue
        part = shape_to_json(shape, frame, known.find(shape.label), session.capabilities)
        if parts.keys and len(parts.buffer) + len(part) > body_bytes:
            writer.write(parts)
            parts = _Parts()
        parts.add(key, part)
    if parts.keys:
        writer.write(parts)
    del parts
    asked = Counter((frame, found) for frame, listed in hashes.items() for found in listed)
    total = sum(asked.values())
    after = _read_held(session, job.id, known) if writer.sent else before
    missing = asked - after.keys
    if missing:
        some = ", ".join(str(frame) for frame in sorted({frame for frame, _ in missing})[:10])
        raise ServerFaultError(
            f"Job {job.id} lacks {sum(missing.values())} of the {total} shapes sent (frames {some})",
            "The server accepted and dropped them; run the stage again, it sends what is missing.",
        )
    return WrittenCount(
        job.id, total, writer.sent, after.count, {frame: tuple(found) for frame, found in hashes.items()}
    )


@dataclass
class _Parts:
    """Serialized shapes of one request, in one piece: many small ones would leave holes in memory."""

    keys: list[_Key] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    buffer: bytearray = field(default_factory=bytearray)

    def add(self, key: _Key, part: bytes | memoryview) -> None:
        self.buffer += part
        self.keys.append(key)
        self.ends.append(len(self.buffer))
        self.buffer += b","

    def body(self) -> bytes:
        return b"".join((_HEAD, memoryview(self.buffer)[:-1], b"]}"))

    def without(self, arrived: Counter[_Key]) -> _Parts:
        left, missing, start = Counter(arrived), _Parts(), 0
        for key, end in zip(self.keys, self.ends, strict=True):
            if left[key] > 0:
                left[key] -= 1
            else:
                missing.add(key, memoryview(self.buffer)[start:end])
            start = end + 1
        return missing


class _Writer:
    def __init__(self, session: CvatSession, job: JobInfo, labels: LabelSet, before: _Held) -> None:
        self.sent = 0
        self._session = session
        self._job = job
        self._labels = labels
        self._there = before.keys.copy()
        self._empty = before.empty

    def write(self, parts: _Parts) -> None:
        path = f"/api/jobs/{self._job.id}/annotations/"
        subject = f"write annotations into job {self._job.id}"
        self.sent += len(parts.keys)
        whole = parts.keys
        if self._empty:
            self._send("PUT", path, subject, parts.body())
            self._empty, parts = False, _Parts()
        attempt = 0
        while parts.keys:
            attempt += 1
            try:
                self._send("PATCH", path, subject, parts.body(), {"action": "create"})
                break
            except UNCERTAIN:
                if attempt >= self._session.policy.attempts:
                    raise
                self._session.clock.sleep(self._session.policy.wait(attempt))
                now = _read_held(self._session, self._job.id, self._labels).keys
                before = self._there + Counter(whole) - Counter(parts.keys)
                parts = parts.without(now - before)
        self._there.update(whole)

    def _send(
        self, method: str, path: str, subject: str, body: bytes, params: Mapping[str, object] | None = None
    ) -> None:
        response = self._session.request(
            method,
            path,
            subject,
            body=body,
            content_type="application/json",
            headers={"Accept-Encoding": self._session.packing},
            params=params,
            timeout=300.0,
            # The answer repeats every number sent; what the job holds is read back at the end anyway.
            to_file=Path(os.devnull),
        )
        if is_page(response):
            parsed(response, subject)


def _checked(
    pairs: Iterator[tuple[int, Sequence[Shape]]], job: JobInfo, labels: LabelSet, frames: FrameMap
) -> Iterator[tuple[int, Shape]]:
    for frame, shapes in pairs:
        entry = frames.by_frame.get(frame)
        if entry is None or frame not in job.frames:
            raise ShapeError(
                f"Frame {frame} is not in job {job.id} (frames {job.start_frame} to {job.stop_frame})",
                "Take frame numbers from the frame map.",
            )
        for shape in shapes:
            yield frame, validate(shape, frame, (entry.width, entry.height), labels.find(shape.label))


def _pairs(shapes_by_frame: ShapesByFrame) -> Iterator[tuple[int, Sequence[Shape]]]:
    if isinstance(shapes_by_frame, Mapping):
        yield from sorted(shapes_by_frame.items())
    else:
        yield from shapes_by_frame


def _by_id(item: Mapping[str, Any]) -> int:
    found = item.get("id")
    return found if isinstance(found, int) else 0


def _dicts(items: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())
