"""How long people take: seconds of work for each picture, by CVAT's event log, else by the dates of jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.cvat import moment
from agir_cvtoolkit.ledger import FinishedJob, Ledger

from ._call import Call
from ._correction_figures import NOBODY

FEWEST_JOBS = 5
"""Jobs below which no interval is given: of so few it says nothing."""
FASTEST_S = 1.0
"""Seconds for a picture below which no person works."""
_DRAWS = 2000
_MANY = 2000
_SEED = 20260101

Timing = Literal["log", "dates", "simulated"]
"""How a job was timed: by the event log, by the dates at which jobs were saved, or no person worked on it."""


@dataclass(frozen=True)
class Pace:
    """Seconds of a person's work for one picture.

    Attributes:
        seconds: for one picture.
        low, high: its 95 % interval; None of too few jobs, and of the setting.
        jobs, pictures: that it is made of.
        left_out: jobs that hold a pause, or of which no beginning is known.
        is_measured: from jobs; else it is the setting ``report.seconds_per_picture``.
        by_log: of `jobs`, those that CVAT's event log has timed; the others are timed by their dates, which holds short
            pauses: an upper bound.
        set_aside: jobs timed by their dates that are not in it, as enough others were timed by the log.
        simulated: jobs of a simulated annotator, which are not in it.
    """

    seconds: float
    low: float | None
    high: float | None
    jobs: int
    pictures: int
    left_out: int
    is_measured: bool
    by_log: int = 0
    set_aside: int = 0
    simulated: int = 0

    @property
    def by_dates(self) -> int:
        """Of `jobs`, those that were timed by their dates."""
        return self.jobs - self.by_log

    @property
    def how(self) -> str:
        """How it is known, in words."""
        if not self.is_measured:
            why = "only a simulated annotator has worked" if self.simulated else "no job was timed yet"
            return f"assumed: {why}"
        if not self.by_dates:
            return "by CVAT's event log"
        if not self.by_log:
            return "by the dates of jobs, an upper bound"
        return f"{self.by_log} of {self.jobs} jobs by CVAT's event log, the others by their dates, an upper bound"


@dataclass(frozen=True)
class Effort:
    """What people's work has cost.

    Attributes:
        pace: of everybody together.
        by_person: of each annotator who was timed.
        pictures_by_run: pictures that came back, by run.
        hours_by_run: person-hours by run: the measured time, and that of everybody's pace for the rest; a simulated
            annotator's work costs none.
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
    timing: Timing


def effort(call: Call | None = None) -> Effort:
    """Measure people's effort from the jobs that came back; see `measured_effort`."""
    settings = (call or Call()).settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        jobs = ledger.finished_jobs()
    return measured_effort(jobs, settings.report.seconds_per_picture, settings.report.longest_s)


def measured_effort(jobs: Iterable[FinishedJob], assumed: float, longest_s: float) -> Effort:
    """Measure what jobs cost.

    Where the server's event log has told how long people were at work on a job, that is its time. Another job's work
    begins when its annotator's job before was saved last, or when its push had written it, whichever came later, and ends
    when it was saved last itself. Beyond `longest_s` for each of its pictures it holds a pause and is not timed. What
    dates show is therefore an upper bound of the work without pauses; from five jobs on that the log has timed, these
    alone make the pace.

    Jobs that no person did are left out of the pace: those of which the log says so, and those of an annotator who, by
    dates, took less than a second for a picture.

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
        hours[one.job.run_id] += _cost(one, pace) / 3600
    paces = {name: _pace(own, assumed) for name, own in sorted(by_person.items())}
    by_job = {
        (one.job.run_id, one.job.job_id): one.seconds / one.job.frames
        for one in timed
        if one.seconds and one.timing != "simulated"
    }
    known = {name: own for name, own in paces.items() if own.is_measured}
    return Effort(pace, known, dict(pictures), dict(hours), by_job)


def _cost(one: _Timed, pace: Pace) -> float:
    if one.timing == "simulated":
        return 0.0
    return one.seconds if one.seconds is not None else pace.seconds * one.job.frames


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
        if job.worked is not None:
            found.append(_Timed(job, job.worked, "simulated" if job.is_simulated else "log"))
            continue
        seconds = (end - max(starts)).total_seconds() if starts else None
        if seconds is not None and not 0 < seconds <= longest_s * job.frames:
            seconds = None
        found.append(_Timed(job, seconds, "dates"))
    return _without_machines(found)


def _without_machines(timed: Sequence[_Timed]) -> list[_Timed]:
    """Mark what is too fast for a person: of all jobs of one annotator, as those saved together share their time."""
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in timed:
        if one.timing == "dates" and one.seconds is not None:
            total = totals[one.job.annotator or NOBODY]
            total[0] += one.seconds
            total[1] += one.job.frames
    machines = {person for person, (seconds, pictures) in totals.items() if seconds < FASTEST_S * pictures}
    return [
        replace(one, timing="simulated")
        if one.timing == "dates" and (one.job.annotator or NOBODY) in machines
        else one
        for one in timed
    ]


def _pace(timed: Sequence[_Timed], assumed: float) -> Pace:
    people = [one for one in timed if one.timing != "simulated"]
    simulated = len(timed) - len(people)
    known = [one for one in people if one.seconds is not None]
    left_out = len(people) - len(known)
    if not known:
        return Pace(assumed, None, None, 0, 0, left_out, is_measured=False, simulated=simulated)
    logged = [one for one in known if one.timing == "log"]
    used = logged if len(logged) >= FEWEST_JOBS else known
    values = np.asarray([(one.seconds, one.job.frames) for one in used], dtype=np.float64)
    total = values.sum(axis=0)
    low, high = _interval(values) if len(values) >= FEWEST_JOBS else (None, None)
    return Pace(
        float(total[0] / total[1]),
        low,
        high,
        len(values),
        int(total[1]),
        left_out,
        is_measured=True,
        by_log=len(logged),
        set_aside=len(known) - len(used),
        simulated=simulated,
    )


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of seconds over pictures, by jobs: the pictures of one were done by one person on one day.

    By the bootstrap; of many jobs by the normal distribution, which it equals (variance of a ratio: Cochran, Sampling
    Techniques, 1977, section 6.4).

    Args:
        values: seconds and pictures of each job, of shape (jobs, 2).
    """
    count, (seconds, pictures) = len(values), values.sum(axis=0)
    if count > _MANY:
        rest = values[:, 0] - seconds / pictures * values[:, 1]
        away = 1.96 * float(np.sqrt(count / (count - 1) * (rest @ rest))) / pictures
        return float(seconds / pictures - away), float(seconds / pictures + away)
    weights = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), _DRAWS)
    sums = weights @ values
    low, high = np.percentile(sums[:, 0] / sums[:, 1], (2.5, 97.5))
    return float(low), float(high)
