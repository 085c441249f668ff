"""How long jobs took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Measured = Literal["worked", "elapsed", "simulated"]


@dataclass(frozen=True)
class JobTime:
    """How long one job took.

    Attributes:
        annotator: who has the job.
        frames: pictures of the job.
        shapes: on them now.
        seconds: ``worked`` is the time that people were at work, by CVAT's event log, of all who worked on it;
            ``elapsed`` is what passed between the job's assignment, or the push where the server does not say when
            that was, and its last change, nights included; ``simulated`` is what a program took that says of itself that
            no person worked. None where nothing is known.
    """

    job_id: int
    task_id: int
    annotator: str
    frames: int
    shapes: int
    seconds: float | None
    measured: Measured | None

    @property
    def seconds_per_frame(self) -> float | None:
        """Seconds for each picture; None where they are not known."""
        return None if self.seconds is None or not self.frames else self.seconds / self.frames


@dataclass(frozen=True)
class TimeRow:
    """What an annotator's jobs took together; worked and elapsed time are never added.

    Attributes:
        median_per_frame: of the jobs' seconds for each picture; a job that lay over night does not move it.
    """

    annotator: str
    measured: Measured
    jobs: int
    frames: int
    shapes: int
    seconds: float
    median_per_frame: float


def time_rows(times: Iterable[JobTime]) -> tuple[TimeRow, ...]:
    """Add up jobs by annotator and by how their time is known."""
    by: defaultdict[tuple[str, Measured], list[JobTime]] = defaultdict(list)
    for one in times:
        if one.measured is not None and one.seconds_per_frame is not None:
            by[one.annotator, one.measured].append(one)
    return tuple(
        TimeRow(
            annotator,
            measured,
            len(jobs),
            sum(job.frames for job in jobs),
            sum(job.shapes for job in jobs),
            sum(job.seconds or 0.0 for job in jobs),
            _median([job.seconds_per_frame or 0.0 for job in jobs]),
        )
        for (annotator, measured), jobs in sorted(by.items())
    )


def _median(values: list[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
