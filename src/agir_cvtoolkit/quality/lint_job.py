"""All rules, over the annotations of one job as they come: memory is a hash of each, and what is wrong."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agir_cvtoolkit.raw_shapes import RawJob, RawShape

from .lint_finding import Finding, Repair, found_in
from .lint_geometry import check_geometry
from .lint_meaning import check_meaning


@dataclass(frozen=True, eq=False)
class _Seen:
    """A shape whose twin may come, without its geometry."""

    shape: RawShape
    values: str


class JobLint:
    """Checks one job.

    Args:
        job: what is known of it.
    """

    def __init__(self, job: RawJob) -> None:
        self._job = job
        self._first: dict[bytes, _Seen] = {}
        self._twins: dict[bytes, list[_Seen]] = {}
        self._deleted: Counter[int] = Counter()
        self._is_empty = True

    def add(self, shape: RawShape) -> Iterator[Finding]:
        """Check one annotation, and yield what is wrong with it alone."""
        self._is_empty = False
        job = self._job
        label = job.labels.get(shape.label_id) if shape.label_id is not None else None
        if shape.frame not in job.sizes or (job.frames is not None and shape.frame not in job.frames):
            next_step = (
                "CVAT shows it on no picture of the job: delete it by its id, or in the job of that picture."
            )
            yield found_in(shape, label, "wrong_frame", f"frame {shape.frame} is not in the job", next_step)
        elif shape.frame in job.deleted:
            self._deleted[shape.frame] += 1
        yield from check_meaning(shape, job.labels)
        yield from check_geometry(shape, label, job.sizes.get(shape.frame))
        if not shape.in_track:
            self._remember(shape)

    def end(self) -> Iterator[Finding]:
        """Yield what only shows when all annotations were seen: duplicates, deleted pictures, emptiness."""
        for key, twins in self._twins.items():
            yield from self._duplicates([self._first[key], *twins])
        for frame, count in sorted(self._deleted.items()):
            what = "annotation lies" if count == 1 else "annotations lie"
            problem = f"{count} {what} on it, and nobody sees them"
            yield Finding("deleted_frame", problem, "Restore the picture, or delete them.", frame)
        if self._is_empty and self._job.is_finished and not self._has_no_frames():
            next_step = "Open it: is there really nothing to see, or was it closed by mistake?"
            yield Finding("empty_job", "it is completed and has no annotation", next_step)

    def _has_no_frames(self) -> bool:
        frames = self._job.frames
        return frames is not None and all(frame in self._job.deleted for frame in frames)

    def _remember(self, shape: RawShape) -> None:
        key = _geometry(shape)
        values = repr(sorted(shape.values.items())) + "".join(
            repr(sorted(e.values.items())) for e in _ordered(shape)
        )
        light = RawShape(shape.id, shape.frame, shape.kind, shape.label_id, is_machine=shape.is_machine)
        seen = _Seen(light, hashlib.sha256(values.encode("utf-8", "surrogatepass")).hexdigest())
        if key in self._first:
            self._twins.setdefault(key, []).append(seen)
        else:
            self._first[key] = seen

    def _duplicates(self, seen: list[_Seen]) -> Iterator[Finding]:
        # A person's comes before a program's, then the older one.
        seen = sorted(seen, key=lambda one: (one.shape.is_machine, one.shape.id or 0))
        kept = seen[0]
        for twin in seen[1:]:
            shape, label = twin.shape, self._job.labels.get(twin.shape.label_id or -1)
            same_label = shape.label_id == kept.shape.label_id
            if shape.kind == "points" and not same_label:
                continue  # two joints may well meet in one pixel
            exact = same_label and twin.values == kept.values
            repair = Repair(f"deleted; {kept.shape.id} stays", drop=True) if exact else None
            problem = f"it is the same as {kept.shape.id}"
            if not same_label:
                other = self._job.labels.get(kept.shape.label_id or -1)
                problem = f"it lies exactly on {kept.shape.id}, which is '{other.name if other else '?'}'"
            elif not exact:
                problem += " but for its attributes"
            yield found_in(shape, label, "duplicate", problem, "Delete one of them.", repair)


def _geometry(shape: RawShape) -> bytes:
    """Return a hash of what is drawn where: coordinates to 1/100 pixel, of a tag its label alone."""
    digest = hashlib.sha256(f"{shape.frame}|{shape.kind}|{round(shape.rotation * 100) % 36000}|".encode())
    if shape.kind == "tag":
        digest.update(str(shape.label_id).encode())
    digest.update(_hundredths(shape))
    for element in _ordered(shape):
        digest.update(f"|{element.label_id}|{element.outside}|".encode())
        digest.update(b"" if element.outside else _hundredths(element))
    return digest.digest()[:16]


def _ordered(shape: RawShape) -> list[RawShape]:
    return sorted(shape.elements, key=lambda element: element.label_id or 0)


def _hundredths(shape: RawShape) -> bytes:
    numbers = np.asarray(shape.points, dtype=np.float64)
    return np.nan_to_num(np.rint(numbers * 100.0)).tobytes()
