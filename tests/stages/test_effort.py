"""Seconds for a picture, from the times at which jobs were saved."""

from __future__ import annotations

import pytest

from agir_cvtoolkit.ledger import FinishedJob
from agir_cvtoolkit.stages.effort import measured_effort


def _job(
    number: int, updated: str, left: str | None = None, person: str = "ana", frames: int = 10
) -> FinishedJob:
    day = "2026-05-04T"
    return FinishedJob(
        "r1", "s", number, frames, person, None if left is None else f"{day}{left}Z", f"{day}{updated}Z"
    )


def test_a_job_counts_from_the_persons_job_before_or_from_the_push() -> None:
    jobs = [
        _job(1, "09:05:00", "09:00:00"),
        _job(2, "09:15:00", "09:00:00"),
        _job(3, "09:02:00", "09:00:00", "chen"),
    ]
    found = measured_effort(jobs, 60, 600)
    assert found.by_person["ana"].seconds == pytest.approx((300 + 600) / 20)
    assert found.by_person["chen"].seconds == pytest.approx(12)
    assert found.pace.seconds == pytest.approx((300 + 600 + 120) / 30)
    assert found.hours == pytest.approx(1020 / 3600)
    assert found.pace.low is None  # three jobs are too few


def test_a_night_between_two_jobs_is_no_work() -> None:
    jobs = [_job(1, "09:05:00", "09:00:00"), _job(2, "20:00:00", "09:00:00")]
    found = measured_effort(jobs, 60, 600)
    assert found.pace.seconds == pytest.approx(30)
    assert (found.pace.jobs, found.pace.left_out) == (1, 1)
    # What was not timed counts at the pace of what was.
    assert found.hours == pytest.approx(2 * 300 / 3600)


def test_nothing_to_time_leaves_the_setting() -> None:
    found = measured_effort([_job(1, "09:05:00")], 42, 600)
    assert not found.pace.is_measured
    assert found.pace.seconds == 42
    assert found.by_person == {}
    assert measured_effort([], 42, 600).hours == 0


def test_many_jobs_give_an_interval_around_the_pace() -> None:
    jobs = [_job(n, f"09:{5 * n + n % 3:02}:00", "09:00:00") for n in range(1, 10)]
    pace = measured_effort(jobs, 60, 600).pace
    assert pace.low is not None
    assert pace.high is not None
    assert pace.low < pace.seconds < pace.high
