"""What the ledger knows of the time that people worked on jobs."""

from __future__ import annotations

from dataclasses import replace

from agir_cvtoolkit.ledger import JobWork, Ledger, Pull, SeenJob

SERVER, DATE, LATER = "http://cvat.test", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def pull(job: int, date: str = DATE, run: str = "r") -> Pull:
    return Pull(SERVER, run, 4, job, date, "completed", "annotation", 2, 3, "x", "ann", "annotation")


def work(job: int, seconds: float | None = 30.0, date: str = DATE, *, is_final: bool = True) -> JobWork:
    return JobWork(SERVER, job, date, seconds, False, is_final, "2026-01-03")


def test_a_job_is_looked_up_until_the_log_has_said_all(ledger: Ledger) -> None:
    ledger.see_jobs([SeenJob(SERVER, 1, 4, 9, "annotation", "completed", "annotation", 0, 1, DATE)])
    for one in (pull(1), pull(2), pull(3)):
        ledger.record_pull(one, {})
    assert [(one.job_id, one.project_id) for one in ledger.jobs_to_look_up(SERVER)] == [
        (1, 9),
        (2, None),
        (3, None),
    ]
    ledger.record_work([work(1), work(2, is_final=False), replace(work(3), server="http://other")])
    assert [one.job_id for one in ledger.jobs_to_look_up(SERVER)] == [2, 3]
    assert ledger.jobs_to_look_up("http://other") == []
    ledger.record_work([work(2, 50.0)])
    assert ledger.work_on_jobs(SERVER, [1, 2, 3]) == {1: work(1), 2: work(2, 50.0)}


def test_what_was_changed_since_is_looked_up_again_and_by_its_dates_meanwhile(ledger: Ledger) -> None:
    ledger.record_pull(pull(1), {})
    ledger.record_work([work(1)])
    assert [(job.worked, job.is_simulated) for job in ledger.finished_jobs()] == [(30.0, False)]
    ledger.record_pull(pull(1, LATER, "s"), {})
    (waiting,) = ledger.jobs_to_look_up(SERVER)
    assert (waiting.updated_date, waiting.task_id, waiting.assignee) == (LATER, 4, "ann")
    (job,) = ledger.finished_jobs()
    assert (job.run_id, job.worked) == ("s", None)
    ledger.record_work([replace(work(1, 75.0, LATER), is_simulated=True)])
    assert [(job.worked, job.is_simulated) for job in ledger.finished_jobs()] == [(75.0, True)]


def test_a_page_is_told_of_new_times(ledger: Ledger) -> None:
    before = ledger.newest_change()
    ledger.record_work([work(n) for n in range(1200)])
    assert ledger.newest_change() != before
    assert len(ledger.work_on_jobs(SERVER, range(1200))) == 1200
    ledger.record_work([])
