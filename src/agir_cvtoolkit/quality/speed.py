"""Proposals that were accepted faster than anybody can look at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

WITHIN_S = 5.0
"""Seconds for each picture below which nobody can have looked."""


@dataclass(frozen=True)
class JobPace:
    """What is known of how fast a job was done.

    Attributes:
        pictures: that carried proposals.
        proposals: that were pushed.
        untouched: that are there just as they were pushed.
        assigned: when the job was last given to somebody; None where the server does not say.
        changed: when the job was last changed.
        worked: seconds that people were at work on it, by the server's event log; None where it has none.
    """

    job_id: int
    task_id: int
    annotator: str
    pictures: int
    proposals: int
    untouched: int
    assigned: datetime | None
    changed: datetime
    worked: float | None = None


@dataclass(frozen=True)
class PaceAlarm:
    """A job whose proposals were hardly looked at.

    Attributes:
        seconds: of work; where nobody knows that, from the job's last assignment to its last change: all the time that
            there was, pauses included.
        worked: the seconds are those of work.
    """

    job_id: int
    task_id: int
    annotator: str
    pictures: int
    proposals: int
    untouched: int
    seconds: float
    worked: bool = False


def seconds_between(pace: JobPace) -> float | None:
    """Return the seconds of work, else those from assignment to last change.

    None where the server says neither, or the job was given away later.

    The latter is an upper bound of the time that was worked. Somebody who gets a job after it was changed tells nothing
    of who changed it.
    """
    if pace.worked is not None:
        return pace.worked
    if pace.assigned is None or pace.assigned > pace.changed:
        return None
    return (pace.changed - pace.assigned).total_seconds()


def alarm_of(pace: JobPace, within: float = WITHIN_S) -> PaceAlarm | None:
    """Return an alarm where untouched proposals were taken in less than so many seconds for each picture.

    Args:
        pace: of a completed job.
        within: seconds for each picture that carried proposals.
    """
    seconds = seconds_between(pace)
    if seconds is None or not pace.untouched or seconds >= within * pace.pictures:
        return None
    return PaceAlarm(
        pace.job_id,
        pace.task_id,
        pace.annotator,
        pace.pictures,
        pace.proposals,
        pace.untouched,
        seconds,
        pace.worked is not None,
    )
