"""Annotations of a job: read, written in bounded pieces, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.errors import ServerFaultError, ShapeError
from agir_cvtoolkit.shapes import Shape, Tag

from .doubled import remove_doubled
from .failures import UNCERTAIN
from .frames import FrameMap, read_frame_map
from .job_content import ContentReader, JobAnnotations, Key
from .job_patch import create_in_job
from .job_stream import job_items
from .jobs import JobInfo
from .labels import LabelSet, read_labels
from .session import CvatSession
from .shape_check import validate_tag
from .shapes_json import shape_to_json, tag_to_json, validate

BODY_BYTES = 2_000_000
"""Largest body of one write: servers take more, but proxies often not, and it is held in memory."""

ShapesByFrame = Mapping[int, Sequence[Shape | Tag]] | Iterable[tuple[int, Sequence[Shape | Tag]]]
"""Shapes and tags by number of the frame in the task; as pairs they may come one frame after the other."""


class ShapesLostError(ServerFaultError):
    """The server took everything, and not everything is there: it dropped some, or somebody deleted them."""


@dataclass(frozen=True)
class WrittenCount:
    """What a write left behind, as the server says.

    Attributes:
        asked: shapes and tags that were to be there.
        sent: of these, how many had to be sent; the rest was there already.
        found: shapes and tags that the job holds now.
        hashes: geometry hashes of what was asked, by frame.
    """

    job_id: int
    asked: int
    sent: int
    found: int
    hashes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def read_job(session: CvatSession, job_id: int, labels: LabelSet | None = None) -> JobAnnotations:
    """Read all annotations of a job as JSON, coordinates as the server keeps them.

    The answer is read item by item; of a mask no more than its run lengths is held.

    Args:
        session: where the job is.
        job_id: of the job.
        labels: of its task or project; read when not given.

    Raises:
        NotFoundError: there is no such job.
        ServerFaultError: the answer cannot be understood.
    """
    content = ContentReader(labels if labels is not None else read_labels(session, job_id=job_id))
    for name, item in job_items(session, job_id):
        content.add(name, item)
    return content.annotations(job_id)


@dataclass(frozen=True)
class _Held:
    """What a job holds, without its geometry: memory is that of one shape and of the hashes."""

    keys: Counter[Key]
    count: int


def _read_held(session: CvatSession, job_id: int, labels: LabelSet) -> _Held:
    keys: Counter[Key] = Counter()
    count = 0
    for name, item in job_items(session, job_id):
        content = ContentReader(labels)
        content.add(name, item)
        part = content.annotations(job_id)
        keys.update(part.keys())
        count += part.count + sum(map(len, part.tags.values()))
    return _Held(keys, count)


def write_new(
    session: CvatSession,
    job: JobInfo,
    shapes_by_frame: ShapesByFrame,
    *,
    labels: LabelSet | None = None,
    frame_map: FrameMap | None = None,
    body_bytes: int = BODY_BYTES,
) -> WrittenCount:
    """Bring shapes and tags into a job, once each, whatever happens on the way, and count what was stored.

    What the job holds already is not sent again, nothing in it is changed or removed, so a write that broke
    off is simply repeated. Everything is added by PATCH: a PUT that is repeated could wipe what somebody drew
    in between. Every answer must give an id to each shape that was sent. Where one does not, or was lost, the
    job is read before the rest is sent, and once more at the end; where a body was sent twice and the first
    one arrived after all, its second copy is taken out again.

    Args:
        session: where the job is.
        job: the job.
        shapes_by_frame: what is to be there; read once, so it may be made on the way.
        labels, frame_map: of the task; read when not given.
        body_bytes: largest body of one request.

    Raises:
        LabelError: a label that the task does not have.
        ShapeError: a shape that must not be sent, or a frame that the job does not have.
        ShapesLostError: the server said yes, but not everything is there.
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
        label = known.find(shape.label)
        tag = isinstance(shape, Tag)
        part = (
            tag_to_json(shape, frame, label)
            if isinstance(shape, Tag)
            else shape_to_json(shape, frame, label, session.capabilities)
        )
        if parts.keys and parts.size + len(part) > body_bytes:
            writer.write(parts)
            parts = _Parts()
        parts.add(key, part, tag=tag)
    if parts.keys:
        writer.write(parts)
    del parts
    asked = Counter((frame, found) for frame, listed in hashes.items() for found in listed)
    total = sum(asked.values())
    if writer.is_certain:
        return WrittenCount(job.id, total, writer.sent, before.count + writer.sent, _as_tuples(hashes))
    after = _read_held(session, job.id, known)
    late = (after.keys - (before.keys | asked)) & asked
    if late and writer.repeated:
        remove_doubled(session, job.id, known, late)
        after = _read_held(session, job.id, known)
    missing = asked - after.keys
    if missing:
        some = ", ".join(str(frame) for frame in sorted({frame for frame, _ in missing})[:10])
        raise ShapesLostError(
            f"Job {job.id} lacks {sum(missing.values())} of the {total} shapes sent (frames {some})",
            "The server accepted and dropped them, or somebody has deleted them: look at the job in CVAT.",
        )
    return WrittenCount(job.id, total, writer.sent, after.count, _as_tuples(hashes))


