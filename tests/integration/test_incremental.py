"""A pull reads what has changed and nothing else, and misses nothing wherever it is stopped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    JobInfo,
    PictureToSend,
    TaskRequest,
    create_task_with_pictures,
    find_jobs,
    list_jobs,
    write_new,
)
from agir_cvtoolkit.cvat.transport import Urllib3Transport
from agir_cvtoolkit.ledger import Ledger, PullCursor
from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.shapes import Mask
from agir_cvtoolkit.stages import _pull_listing

from .workspace import CREDENTIALS, Workspace

pytestmark = pytest.mark.integration
SIZE = (12, 8)


class Crowd:
    """Many small tasks of a project that this tool did not push."""

    def __init__(self, workspace: Workspace, session: CvatSession) -> None:
        self.workspace = workspace
        self.session = session
        self.project = workspace.project("weed")

    def task(self, name: str, jobs: int, *, done: bool = True) -> list[JobInfo]:
        """Make a task of one picture per job."""
        folder = self.workspace.root / "crowd"
        folder.mkdir(exist_ok=True)
        sent = []
        for number in range(jobs):
            path = folder / f"{name}_{number}.png"
            save_png(np.full((SIZE[1], SIZE[0], 3), (7 * number) % 255, dtype=np.uint8), path)
            sent.append(PictureToSend(path.name, path, *SIZE))
        made = create_task_with_pictures(self.session, TaskRequest(name, self.project, segment_size=1), sent)
        found = find_jobs(self.session, task_ids=[made.task_id], required_status=None)
        if done:
            for job in found:
                self.state(job.id, "completed")
        return list(found)

    def state(self, job_id: int, state: str) -> None:
        self.session.send_json("PATCH", f"/api/jobs/{job_id}", "finish a job", {"state": state})

    def draw(self, job: JobInfo, width: int, label: str = "weed") -> None:
        """Have a person draw a mask of that width into a job."""
        array = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
        array[:, :width] = True
        runs = encode(array)
        assert runs is not None
        mask = Mask(label=label, runs=runs.lengths, box=runs.box, source="manual")
        write_new(self.session, job, {job.start_frame: [mask]})

    def pull(self, *words: str, code: int | None = 0) -> dict[str, Any]:
        project = f"cvat_download.project_id={self.project}"
        outcome = self.workspace.cli("download-cvat", "--json", "-o", project, *words, code=code)
        return dict(json.loads(outcome.stdout)) if outcome.stdout.startswith("{") else {}

    def requests(self) -> Counter[str]:
        """Return how often each kind of request came since the list was started anew."""
        kinds: Counter[str] = Counter()
        for seen in self.workspace.sandbox.requests():
            path = seen.target.partition("?")[0].rstrip("/")
            parts = path.split("/")
            plain = "/".join("ID" if part.isdecimal() or "=" in part else part for part in parts)
            kinds[f"{seen.method} {plain}"] += 1
        self.workspace.sandbox.forget_requests()
        return kinds

    def files(self) -> dict[str, bytes]:
        """Return what was pulled, by path."""
        root = self.workspace.run / "cvat_downloads"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix in {".json", ".png"}
        }

    def cursor(self) -> PullCursor:
        with self.ledger() as ledger:
            run_id = self.workspace.run.relative_to(self.workspace.root / "outputs" / "runs").as_posix()
            scope = f"project {self.project} in personal workspace"
            found = ledger.pull_cursor(self.session.url, run_id, scope)
        assert found is not None
        return found

    def ledger(self) -> Ledger:
        return Ledger.open(None, self.workspace.root / "outputs" / "runs")


@pytest.fixture
def crowd(workspace: Workspace) -> Crowd:
    workspace.cli("query", "--db", "semif")
    session = CvatSession.open(Credentials(workspace.sandbox.url, *CREDENTIALS))
    return Crowd(workspace, session)


LOGIN = {"GET /api/server/about": 1, "POST /api/auth/login": 1, "GET /api/users/self": 1}
TARGET = {"GET /api/projects/ID": 1, "GET /api/labels": 1}
LOG = {"GET /api/server/plugins": 1, "GET /api/users/self": 2}
LISTS = {"GET /api/jobs": 1, "GET /api/tasks": 1, "GET /api/issues": 1}


@pytest.mark.parametrize(("tasks", "jobs"), [(1, 200), (20, 10)])
def test_of_200_jobs_of_which_3_changed_3_are_read(crowd: Crowd, tasks: int, jobs: int) -> None:
    made = [crowd.task(f"t{number:02}", jobs) for number in range(tasks)]
    assert crowd.pull()["jobs_read"] == 200
    crowd.requests()
    assert crowd.pull()["jobs_read"] == 0
    assert crowd.requests() == LOGIN | TARGET | LISTS
    changed = [made[0][3], made[-1][5], made[len(made) // 2][7]]
    for job in changed:
        crowd.draw(job, 3)
    crowd.requests()
    result = crowd.pull()
    assert (result["jobs"], result["jobs_read"], result["frames"], result["shapes"]) == (200, 3, 200, 3)
    of_tasks = {"GET /api/tasks/ID/data/meta": min(3, tasks)}
    asked = crowd.requests()
    # How long people worked is asked once for each task of the three jobs, in the background.
    logs = {"POST /api/events/export": min(3, tasks), "GET /api/events/download": min(3, tasks)}
    assert asked.pop("GET /api/requests/ID") >= min(3, tasks)
    read = {"GET /api/jobs/ID/annotations": 3}
    assert asked == LOGIN | TARGET | LISTS | LOG | of_tasks | read | logs


def test_a_large_scope_is_listed_since_the_cursor(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pull_listing, "PAGE_SIZE", 2)
    made = crowd.task("a", 3) + crowd.task("b", 3)
    monkeypatch.setattr("agir_cvtoolkit.cvat.listings.OVERLAP", timedelta(0))
    assert crowd.pull()["jobs_read"] == 6
    crowd.requests()
    crowd.draw(made[1], 2)
    listed = _listings(crowd, crowd.pull)
    assert [("filter" in target, "page_size=1&" in f"{target}&") for target in listed] == [
        (True, False),
        (False, True),
    ]
    assert crowd.pull()["jobs_read"] == 0
    # What is gone or new is told by the server's count of jobs.
    crowd.workspace.plain("DELETE", f"/api/tasks/{made[5].task_id}")
    more = crowd.task("c", 1)
    result = crowd.pull()
    assert (result["jobs"], result["jobs_read"]) == (4, 1)
    with crowd.ledger() as ledger:
        seen = ledger.seen_jobs(crowd.session.url, project_id=crowd.project)
    assert [job.job_id for job in seen] == sorted(job.id for job in [*made[:3], *more])


def _listings(crowd: Crowd, pull: Callable[[], Any]) -> list[str]:
    assert pull()["jobs_read"] == 1
    seen = crowd.workspace.sandbox.requests()
    return [request.target for request in seen if request.target.partition("?")[0] == "/api/jobs"]


@pytest.mark.parametrize("answer", ["ignored", "refused"])
def test_a_server_that_does_not_filter_is_understood(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(_pull_listing, "PAGE_SIZE", 2)
    made = crowd.task("a", 4)
    crowd.pull()
    crowd.draw(made[2], 4)
    if answer == "refused":
        crowd.workspace.sandbox.add_fault(Fault(r"/api/jobs\?.*filter=", status=400, times=0, body="json"))
    else:
        plain = Urllib3Transport.send

        def without_filter(self: Any, method: str, url: str, **rest: Any) -> Any:
            return plain(self, method, url.partition("&filter=")[0], **rest)

        # The rest of the query stands before the filter.
        monkeypatch.setattr(Urllib3Transport, "send", without_filter)
    result = crowd.pull()
    assert (result["jobs"], result["jobs_read"]) == (4, 1)


def test_dates_of_this_machine_do_not_matter(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is a date of the server, whatever the ledger's clock says."""
    monkeypatch.setattr(_pull_listing, "PAGE_SIZE", 2)
    monkeypatch.setattr("agir_cvtoolkit.ledger._pulls.now", lambda: "2099-01-01T00:00:00+00:00")
    made = crowd.task("a", 3)
    crowd.pull()
    newest = crowd.workspace.jobs(made[0].task_id)[-1]["updated_date"]
    assert (crowd.cursor().cursor, crowd.cursor().jobs) == (newest, 3)
    crowd.draw(made[0], 1)
    assert crowd.pull()["jobs_read"] == 1


