"""The mirror of the server's jobs, the tasks of a run, and its cursor."""

from __future__ import annotations

from dataclasses import replace

from agir_cvtoolkit.ledger import Ledger, Pull, PullCursor, PulledTaskRow, SeenJob

SERVER = "http://cvat.test"


def seen(number: int, date: str = "2026-01-01T00:00:00Z", task: int = 1, project: int | None = 3) -> SeenJob:
    return SeenJob(SERVER, number, task, project, "annotation", "new", "annotation", 0, 4, date)


def test_the_mirror_holds_each_job_as_it_was_last_listed(ledger: Ledger) -> None:
    ledger.see_jobs([seen(1), seen(2), seen(3, task=2, project=None)])
    newer = replace(seen(2, "2026-01-01T00:00:00.25Z"), state="completed", assignee="ann")
    ledger.see_jobs([newer, seen(4, task=2)])
    assert ledger.seen_jobs(SERVER, project_id=3) == [seen(1), newer, seen(4, task=2)]
    assert ledger.seen_jobs(SERVER, task_ids=[2]) == [seen(3, task=2, project=None), seen(4, task=2)]
    assert ledger.seen_jobs(SERVER, task_ids=[]) == []
    assert ledger.seen_jobs("http://other", project_id=3) == []
    ledger.forget_jobs(SERVER, [1, 2, 77])
    assert [job.job_id for job in ledger.seen_jobs(SERVER, project_id=3)] == [4]


def test_an_older_listing_never_replaces_a_newer_one(ledger: Ledger) -> None:
    """Two runs list at once; fractions of seconds are compared as times, not as text."""
    ledger.see_jobs([seen(1, "2026-01-01T00:00:00.5Z")])
    ledger.see_jobs([seen(1, "2026-01-01T00:00:00Z")])
    assert ledger.seen_jobs(SERVER, project_id=3) == [seen(1, "2026-01-01T00:00:00.5Z")]


def test_more_jobs_than_a_database_takes_at_once(ledger: Ledger) -> None:
    many = [seen(number, task=number) for number in range(2500)]
    ledger.see_jobs(many)
    ledger.see_jobs([replace(job, updated_date="2026-02-01T00:00:00Z") for job in many])
    found = ledger.seen_jobs(SERVER, task_ids=range(2500))
    assert len(found) == 2500
    assert {job.updated_date for job in found} == {"2026-02-01T00:00:00Z"}
    ledger.forget_jobs(SERVER, [job.job_id for job in many])
    assert ledger.seen_jobs(SERVER, project_id=3) == []


def test_the_newest_reading_of_each_job_is_found(ledger: Ledger) -> None:
    def pull(job: int, date: str, run: str = "r") -> Pull:
        return Pull(SERVER, run, 1, job, date, "completed", "annotation", 2, 3, "x", "ann", "annotation")

    for one in (pull(1, "a"), pull(2, "a"), pull(1, "b"), pull(1, "c", "other")):
        ledger.record_pull(one, {})
    assert ledger.last_pulls(SERVER, "r") == {1: pull(1, "b"), 2: pull(2, "a")}
    assert ledger.last_pulls(SERVER, "r", [2, 9]) == {2: pull(2, "a")}
    assert ledger.last_pull(SERVER, "other", 1) == pull(1, "c", "other")
    assert ledger.last_pull(SERVER, "r", 9) is None


def test_cursor_and_tasks_belong_to_a_run(ledger: Ledger) -> None:
    assert ledger.pull_cursor(SERVER, "r", "project 3") is None
    for date in ("2026-01-01", "2026-01-02"):
        ledger.move_cursor(PullCursor(SERVER, "r", "project 3", date, 600))
    assert ledger.pull_cursor(SERVER, "r", "project 3") == PullCursor(
        SERVER, "r", "project 3", "2026-01-02", 600
    )
    assert ledger.pull_cursor(SERVER, "other", "project 3") is None
    task = PulledTaskRow(SERVER, "r", 5, "a", "2026-01-01")
    ledger.see_tasks([task, replace(task, task_id=6)])
    ledger.see_tasks([replace(task, name="b", frames_of="2026-01-01", frames_read="now")])
    assert ledger.tasks_pulled(SERVER, "r") == {
        5: replace(task, name="b", frames_of="2026-01-01", frames_read="now"),
        6: replace(task, task_id=6),
    }
    assert ledger.tasks_pulled(SERVER, "other") == {}
