"""How long people take: seconds of work for each picture, measured from the times at which jobs were saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from agir_cvtoolkit.cvat import moment
from agir_cvtoolkit.ledger import FinishedJob, Ledger

from ._call import Call
from ._correction_figures import NOBODY

FEWEST_JOBS = 5
"""Jobs below which no interval is given: of so few it says nothing."""
_DRAWS = 2000
_SEED = 20260101


@dataclass(frozen=True)
class Pace:
    """Seconds of a person's work for one picture.

    Attributes:
        seconds: for one picture.
        low, high: its 95 % interval; None of too few jobs, and of the setting.
        jobs, pictures: that were timed.
        left_out: jobs that hold a pause, or of which no beginning is known.
        is_measured: from jobs; else it is the setting ``report.seconds_per_picture``.
    """

    seconds: float
    low: float | None
    high: float | None
    jobs: int
    pictures: int
    left_out: int
    is_measured: bool


@dataclass(frozen=True)
class Effort:
    """What people's work has cost.

    Attributes:
        pace: of everybody together.
        by_person: of each annotator who was timed.
        pictures_by_run: pictures that came back, by run.
        hours_by_run: person-hours by run: the measured time, and that of everybody's pace for the rest.
        by_job: seconds for each picture of a job, by run and job; jobs that could not be timed are not in it.
    """

    pace: Pace
    by_person: Mapping[str, Pace] = field(default_factory=dict, hash=False)
    pictures_by_run: Mapping[str, int] = field(default_factory=dict, hash=False)
    hours_by_run: Mapping[str, float] = field(default_factory=dict, hash=False)
    by_job: Mapping[tuple[str, int], float] = field(default_factory=dict, hash=False, repr=False)

    @property
    def hours(self) -> float:
        """Person-hours in all."""
        return sum(self.hours_by_run.values())


@dataclass(frozen=True)
class _Timed:
    job: FinishedJob
    seconds: float | None


def effort(call: Call | None = None) -> Effort:
    """Measure people's effort from the jobs that came back; see `measured_effort`."""
    settings = (call or Call()).settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        jobs = ledger.finished_jobs()
    return measured_effort(jobs, settings.report.seconds_per_picture, settings.report.longest_s)


def measured_effort(jobs: Iterable[FinishedJob], assumed: float, longest_s: float) -> Effort:
    """Measure what jobs cost.

    A job's work begins when its annotator's job before was saved last, or when its push had written it, whichever came
    later, and ends when it was saved last itself. Beyond `longest_s` for each of its pictures it holds a pause and is not
    timed. What is seen is therefore an upper bound of the work without pauses.

    Args:
        jobs: that were read when they were done.
        assumed: seconds for a picture, where nothing could be timed.
        longest_s: seconds for a picture beyond which a job holds a pause.
    """
    timed = _timed(jobs, longest_s)
    pace = _pace(timed, assumed)
    by_person: dict[str, list[_Timed]] = defaultdict(list)
    pictures: dict[str, int] = defaultdict(int)
    hours: dict[str, float] = defaultdict(float)
    for one in timed:
        by_person[one.job.annotator or NOBODY].append(one)
        pictures[one.job.run_id] += one.job.frames
        seconds = one.seconds if one.seconds is not None else pace.seconds * one.job.frames
        hours[one.job.run_id] += seconds / 3600
    paces = {name: _pace(own, assumed) for name, own in sorted(by_person.items())}
    by_job = {(one.job.run_id, one.job.job_id): one.seconds / one.job.frames for one in timed if one.seconds}
    known = {name: own for name, own in paces.items() if own.is_measured}
    return Effort(pace, known, dict(pictures), dict(hours), by_job)


def _timed(jobs: Iterable[FinishedJob], longest_s: float) -> list[_Timed]:
    before: dict[str, datetime] = {}
    found = []
    for job in sorted(jobs, key=lambda job: moment(job.updated)):
        if not job.frames:
            continue
        person, end = job.annotator or NOBODY, moment(job.updated)
        starts = [before[person]] if person in before else []
        starts += [moment(job.left)] if job.left else []
        before[person] = end
        seconds = (end - max(starts)).total_seconds() if starts else None
        if seconds is not None and not 0 < seconds <= longest_s * job.frames:
            seconds = None
        found.append(_Timed(job, seconds))
    return found


def _pace(timed: Sequence[_Timed], assumed: float) -> Pace:
    known = [(one.seconds, one.job.frames) for one in timed if one.seconds is not None]
    left_out = len(timed) - len(known)
    if not known:
        return Pace(assumed, None, None, 0, 0, left_out, is_measured=False)
    values = np.asarray(known, dtype=np.float64)
    total = values.sum(axis=0)
    low = high = None
    if len(values) >= FEWEST_JOBS:
        # Whole jobs are drawn: the pictures of one were done by one person on one day.
        weights = np.random.default_rng(_SEED).multinomial(
            len(values), np.full(len(values), 1 / len(values)), _DRAWS
        )
        sums = weights @ values
        low, high = (float(value) for value in np.percentile(sums[:, 0] / sums[:, 1], (2.5, 97.5)))
    return Pace(float(total[0] / total[1]), low, high, len(values), int(total[1]), left_out, is_measured=True)