def test_the_cursor_stays_below_what_could_not_be_read(crowd: Crowd) -> None:
    made = crowd.task("a", 2) + crowd.task("b", 2)
    bad = made[1]
    fault = Fault(rf"/api/jobs/{bad.id}/annotations", method="GET", status=404, times=0)
    crowd.workspace.sandbox.add_fault(fault)
    result = crowd.pull(code=1)
    assert (result["jobs"], result["jobs_read"], result["frames"]) == (3, 3, 3)
    assert [item["record_id"] for item in result["items"]] == [f"a, job {bad.id}"]
    dates = {job["id"]: job["updated_date"] for job in crowd.workspace.jobs(bad.task_id)}
    assert crowd.cursor().cursor == dates[bad.id]
    crowd.workspace.sandbox.faults.replace(())
    result = crowd.pull()
    assert (result["jobs"], result["jobs_read"], result["items"]) == (4, 1, [])


def test_a_job_that_fails_once_does_not_change_the_mask_values_of_the_others(crowd: Crowd) -> None:
    crowd.project = crowd.workspace.project("weed", "crop", "stone")
    first, second, third = crowd.task("a", 3)
    for job, label in ((first, "crop"), (second, "weed"), (third, "weed")):
        crowd.draw(job, 3, label)
    crowd.pull()
    undisturbed = crowd.files()
    crowd.workspace.cli("query", "--db", "semif")
    fault = Fault(rf"/api/jobs/{first.id}/annotations", method="GET", status=404, times=0)
    crowd.workspace.sandbox.add_fault(fault)
    assert crowd.pull(code=3)["error"]["kind"] == "NotFoundError"
    assert not list(crowd.workspace.run.rglob("*.png"))
    crowd.workspace.sandbox.faults.replace(())
    assert crowd.pull()["jobs_read"] == 3
    assert crowd.files() == undisturbed
    # Who fails again holds up nobody.
    crowd.workspace.cli("query", "--db", "semif")
    crowd.workspace.sandbox.add_fault(fault)
    crowd.pull(code=3)
    for _ in range(2):
        result = crowd.pull(code=1)
        assert (result["jobs"], result["frames"]) == (2, 2)
        assert [item["record_id"] for item in result["items"]] == [f"a, job {first.id}"]


