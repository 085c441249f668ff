"""Proposals in a job: seen exactly, taken out by id, and new ones put in beside a person's work.

Nothing here writes by PUT, which would take a person's shapes along. A deletion names ids that were read just
before, so it can never reach a shape that somebody added; a creation adds and changes nothing.

What remains, since the server looks at the id alone and knows no versions: a person who *changes* one of the
proposals after the last look and saves before the deletion arrives loses that change. The gap is one request
long. It is noticed afterwards where the save left another trace (the state of the job, another shape); where
it left none, nothing on the server tells of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from agir_cvtoolkit.errors import ServerFaultError
from agir_cvtoolkit.shapes import Shape

from .capabilities import Capabilities
from .job_patch import CREATE, DELETE, patch_job
from .job_stream import job_items
from .jobs import JobInfo, job_from_json
from .labels import AttributeSpec, LabelSet, LabelSpec
from .session import CvatSession
from .shapes_json import shape_to_json

_EMPTY = b'{"version":0,"tags":[],"tracks":[],"shapes":['


@dataclass(frozen=True)
class HeldShape:
    """A shape of the server: its id, its frame in the task, and a hash of all that a person could change."""

    id: int
    frame: int
    signature: str


@dataclass(frozen=True)
class JobContent:
    """What a job holds, without geometry: memory is that of one shape and of the hashes.

    Attributes:
        others: tags, tracks, and shapes that cannot be understood.
    """

    shapes: tuple[HeldShape, ...]
    others: int = 0

    def signatures(self) -> Counter[str]:
        """Return how often each signature occurs."""
        return Counter(shape.signature for shape in self.shapes)


@dataclass(frozen=True)
class NewShape:
    """A shape to be created, as JSON, and the signature that it will have on the server."""

    body: bytes
    signature: str


def read_one_job(session: CvatSession, job_id: int) -> JobInfo:
    """Read a job's state, stage and date.

    Raises:
        NotFoundError: there is no such job.
    """
    subject = f"read job {job_id}"
    answer = session.get(f"/api/jobs/{job_id}", subject)
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
        raise ServerFaultError(f"The server's answer cannot be understood, could not {subject}", "Try again.")
    return job_from_json(answer)


def read_content(session: CvatSession, job_id: int, labels: LabelSet) -> JobContent:
    """Read what a job holds.

    Args:
        session: where the job is.
        job_id: of the job.
        labels: of its task or project; attributes at their default count as not set.

    Raises:
        NotFoundError: there is no such job.
        ServerFaultError: the answer cannot be understood.
    """
    shapes: list[HeldShape] = []
    others = 0
    for kind, item in job_items(session, job_id):
        signature = signature_of(item, labels) if kind == "shapes" else None
        if signature is None or not isinstance(item.get("id"), int):
            others += 1
        else:
            shapes.append(HeldShape(item["id"], int(item["frame"]), signature))
    return JobContent(tuple(shapes), others)


def as_new(shape: Shape, frame: int, labels: LabelSet, capabilities: Capabilities) -> NewShape:
    """Return a checked shape as it is sent, and as it will be recognised.

    Raises:
        LabelError: there is no such label.
    """
    body = shape_to_json(shape, frame, labels.find(shape.label), capabilities)
    signature = signature_of(orjson.loads(body), labels)
    if signature is None:
        raise ServerFaultError(f"A {shape.kind} on frame {frame} has no signature", "Report this.")
    return NewShape(body, signature)


def signature_of(item: Mapping[str, Any], labels: LabelSet) -> str | None:
    """Return a hash of everything in a shape that a person could change; None for what is not understood.

    Coordinates count to 1/100 pixel, the order of a skeleton's elements and the id do not count, nor does the
    confidence, which a person cannot set.

    Args:
        item: as the server writes or takes it.
        labels: for the defaults of attributes, which the server adds where none were sent.
    """
    label = labels.by_id(item.get("label_id"))
    try:
        sublabels = {sub.id: sub for sub in label.sublabels} if label is not None else {}
        elements = sorted(
            (_element(e, sublabels.get(e["label_id"])) for e in item.get("elements") or ()), key=repr
        )
        parts = (
            int(item["frame"]),
            str(item["type"]),
            int(item["label_id"]),
            int(item.get("group") or 0),
            str(item.get("source") or "manual"),
            bool(item.get("occluded")),
            bool(item.get("outside")),
            int(item.get("z_order") or 0),
            round(float(item.get("rotation") or 0.0) * 100),
            _attributes(item, label),
            elements,
        )
        digest = hashlib.sha256(repr(parts).encode())
        points = item.get("points")
        digest.update(_hundredths(() if points is None else points))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return digest.hexdigest()[:32]


def delete_by_id(session: CvatSession, job_id: int, shapes: Iterable[HeldShape], labels: LabelSet) -> None:
    """Take shapes out of a job, all in one request; it is not repeated by itself after a lost answer.

    Only the id counts for the server, for shapes of any kind; the rest of what it wants to see is a stand-in,
    so that the request stays small and goes as one.

    Raises:
        RemoteError: of its kinds; after those of `failures.UNCERTAIN` nobody knows whether it was done.
    """
    label = next(iter(labels), None)
    stand_in = {"type": "rectangle", "label_id": label.id if label else 0, "points": [0.0, 0.0, 1.0, 1.0]}
    items = [orjson.dumps({"id": shape.id, "frame": shape.frame, **stand_in}) for shape in shapes]
    if items:
        patch_job(session, job_id, DELETE, _body(items), f"take proposals out of job {job_id}")


def create_beside(session: CvatSession, job_id: int, shapes: Sequence[NewShape]) -> None:
    """Add shapes to a job in one request; it is not repeated by itself after a lost answer.

    Raises:
        RemoteError: of its kinds; after those of `failures.UNCERTAIN` nobody knows whether it was done.
    """
    if shapes:
        body = _body([shape.body for shape in shapes])
        patch_job(session, job_id, CREATE, body, f"put proposals into job {job_id}")


def in_bodies(shapes: Iterable[NewShape], body_bytes: int) -> Iterator[list[NewShape]]:
    """Cut shapes into lists that make one request each of at most so many bytes; one that is larger goes alone."""
    listed: list[NewShape] = []
    size = 0
    for shape in shapes:
        if listed and size + len(shape.body) > body_bytes:
            yield listed
            listed, size = [], 0
        listed.append(shape)
        size += len(shape.body) + 1
    if listed:
        yield listed


def _body(items: Sequence[bytes]) -> bytes:
    return _EMPTY + b",".join(items) + b"]}"


def _element(item: Mapping[str, Any], label: LabelSpec | None) -> tuple[object, ...]:
    return (
        int(item["label_id"]),
        bool(item.get("occluded")),
        bool(item.get("outside")),
        _attributes(item, label),
        _hundredths(item["points"]),
    )


def _attributes(item: Mapping[str, Any], label: LabelSpec | None) -> tuple[tuple[int, str], ...]:
    specs: dict[int, AttributeSpec] = {spec.id: spec for spec in label.attributes} if label else {}
    found = []
    for attribute in item.get("attributes") or ():
        number, value = int(attribute["spec_id"]), str(attribute.get("value", "")).strip()
        spec = specs.get(number)
        if spec is None or value != spec.default.strip():
            found.append((number, value))
    return tuple(sorted(found))


def _hundredths(points: Sequence[float]) -> bytes:
    numbers = np.asarray(points, dtype=np.float64)
    if numbers.ndim != 1 or not bool(np.all(np.isfinite(numbers))):
        raise ValueError("no list of numbers")
    return np.rint(numbers * 100.0).astype("<i8").tobytes()