def _as_tuples(hashes: Mapping[int, Sequence[str]]) -> dict[int, tuple[str, ...]]:
    return {frame: tuple(found) for frame, found in hashes.items()}


class _Parts:
    """Serialized shapes and tags of one request, in one piece: many small ones would leave holes in memory."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._ends: list[tuple[bool, int]] = []
        self._shapes, self._tags = bytearray(), bytearray()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return len(self._shapes) + len(self._tags)

    def add(self, key: Key, part: bytes | memoryview, *, tag: bool) -> None:
        buffer = self._tags if tag else self._shapes
        buffer += part
        self.keys.append(key)
        self._ends.append((tag, len(buffer)))
        buffer += b","

    def body(self) -> bytes:
        tags, shapes = memoryview(self._tags)[:-1], memoryview(self._shapes)[:-1]
        return b"".join((b'{"version":0,"tags":[', tags, b'],"tracks":[],"shapes":[', shapes, b"]}"))

    def without(self, arrived: Counter[Key]) -> _Parts:
        left, missing, start = Counter(arrived), _Parts(), {True: 0, False: 0}
        for key, (tag, end) in zip(self.keys, self._ends, strict=True):
            if left[key] > 0:
                left[key] -= 1
            else:
                buffer = self._tags if tag else self._shapes
                missing.add(key, memoryview(buffer)[start[tag] : end], tag=tag)
            start[tag] = end + 1
        return missing


class _Writer:
    """Writes bodies, and knows whether the server has given an id to everything in them, in single requests."""

    def __init__(self, session: CvatSession, job: JobInfo, labels: LabelSet, before: _Held) -> None:
        self.is_certain = True
        self.sent = 0
        self.repeated = False
        self._session = session
        self._job = job
        self._labels = labels
        self._there = before.keys.copy()

    def write(self, parts: _Parts) -> None:
        subject = f"write annotations into job {self._job.id}"
        self.sent += len(parts.keys)
        whole = parts.keys
        attempt = 0
        while parts.keys:
            attempt += 1
            try:
                stored = create_in_job(self._session, self._job.id, parts.body(), subject)
                self.is_certain &= stored == len(parts.keys)
                break
            except UNCERTAIN:
                if attempt >= self._session.policy.attempts:
                    raise
                self.repeated = True
                self.is_certain = False
                self._session.clock.sleep(self._session.policy.wait(attempt))
                now = _read_held(self._session, self._job.id, self._labels).keys
                before = self._there + Counter(whole) - Counter(parts.keys)
                parts = parts.without(now - before)
        self._there.update(whole)


def _checked(
    pairs: Iterator[tuple[int, Sequence[Shape | Tag]]], job: JobInfo, labels: LabelSet, frames: FrameMap
) -> Iterator[tuple[int, Shape | Tag]]:
    for frame, shapes in pairs:
        entry = frames.by_frame.get(frame)
        if entry is None or frame not in job.frames:
            raise ShapeError(
                f"Frame {frame} is not in job {job.id} (frames {job.start_frame} to {job.stop_frame})",
                "Take frame numbers from the frame map.",
            )
        for shape in shapes:
            label = labels.find(shape.label)
            if isinstance(shape, Tag):
                yield frame, validate_tag(shape, frame, label)
            else:
                yield frame, validate(shape, frame, (entry.width, entry.height), label)


def _pairs(shapes_by_frame: ShapesByFrame) -> Iterator[tuple[int, Sequence[Shape | Tag]]]:
    if isinstance(shapes_by_frame, Mapping):
        yield from sorted(shapes_by_frame.items())
    else:
        yield from shapes_by_frame
