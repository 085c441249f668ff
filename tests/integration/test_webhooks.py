"""Webhooks: added, tried, listed and removed; a job that is completed is pulled soon after."""

from __future__ import annotations

import json
import signal
import stat
import threading
import time
from collections.abc import Iterator

import pytest

from agir_cvtoolkit.errors import ConfigError, UsageError
from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.serving.receiver import Receiver, WakingClock
from agir_cvtoolkit.serving.watch import watch
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.download_cvat import DownloadResult, DownloadStep
from agir_cvtoolkit.stages.webhooks import receiver_secret, webhook_add, webhook_list, webhook_remove

from .workspace import Json, Workspace

pytestmark = pytest.mark.integration
NOWHERE = "http://127.0.0.1:9/"


def _jobs(workspace: Workspace) -> list[Json]:
    return list(workspace.plain("GET", "/api/jobs?page_size=500").json["results"])


@pytest.fixture
def project(empty: Workspace) -> int:
    found = empty.project("weed")
    empty.conf("cvat_download", {"project_id": found, "poll_s": 60})
    return found


@pytest.fixture
def receiver(project: int) -> Iterator[Receiver]:
    webhook_add(NOWHERE, ping=False)
    with Receiver("127.0.0.1", 0, receiver_secret(Call())) as running:
        yield running


def test_added_twice_there_is_one_and_the_secret_is_the_owners_alone(empty: Workspace, project: int) -> None:
    first = webhook_add(NOWHERE, ping=False)
    again = webhook_add(NOWHERE, ping=False)
    assert not first.changed
    assert again.changed
    assert [one.target_url for one in webhook_list().webhooks] == [NOWHERE]
    path = empty.root / ".keys" / "webhook_secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) == 64


def test_the_watch_may_be_started_before_there_is_a_webhook(empty: Workspace, project: int) -> None:
    secret = receiver_secret(Call())
    with Receiver("127.0.0.1", 0, secret) as started:
        assert webhook_add(started.url).reached
    assert receiver_secret(Call()) == secret


def test_a_receiver_with_the_secret_is_reached(receiver: Receiver) -> None:
    added = webhook_add(receiver.url)
    assert added.answered == 200
    assert added.reached
    assert added.exit_code == 0
    assert receiver.deliveries.counted.idle == 1


def test_another_secret_is_told_apart_from_no_answer(
    empty: Workspace, project: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver("127.0.0.1", 0, "another") as wrong:
        refused = empty.cli("webhook", "add", wrong.url, code=1)
    assert "another secret" in refused.stderr
    silent = empty.cli("webhook", "add", NOWHERE, code=1)
    assert "got no answer" in silent.stderr
    listed = empty.cli("webhook", "list")
    assert "last answered 502" in listed.stdout
    monkeypatch.setenv("CVAT_WEBHOOK_SECRET", "x" * 65)
    with pytest.raises(ConfigError, match="at most 64"):
        webhook_add(NOWHERE)


def test_removed_by_number_or_address(empty: Workspace, project: int) -> None:
    number = webhook_add(NOWHERE, ping=False).webhook
    webhook_add("http://127.0.0.1:10/", ping=False)
    assert number is not None
    assert "Would remove" in empty.cli("webhook", "remove", NOWHERE, "--dry-run").stdout
    webhook_remove(number.id)
    webhook_remove("http://127.0.0.1:10/")
    assert webhook_list().webhooks == ()
    missing = empty.cli("webhook", "remove", "77", code=3)
    assert "There are: none" in missing.stderr


def test_a_rehearsal_changes_nothing(empty: Workspace, project: int) -> None:
    assert webhook_add(NOWHERE, Call(dry_run=True)).webhook is None
    assert webhook_list().webhooks == ()
    assert not (empty.root / ".keys" / "webhook_secret").exists()


def test_without_project_or_address_it_says_what_to_give(empty: Workspace) -> None:
    with pytest.raises(UsageError, match="no project"):
        webhook_add(NOWHERE)
    with pytest.raises(UsageError, match="no address"):
        webhook_add("gpusrv:8086", project_id=1)


def test_a_completed_job_wakes_the_pull_which_logs_in_once(proposed: Workspace) -> None:
    job = _jobs(proposed)[0]
    project = job["project_id"]
    webhook_add(NOWHERE, project_id=project, ping=False)
    stop, found = threading.Event(), list[DownloadResult]()
    with Receiver("127.0.0.1", 0, receiver_secret(Call())) as receiver:
        webhook_add(receiver.url, project_id=project)
        look = DownloadStep(Call())

        def step() -> bool:
            found.append(look())
            if found[-1].jobs_read:
                stop.set()
            elif len(found) == 1:
                proposed.plain("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"})
            return False

        proposed.sandbox.forget_requests()
        started = time.monotonic()
        watch(step, 1200.0, stop, WakingClock(receiver.woken, pause_s=0.05))
    assert [one.jobs_read for one in found] == [0, 1]
    assert time.monotonic() - started < 600
    logins = [one for one in proposed.sandbox.requests() if "/api/auth/login" in one.target]
    assert len(logins) == 1


def test_the_command_stays_and_ends_by_a_signal(proposed: Workspace) -> None:
    project = _jobs(proposed)[0]["project_id"]
    webhook_add(NOWHERE, project_id=project, ping=False)
    staying = proposed.start("download-cvat", "--watch", "--listen", "127.0.0.1:0", "--json")
    try:
        assert staying.stderr is not None
        url = staying.stderr.readline().split()[-1]
        assert webhook_add(url, project_id=project).reached
        for job in _jobs(proposed):
            proposed.plain("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"})
        assert staying.stdout is not None
        told = json.loads(staying.stdout.readline())
        assert told["jobs_read"] >= 1
        staying.send_signal(signal.SIGTERM)
        assert staying.wait(300) == 0
    finally:
        staying.kill()
        staying.communicate()


def test_listening_belongs_to_a_watch(empty: Workspace) -> None:
    assert "--watch" in empty.cli("download-cvat", "--listen", "8086", code=2).stderr


def test_a_server_that_cannot_try_it_has_it_all_the_same(empty: Workspace, project: int) -> None:
    empty.sandbox.add_fault(Fault(r"/ping$", method="POST", status=500, times=0))
    added = empty.cli("webhook", "add", NOWHERE, code=1)
    assert "could not try it" in added.stderr
    assert len(webhook_list().webhooks) == 1
