"""How long people worked, from CVAT's event log to the ledger, the plan and the report."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agir_cvtoolkit.ledger import FinishedJob, Ledger
from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions
from agir_cvtoolkit.sandbox.oracle import correct_task
from agir_cvtoolkit.stages import _job_work
from tests.ports import free_port
from tests.sandbox.plain import Plain

from .workspace import CREDENTIALS, Json, Workspace

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log did not have is asked for again at once."""
    monkeypatch.setattr(_job_work, "_AGAIN", timedelta(0))


def pushed(workspace: Workspace, *words: str) -> list[Json]:
    """Push the three pictures in tasks of one picture; return their jobs."""
    workspace.upload("-o", "cvat_upload.images_per_task=1", *words)
    tasks = sorted(int(task["id"]) for task in workspace.tasks())
    return [job for task_id in tasks for job in workspace.jobs(task_id)]


def work(workspace: Workspace, job: Json, seconds: float) -> None:
    """Have a page report that somebody was at work on a job for so long, until now, and complete the job."""
    now = datetime.now(UTC)
    where = {"job_id": job["id"], "task_id": job["task_id"], "project_id": job["project_id"]}
    events = []
    for before in (seconds, 0):
        at = (now - timedelta(seconds=before)).isoformat()
        events.append({"scope": "click:element", "timestamp": at, **where})
    got = workspace.plain("POST", "/api/events", {"events": events, "timestamp": now.isoformat()})
    assert got.status == 201, got.data
    workspace.set_job(job["id"], state="in progress")
    workspace.set_job(job["id"], state="completed")


def known(workspace: Workspace) -> dict[int, FinishedJob]:
    with Ledger.open_to_read(None, workspace.root / "outputs" / "runs") as ledger:
        return {job.job_id: job for job in ledger.finished_jobs()}


def seconds_of(workspace: Workspace) -> list[float | None]:
    return [job.worked for _, job in sorted(known(workspace).items())]


def logs_read(workspace: Workspace) -> int:
    found = sum(seen.target.startswith("/api/events/export") for seen in workspace.sandbox.requests())
    workspace.sandbox.forget_requests()
    return found


def test_what_the_log_says_is_kept_with_the_jobs_and_planned_by(predicted: Workspace) -> None:
    jobs = pushed(predicted)
    for job, seconds in zip(jobs, (40, 50, 60), strict=True):
        work(predicted, job, seconds)
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == pytest.approx([40, 50, 60], abs=0.01)
    plan = predicted.cli("plan", "--hours", "1").stdout
    assert "72 pictures" in plan
    assert "50.0 s a picture, measured on 3 pictures by CVAT's event log" in plan
    assert "50.0 s a picture (by CVAT's event log)" in predicted.cli("status").stdout
    chosen = json.loads(predicted.cli("select", "--hours", "0.02", "--dry-run", "--json", code=None).stdout)
    assert (chosen["seconds"], chosen["timing"]) == (pytest.approx(50, abs=0.01), "by CVAT's event log")
    predicted.cli("report", "--out", "report.html")
    page = Path("report.html").read_text(encoding="utf-8")
    assert "3 jobs with 3 pictures, by CVAT's event log." in html.unescape(page)
    assert "Effort by class" in page


def test_a_job_that_was_worked_on_again_is_read_anew(predicted: Workspace) -> None:
    first, *_ = pushed(predicted)
    work(predicted, first, 40)
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == pytest.approx([40], abs=0.01)
    work(predicted, first, 25)
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == pytest.approx([65], abs=0.01)


def test_what_the_log_has_said_is_not_asked_again(
    predicted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_job_work, "LAG", timedelta(0))
    first, second, _ = pushed(predicted)
    work(predicted, first, 40)
    predicted.cli("download-cvat")
    assert logs_read(predicted) == 1
    predicted.cli("download-cvat")
    assert logs_read(predicted) == 0
    work(predicted, second, 30)
    predicted.cli("download-cvat")
    assert logs_read(predicted) == 1


def test_what_is_reported_late_is_found_by_a_later_call(predicted: Workspace) -> None:
    first, *_ = pushed(predicted)
    predicted.set_job(first["id"], state="completed")
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == [None]
    date = predicted.jobs(first["task_id"])[0]["updated_date"]
    now = datetime.now(UTC)
    where = {"job_id": first["id"], "task_id": first["task_id"]}
    events = [
        {"scope": "click:element", "timestamp": (now - timedelta(seconds=s)).isoformat(), **where}
        for s in (20, 0)
    ]
    predicted.plain("POST", "/api/events", {"events": events, "timestamp": now.isoformat()})
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == pytest.approx([20], abs=0.01)
    assert predicted.jobs(first["task_id"])[0]["updated_date"] == date


