"""Lists of jobs and tasks: whole or since a moment, also while they change under one's hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import Scope, count_jobs, list_jobs, list_tasks, moment
from agir_cvtoolkit.cvat import listings as module
from agir_cvtoolkit.cvat.session import CvatSession
from agir_cvtoolkit.errors import NotFoundError, RefusedError, ServerFaultError

from .fakes import Answer, Call, FakeTransport, ok, opened, page

LIST = "GET /api/jobs"
OLD, NEW = "2026-01-01T00:00:00Z", "2026-06-01T12:00:00.5Z"


def job(number: int, date: str = NEW, task: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "task_id": task, "project_id": 3, "updated_date": date, "state": "completed"} | more


def listed(*items: dict[str, Any], count: int | None = None, more: bool = False) -> Answer:
    told = len(items) if count is None else count
    return ok({"count": told, "next": "x" if more else None, "results": list(items)})


def session_of(script: Any, path: str = LIST) -> tuple[CvatSession, Callable[[], list[Call]]]:
    transport = FakeTransport({path: script})
    return opened(transport), lambda: transport.of(path)


def rules(call: Call) -> list[Any]:
    return list(json.loads(call.params["filter"])["and"]) if "filter" in call.params else []


def test_a_whole_list_is_read_page_by_page_in_order() -> None:
    session, calls = session_of([listed(job(5), job(2), count=3, more=True), listed(job(9), count=3)])
    found = list_jobs(session, Scope(project_id=3))
    assert ([item.id for item in found.items], found.whole) == ([2, 5, 9], True)
    assert [call.params["page"] for call in calls()] == ["1", "2"]
    assert {call.params["sort"] for call in calls()} == {"id"}
    assert {call.params["project_id"] for call in calls()} == {"3"}
    assert [rules(call) for call in calls()] == [[], []]


def test_changes_are_asked_for_with_the_variable_first_and_an_overlap() -> None:
    session, calls = session_of(listed(job(5)))
    found = list_jobs(session, Scope(project_id=3), since=NEW)
    assert ([item.id for item in found.items], found.whole) == ([5], False)
    assert rules(calls()[0]) == [{">=": [{"var": "updated_date"}, "2026-06-01T11:45:00.500000Z"]}]


def test_tasks_are_asked_for_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDS_AT_ONCE", 2)
    session, calls = session_of([listed(job(1), job(2, task=8)), listed(job(3, task=9))])
    assert [item.id for item in list_jobs(session, Scope(task_ids=(1, 9, 5))).items] == [1, 3]
    assert [rules(call) for call in calls()] == [
        [{"in": [{"var": "task_id"}, [1, 5]]}],
        [{"in": [{"var": "task_id"}, [9]]}],
    ]


def test_a_list_with_older_items_was_not_filtered_and_is_whole() -> None:
    session, _ = session_of(listed(job(5), job(6, OLD)))
    found = list_jobs(session, Scope(project_id=3), since=NEW)
    assert ([item.id for item in found.items], found.whole) == ([5, 6], True)


@pytest.mark.parametrize("status", [400, 500])
def test_a_server_that_refuses_the_filter_lists_all(status: int) -> None:
    def answer(call: Call) -> Answer:
        return page(status) if "filter" in call.params else listed(job(5), job(6, OLD))

    session, _ = session_of(answer)
    found = list_jobs(session, Scope(project_id=3), since=NEW)
    assert ([item.id for item in found.items], found.whole) == ([5, 6], True)
    found = list_jobs(session, Scope(task_ids=(1, 2)), since=NEW)
    assert ([item.id for item in found.items], found.whole) == ([5, 6], True)


@pytest.mark.parametrize(("status", "error"), [(403, RefusedError), (404, NotFoundError)])
def test_other_refusals_are_errors(status: int, error: type[Exception]) -> None:
    session, _ = session_of(ok({"detail": "no"}, status))
    with pytest.raises(error):
        list_jobs(session, Scope(project_id=3), since=NEW)


def test_an_item_that_slipped_through_is_found_by_reading_again() -> None:
    """Job 1 is deleted after the first page was read, so that job 3 moves to it and is on no page."""
    session, calls = session_of(
        [
            listed(job(1), job(2), count=4, more=True),
            listed(job(4), count=3 + 1),
            listed(job(2), job(3), count=3, more=True),
            listed(job(4), count=3),
        ]
    )
    assert [item.id for item in list_jobs(session, Scope(project_id=3)).items] == [2, 3, 4]
    assert len(calls()) == 4


def test_a_list_that_never_holds_still_keeps_what_was_seen() -> None:
    session, calls = session_of(listed(job(1), count=9))
    assert [item.id for item in list_jobs(session, Scope(project_id=3)).items] == [1]
    assert len(calls()) == 3


def test_a_page_that_is_gone_ends_the_list() -> None:
    session, _ = session_of([listed(job(1), count=1, more=True), page(404)])
    assert [item.id for item in list_jobs(session, Scope(project_id=3)).items] == [1]


@pytest.mark.parametrize("answer", [ok([]), ok("x"), ok(None)])
def test_an_answer_that_is_no_list_is_an_error(answer: Answer) -> None:
    session, _ = session_of(answer)
    with pytest.raises(ServerFaultError, match="list jobs"):
        list_jobs(session, Scope(project_id=3))


def test_jobs_are_counted_with_one_small_page_per_hundred_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDS_AT_ONCE", 2)
    session, calls = session_of([listed(job(1), count=7), listed(job(2), count=2)])
    assert count_jobs(session, Scope(task_ids=(1, 2, 3))) == 9
    assert [call.params["page_size"] for call in calls()] == ["1", "1"]
    session, _ = session_of(ok({"results": []}))
    assert count_jobs(session, Scope(project_id=3)) is None


def test_tasks_that_were_not_asked_for_are_left_out() -> None:
    items = [{"id": 1, "name": "a", "project_id": 3, "updated_date": NEW}, {"id": 2}, {"name": "no id"}, 5]
    session, calls = session_of(listed(*items, count=2), "GET /api/tasks")  # type: ignore[arg-type]
    found = list_tasks(session, Scope(task_ids=(1,)))
    assert [(task.id, task.name, task.updated_date) for task in found.items] == [(1, "a", NEW)]
    assert rules(calls()[0]) == [{"in": [{"var": "id"}, [1]]}]


@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_dates_are_compared_as_times(one: Any, other: Any) -> None:
    assert (moment(one.isoformat()) < moment(other.isoformat())) == (one < other)


@pytest.mark.parametrize("text", ["", "never", "2026-13-01"])
def test_what_is_no_date_is_the_oldest(text: str) -> None:
    assert moment(text) < moment("0002-01-01T00:00:00Z")


def test_dates_with_and_without_fractions_are_in_order() -> None:
    assert moment("2026-01-01T00:00:00Z") < moment("2026-01-01T00:00:00.1Z")
