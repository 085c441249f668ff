"""The event log of the sandbox: time is added up as CVAT does, and given as it gives it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .plain import Plain

pytestmark = pytest.mark.integration

NOW = datetime(2026, 5, 4, 8, tzinfo=UTC)
FIELDS = {
    *("scope", "obj_name", "obj_id", "obj_val", "source", "timestamp", "count", "duration", "payload"),
    *("project_id", "task_id", "job_id", "user_id", "user_name", "user_email", "org_id", "org_slug"),
}
"""Of an event, as the server answers; those that nobody named are empty."""
JOB = {"job_id": 7, "task_id": 2, "project_id": None}


def event(second: float, scope: str = "click:element", **more: object) -> dict[str, Any]:
    return {"scope": scope, "timestamp": (NOW + timedelta(seconds=second)).isoformat(), **JOB, **more}


def report(plain: Plain, *events: dict[str, Any], previous: dict[str, Any] | None = None) -> None:
    told = {"events": list(events), "previous_event": previous, "timestamp": NOW.isoformat()}
    got = plain("POST", "/api/events", told)
    assert got.status == 201
    for sent, answered in zip(events, got.json["events"], strict=True):
        assert answered == {"duration": 0, **dict.fromkeys(FIELDS - {"duration"}), **sent}


def log(plain: Plain, query: str) -> list[dict[str, str]]:
    got = plain("POST", f"/api/events/export?{query}")
    assert got.status == 202, got.data
    request = plain.wait(got.json["rq_id"])
    assert request["status"] == "finished", request
    return _rows(plain("GET", request["result_url"].removeprefix(plain.url)).data)


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def worked(rows: list[dict[str, str]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        if row["scope"] == "send:working_time":
            found[row["job_id"]] = found.get(row["job_id"], 0.0) + float(row["duration"]) / 1000
    return found


def test_time_counts_for_what_was_open_and_pauses_do_not(plain: Plain) -> None:
    other: dict[str, Any] = {"job_id": 8, "task_id": 2}
    report(
        plain,
        event(0, "load:job"),
        event(30),
        event(130),  # a pause: 100 s
        event(150, "change:frame", duration=5000),
        event(153),
        event(160, "load:job", **other),  # the way there counts for the job before
        event(170, **other),
    )
    report(plain, event(180, **other), previous=event(170, **other))
    assert worked(log(plain, "task_id=2")) == {"7": 30 + 20 + 5 + 5, "8": 20}
    assert worked(log(plain, "job_id=8")) == {"8": 20}
    assert log(plain, "task_id=3") == []
    first = log(plain, "task_id=2")[0]
    assert (first["user_name"], first["source"], first["scope"]) == ("admin", "client", "load:job")
    assert log(plain, "task_id=2&from=2200-01-01T00:00:00Z") == []


def test_a_page_with_a_wrong_clock_reports_what_is_now(plain: Plain) -> None:
    report(plain, event(-10), event(-4))
    at = datetime.fromisoformat(log(plain, "job_id=7")[0]["timestamp"])
    assert abs(datetime.now(UTC) - timedelta(seconds=10) - at) < timedelta(seconds=60)


def test_what_no_page_reports_is_refused(plain: Plain) -> None:
    told = {"events": [event(0, "send:working_time")], "timestamp": NOW.isoformat()}
    assert plain("POST", "/api/events", told).status == 400
    assert plain("POST", "/api/events", {"events": [{"scope": "save:job"}]}).status == 400


def test_a_server_without_the_database_says_so(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, event_log=False)) as sandbox:
        plain = Plain(sandbox.url)
        plain.log_in()
        assert plain("GET", "/api/server/plugins").json["ANALYTICS"] is False
        report(plain, event(0), event(5))
        got = plain("POST", "/api/events/export?task_id=2")
        assert plain.wait(got.json["rq_id"])["status"] == "failed"
        plain.close()


def test_before_2_32_the_log_is_asked_for_again_and_again(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, version="2.31")) as sandbox:
        plain = Plain(sandbox.url)
        plain.log_in()
        report(plain, event(0), event(5))
        assert plain("POST", "/api/events/export?task_id=2").status == 404
        query = f"task_id=2&query_id={plain('GET', '/api/events?task_id=2').json['query_id']}"
        while plain("GET", f"/api/events?{query}").status == 202:
            pass
        content = plain("GET", f"/api/events?{query}&action=download").data
        assert worked(_rows(content)) == {"7": 5}
        plain.close()