def test_a_part_of_the_log_that_is_missing_is_fetched_later(predicted: Workspace) -> None:
    jobs = pushed(predicted)
    for job, seconds in zip(jobs, (40, 50, 60), strict=True):
        work(predicted, job, seconds)
    predicted.sandbox.faults.replace((Fault("/api/events/download", body="html", status=200, nth=2),))
    assert predicted.cli("download-cvat").code == 0
    assert sorted(seconds_of(predicted), key=str) == [
        pytest.approx(40, abs=0.01),
        pytest.approx(60, abs=0.01),
        None,
    ]
    assert "measured on 2 pictures by CVAT's event log" in predicted.cli("plan", "--hours", "1").stdout
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == pytest.approx([40, 50, 60], abs=0.01)


def test_a_server_whose_log_fails_is_no_hindrance(predicted: Workspace) -> None:
    jobs = pushed(predicted)
    for job in jobs:
        work(predicted, job, 30)
    predicted.sandbox.faults.replace((Fault("/api/events", status=500, times=0),))
    result = json.loads(predicted.cli("download-cvat", "--json").stdout)
    assert (result["jobs_read"], seconds_of(predicted)) == (3, [None, None, None])
    predicted.sandbox.faults.replace((Fault("/api/server/plugins|/api/users/self", "cut_before", times=0),))
    work(predicted, jobs[0], 30)
    assert predicted.cli("download-cvat", code=None).code in {0, 3}


def test_a_simulated_annotator_feeds_no_plan(predicted: Workspace) -> None:
    jobs = pushed(predicted)
    work(predicted, jobs[0], 45)
    for task in predicted.tasks():
        correct_task(
            predicted.sandbox.url,
            CREDENTIALS,
            int(task["id"]),
            lambda name: predicted.plots[Path(name).stem].truth,
            only_open=True,
        )
    predicted.cli("download-cvat")
    assert [job.is_simulated for _, job in sorted(known(predicted).items())] == [False, True, True]
    plan = predicted.cli("plan", "--hours", "1").stdout
    assert "45.0 s a picture, measured on 1 picture by CVAT's event log" in plan
    assert "2 jobs of a simulated annotator left out" in plan


# --- servers with and without a log ---------------------------------------------------------------------


@pytest.fixture
def switched(predicted: Workspace, tmp_path: Path) -> Iterator[Switched]:
    found = Switched(predicted, tmp_path / "box", free_port())
    yield found
    found.stop()


class Switched:
    """A sandbox that is started anew at the same address, with or without a log."""

    def __init__(self, workspace: Workspace, root: Path, port: int) -> None:
        self._workspace, self._root, self._port = workspace, root, port
        self._running: Sandbox | None = None

    def start(self, *, event_log: bool) -> None:
        self.stop()
        self._running = Sandbox(SandboxOptions(self._root, port=self._port, event_log=event_log))
        self._running.start()
        self._workspace.sandbox = self._running
        self._workspace.keys()
        self._workspace.plain = Plain(self._running.url)
        self._workspace.plain.log_in()

    def stop(self) -> None:
        if self._running is not None:
            self._workspace.plain.close()
            self._running.stop()
            self._running = None


def test_without_a_log_dates_are_what_is_known(predicted: Workspace, switched: Switched) -> None:
    switched.start(event_log=False)
    for job in pushed(predicted):
        work(predicted, job, 30)
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == [None, None, None]
    predicted.cli("download-cvat")
    asked = [seen.target for seen in predicted.sandbox.requests() if "plugins" in seen.target]
    assert len(asked) == 1  # the second call has nothing to ask
    assert not logs_read(predicted)


def test_a_log_that_is_switched_off_half_way(predicted: Workspace, switched: Switched) -> None:
    switched.start(event_log=True)
    first, second, third = pushed(predicted)
    work(predicted, first, 40)
    work(predicted, second, 50)
    predicted.cli("download-cvat")
    assert seconds_of(predicted) == pytest.approx([40, 50], abs=0.01)
    switched.start(event_log=False)
    work(predicted, second, 30)
    work(predicted, third, 30)
    predicted.cli("download-cvat")
    # Of what was changed since, the log would know only a part: dates know all of it.
    assert seconds_of(predicted) == [pytest.approx(40, abs=0.01), None, None]
