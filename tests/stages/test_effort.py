"""Seconds for a picture, by the event log and from the times at which jobs were saved."""

from __future__ import annotations

import pytest

from agir_cvtoolkit.ledger import FinishedJob
from agir_cvtoolkit.stages import effort
from agir_cvtoolkit.stages.effort import measured_effort


def _job(
    number: int,
    updated: str,
    left: str | None = None,
    person: str = "ana",
    frames: int = 10,
    worked: float | None = None,
    is_simulated: bool = False,
) -> FinishedJob:
    day = "2026-05-04T"
    return FinishedJob(
        "r1",
        "s",
        number,
        frames,
        person,
        None if left is None else f"{day}{left}Z",
        f"{day}{updated}Z",
        worked,
        is_simulated,
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


def test_what_the_event_log_says_goes_before_dates() -> None:
    jobs = [
        _job(1, "09:05:00", "09:00:00", worked=100),
        _job(2, "20:00:00", "09:00:00", worked=200),  # a night was between, but no work
        _job(3, "20:10:00", "09:00:00"),
    ]
    pace = measured_effort(jobs, 60, 600).pace
    assert pace.seconds == pytest.approx((100 + 200 + 600) / 30)
    assert (pace.jobs, pace.by_log, pace.by_dates, pace.left_out) == (3, 2, 1, 0)
    assert pace.how == "2 of 3 jobs by CVAT's event log, the others by their dates, an upper bound"
    assert measured_effort(jobs[:2], 60, 600).pace.how == "by CVAT's event log"
    dated = [_job(1, "09:05:00", "09:00:00")]
    assert measured_effort(dated, 60, 600).pace.how == "by the dates of jobs, an upper bound"


def test_enough_jobs_of_the_log_make_the_pace_alone() -> None:
    logged = [_job(n, f"09:{5 * n:02}:00", "09:00:00", worked=10.0 * n) for n in range(1, 6)]
    found = measured_effort([*logged, _job(6, "09:45:00", "09:00:00")], 60, 600)
    assert found.pace.seconds == pytest.approx(150 / 50)
    assert found.pace.low is not None
    assert (found.pace.by_log, found.pace.by_dates, found.pace.set_aside) == (5, 0, 1)
    # What only dates could time is work all the same.
    assert found.hours == pytest.approx((150 + 1200) / 3600)


def test_a_simulated_annotator_costs_nobody_time() -> None:
    oracle = _job(1, "09:05:00", "09:00:00", worked=40.0, is_simulated=True)
    alone = measured_effort([oracle], 60, 600)
    assert not alone.pace.is_measured
    assert (alone.pace.seconds, alone.pace.simulated, alone.hours, alone.by_job) == (60, 1, 0, {})
    assert alone.pace.how == "assumed: only a simulated annotator has worked"
    beside = measured_effort([oracle, _job(2, "09:08:20", "09:00:00", "chen")], 60, 600)
    assert beside.pace.seconds == pytest.approx(50)
    assert (beside.pace.jobs, beside.pace.simulated) == (1, 1)


def test_whoever_is_too_fast_for_a_person_is_none() -> None:
    jobs = [_job(n, f"09:00:0{n}", "09:00:00", "bot") for n in (1, 2)]
    found = measured_effort([*jobs, _job(3, "09:05:00", "09:00:00")], 60, 600)
    assert found.pace.seconds == pytest.approx(30)
    assert (found.pace.simulated, set(found.by_person)) == (2, {"ana"})
    # Jobs that a person saves together share their time.
    together = [_job(1, "09:05:00", "09:00:00"), _job(2, "09:05:01", "09:00:00")]
    assert measured_effort(together, 60, 600).pace.simulated == 0


def test_flicking_through_pictures_may_be_fast_by_the_log() -> None:
    pace = measured_effort([_job(1, "09:05:00", "09:00:00", worked=8)], 60, 600).pace
    assert (pace.seconds, pace.simulated) == (0.8, 0)


def test_the_interval_of_very_many_jobs_is_that_of_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [_job(n, "09:05:00", "09:00:00", frames=1 + n % 7, worked=20.0 + n % 31) for n in range(1, 900)]
    drawn = measured_effort(jobs, 60, 600).pace
    monkeypatch.setattr(effort, "_MANY", 100)
    pace = measured_effort(jobs, 60, 600).pace
    assert pace.low is not None
    assert pace.high is not None
    assert (pace.low, pace.high) == pytest.approx((drawn.low, drawn.high), rel=0.01)
    assert pace.high - pace.low > 0.02 * pace.seconds