class Stopped(BaseException):
    """The process ends here."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Make the process die at its n-th request, counted from the next one."""
    left: list[int | None] = [None]
    plain = Urllib3Transport.send

    def send(self: Any, *words: Any, **rest: Any) -> Any:
        if left[0] is not None:
            left[0] -= 1
            if left[0] <= 0:
                raise Stopped
        return plain(self, *words, **rest)

    monkeypatch.setattr(Urllib3Transport, "send", send)

    def at(number: int | None) -> None:
        left[0] = number

    yield at
    left[0] = None


def test_stopped_at_any_request_nothing_is_missed(
    crowd: Crowd, stop_at: Callable[[int | None], None]
) -> None:
    made = crowd.task("a", 3) + crowd.task("b", 2)
    for number, job in enumerate(made):
        crowd.draw(job, number + 1)
    number = 0
    while True:
        number += 1
        stop_at(number)
        try:
            result = crowd.pull(*("-o", "cvat_download.parallel_requests=2"))
        except Stopped:
            continue
        finally:
            stop_at(None)
        break
    # Of what was stored before, nothing is read a second time: the last call did not read all.
    assert number > 8
    assert result["jobs_read"] < 5
    assert (result["jobs"], result["shapes"]) == (5, 5)
    undisturbed = crowd.files()
    assert crowd.pull("-o", "cvat_download.overwrite_existing=true")["jobs_read"] == 5
    assert crowd.files() == undisturbed
    assert crowd.pull()["jobs_read"] == 0


@pytest.mark.parametrize("place", ["see_jobs", "see_tasks", "record_pull", "move_cursor"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_stopped_at_any_write_to_the_ledger_nothing_is_missed(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, place: str, when: str
) -> None:
    made = crowd.task("a", 2)
    crowd.draw(made[0], 2)
    plain = getattr(Ledger, place)

    def stop(*words: Any, **rest: Any) -> Any:
        if when == "after":
            plain(*words, **rest)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, place, stop)
        with pytest.raises(Stopped):
            crowd.pull()
    result = crowd.pull()
    assert (result["jobs"], result["shapes"], result["frames"]) == (2, 1, 2)
    assert crowd.pull()["jobs_read"] == 0


def test_a_task_that_vanishes_between_list_and_reading_is_listed(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd.task("a", 1)
    gone = crowd.task("b", 1)
    plain = list_jobs

    def then_deleted(*words: Any) -> Any:
        found = plain(*words)
        crowd.workspace.plain("DELETE", f"/api/tasks/{gone[0].task_id}")
        return found

    monkeypatch.setattr(_pull_listing, "list_jobs", then_deleted)
    result = crowd.pull()
    assert (result["tasks_found"], result["jobs"]) == (1, 1)


def test_a_renamed_task_keeps_its_folder(crowd: Crowd) -> None:
    made = crowd.task("a", 1)
    crowd.pull()
    path = f"/api/tasks/{made[0].task_id}"
    assert crowd.workspace.plain("PATCH", path, {"name": "renamed"}).status == 200
    crowd.requests()
    result = crowd.pull()
    assert (result["jobs_read"], result["tasks"][0]["name"]) == (0, "renamed")
    assert Path(result["tasks"][0]["directory"]).name == f"{made[0].task_id}_a"
    assert crowd.requests()["GET /api/tasks/ID/data/meta"] == 1


def test_both_status_and_stage_must_hold(crowd: Crowd) -> None:
    made = crowd.task("a", 4)
    for job, stage in zip(made, ["annotation", "validation", "acceptance", "acceptance"], strict=True):
        content = {"stage": stage, "state": "completed"}
        crowd.session.send_json("PATCH", f"/api/jobs/{job.id}", "set a stage", content)
    crowd.state(made[3].id, "in progress")
    result = crowd.pull("-o", "cvat_download.required_stage=acceptance")
    assert (result["jobs"], result["waiting"], result["frames"]) == (1, 3, 1)
    words = ["-o", "cvat_download.required_stage=acceptance", "-o", "cvat_download.required_status=null"]
    assert crowd.pull(*words)["jobs"] == 2
    assert crowd.pull()["jobs"] == 3
    crowd.workspace.cli("download-cvat", "-o", "cvat_download.required_stage=completed", code=2)
