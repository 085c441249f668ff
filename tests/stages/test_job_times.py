"""What is believed of an event log, and what a log that fails in part leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from agir_cvtoolkit.cvat import CvatSession
from agir_cvtoolkit.cvat.event_log import Reader, WorkingTime
from agir_cvtoolkit.errors import (
    DeadlineError,
    NotFoundError,
    RefusedError,
    RemoteError,
    ServerUnreachableError,
)
from agir_cvtoolkit.stages import job_times
from agir_cvtoolkit.stages.job_times import LoggedJob, Worked, read_log

SESSION = cast("CvatSession", object())


class Log:
    """A server's log: working times, or an error, by what is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, tuple[WorkingTime, ...] | RemoteError] = {}
        self.reader = Reader("lead", sees_all=True)
        self.is_kept = True
        self.asked: list[str] = []
        monkeypatch.setattr(job_times, "keeps_log", lambda _: self.is_kept)
        monkeypatch.setattr(job_times, "reader_of_log", lambda _: self.reader)
        monkeypatch.setattr(job_times, "read_working_times", self._read)

    def _read(self, _: object, of: Mapping[str, int], deadline_s: float) -> Any:
        del deadline_s
        ((name, number),) = of.items()
        self.asked.append(f"{name} {number}")
        found = self.known.get(self.asked[-1], ())
        if isinstance(found, RemoteError):
            raise found
        return found


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(monkeypatch)


def test_all_who_worked_on_a_job_count_but_programs(log: Log) -> None:
    log.known["task_id 2"] = (
        WorkingTime(7, "ann", 12.0),
        WorkingTime(7, "bob", 1.0),
        WorkingTime(7, "oracle", 5.0, is_simulated=True),
        WorkingTime(8, "oracle", 0.0, is_simulated=True),
        WorkingTime(9, "ann", 0.0),
    )
    jobs = [LoggedJob(number, 2, "ann") for number in (7, 8, 9)]
    found = read_log(SESSION, jobs)
    assert found.by_job == {7: Worked(13.0), 8: Worked(0.0, is_simulated=True), 9: Worked(None)}


def test_an_account_that_may_see_only_itself_is_not_believed(log: Log) -> None:
    """Such an account is given its own events and not told that there are more."""
    log.reader = Reader("lead", sees_all=False)
    log.known["task_id 2"] = (
        WorkingTime(1, "lead", 3.0),  # looked in for a moment on what ann did
        WorkingTime(2, "lead", 30.0),  # is the lead's own
        WorkingTime(3, "lead", 3.0),
        WorkingTime(4, "lead", 3.0),
        WorkingTime(4, "ann", 40.0),  # a maintainer sees all
        WorkingTime(5, "lead", 3.0, is_simulated=True),
    )
    jobs = [
        LoggedJob(number, 2, who)
        for number, who in ((1, "ann"), (2, "lead"), (3, None), (4, "ann"), (5, "ann"))
    ]
    found = read_log(SESSION, jobs).by_job
    seconds = {number: one.seconds for number, one in found.items() if not one.is_simulated}
    assert seconds == {1: None, 2: 30.0, 3: None, 4: 43.0}
    assert found[5].is_simulated


def test_tasks_are_asked_of_one_by_one_many_by_their_projects(log: Log) -> None:
    read_log(SESSION, [LoggedJob(n, n // 2, None, 5) for n in range(20)])
    assert sorted(log.asked) == sorted(f"task_id {n}" for n in range(10))
    log.asked.clear()
    read_log(SESSION, [LoggedJob(n, n, None, 5 + n % 2) for n in range(30)] + [LoggedJob(99, 99, None)])
    assert sorted(log.asked) == ["project_id 5", "project_id 6", "task_id 99"]
    log.asked.clear()
    found = read_log(SESSION, [LoggedJob(n, n, None) for n in range(80)])
    assert (len(log.asked), set(found.by_job)) == (50, set(range(30, 80)))


def test_a_log_that_fails_for_one_task_gives_the_others(log: Log) -> None:
    log.known = {
        "task_id 1": (WorkingTime(1, "ann", 9.0),),
        "task_id 2": RefusedError("the database is away"),
        "task_id 3": (WorkingTime(3, "ann", 7.0),),
    }
    found = read_log(SESSION, [LoggedJob(n, n, "ann") for n in (1, 2, 3)])
    assert found.by_job == {1: Worked(9.0), 3: Worked(7.0)}
    assert found.has_log


@pytest.mark.parametrize(
    ("error", "asked"), [(DeadlineError("too slow"), 1), (RefusedError("the database is away"), 2)]
)
def test_a_log_that_is_away_is_not_asked_for_each_task(log: Log, error: RemoteError, asked: int) -> None:
    log.known = {f"task_id {n}": error for n in range(6)}
    found = read_log(SESSION, [LoggedJob(n, n, "ann") for n in range(6)])
    assert (found.by_job, found.has_log, len(log.asked)) == ({}, True, asked)


def test_a_server_without_a_log_and_one_that_does_not_give_it(log: Log) -> None:
    job = LoggedJob(1, 1, "ann")
    log.known["task_id 1"] = NotFoundError("no such page", status=404)
    assert not read_log(SESSION, [job]).has_log
    log.known["task_id 1"] = RefusedError("not for you", status=403)
    assert not read_log(SESSION, [job]).has_log
    log.asked.clear()
    log.is_kept = False
    assert not read_log(SESSION, [job]).has_log
    assert log.asked == []
    log.is_kept = True
    log.known["task_id 1"] = ServerUnreachableError("gone")
    with pytest.raises(ServerUnreachableError):
        read_log(SESSION, [job])
