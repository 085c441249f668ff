"""One job read from the server: the part of a pull that runs in threads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from agir_cvtoolkit.cvat import (
    ANNOTATION,
    GROUND_TRUTH,
    FrameMap,
    JobAnnotations,
    JobInfo,
    read_job,
    read_job_by_export,
    read_job_frames,
)
from agir_cvtoolkit.errors import DeadlineError, FrameMapError, NotFoundError, RefusedError

from ._pull_context import PullContext

EXPORT_FROM_PIXELS, EXPORT_FROM_ALL_PIXELS = 12_000_000, 500_000_000
"""Mean size of a job's pictures, or size of all of them, from which it is read by the "CVAT for images 1.1" export."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRead:
    """What a job holds.

    Attributes:
        numbers: of the frames that are stored, deleted ones left out.
    """

    annotations: JobAnnotations
    numbers: frozenset[int]


def read(context: PullContext, job: JobInfo, frames: FrameMap) -> JobRead:
    """Read a job; large masks come faster by the export, which carries the same bits.

    Raises:
        DataError: an export that cannot be trusted.
        RemoteError: of its kinds.
    """
    inside = {number for number in job.frames if number in frames.by_frame}
    if job.kind == ANNOTATION:
        inside -= frames.no_records
    elif job.kind == GROUND_TRUTH:
        included, deleted = read_job_frames(context.session, job.id)
        inside = (inside if included is None else inside & included) - deleted - frames.deleted_frames
    else:
        inside -= frames.deleted_frames
    return JobRead(_annotations(context, job, frames), frozenset(inside))


def _annotations(context: PullContext, job: JobInfo, frames: FrameMap) -> JobAnnotations:
    entries = [frames.by_frame[number] for number in job.frames if number in frames.by_frame]
    pixels = [entry.width * entry.height for entry in entries]
    if comes_by_export(pixels) and any(label.takes("mask") for label in context.labels.of(job)):
        try:
            return read_job_by_export(context.session, job, frames)
        except NotFoundError:
            raise
        except (RefusedError, FrameMapError, DeadlineError) as error:
            _log.warning("job %d is read as JSON, as its export fails: %s", job.id, error)
    return read_job(context.session, job.id, context.labels.of(job))


def comes_by_export(pixels: Sequence[int]) -> bool:
    """Whether masks on pictures of these sizes come faster by the export, which a server has to make first."""
    total = sum(pixels)
    return bool(pixels) and (total / len(pixels) >= EXPORT_FROM_PIXELS or total >= EXPORT_FROM_ALL_PIXELS)
