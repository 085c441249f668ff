"""Real processes that are killed, interrupted, or started twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from .held import held
from .workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MOMENTS = {
    "task asked for": (r"/api/tasks$", "POST", 1),
    "pictures under way": (r"/api/tasks/\d+/data/", "POST", 2),
    "pictures sent": (r"/api/tasks/\d+/data/", "POST", 3),
    "annotations sent": (r"/api/jobs/\d+/annotations", "PATCH", 1),
}


def wait_for_fault(workspace: Workspace, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while (
        not workspace.sandbox.faults.describe()[0]["matched"] >= workspace.sandbox.faults.describe()[0]["nth"]
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the request does not come"
        time.sleep(0.01)


def whole(workspace: Workspace) -> None:
    (task,) = workspace.tasks()
    assert [frame["name"] for frame in workspace.frames(task["id"])] == [
        "img_0.png",
        "img_1.png",
        "img_2.png",
    ]
    assert sorted(shape["frame"] for shape in workspace.shapes(task["id"])) == [0, 1, 2]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_push_that_was_killed_is_made_whole_by_the_next(predicted: Workspace, moment: str) -> None:
    """The request under way when the process dies is still carried out afterwards.

    Every other moment is in the matrix of faults.
    """
    with held(predicted.sandbox, *MOMENTS[moment]) as request:
        process = predicted.start("upload-cvat")
        request.wait(process)
        process.kill()
        process.communicate()
        request.let_go()
    result = predicted.upload()
    assert result["uploaded_annotations"] == 3
    whole(predicted)
    predicted.sandbox.forget_requests()
    predicted.upload()
    assert predicted.writes() == []


def test_ctrl_c_removes_the_task_and_says_how_to_go_on(predicted: Workspace) -> None:
    with held(predicted.sandbox, *MOMENTS["pictures sent"]) as request:
        process = predicted.start("upload-cvat")
        request.wait(process)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=300)
        request.let_go()
    assert process.returncode == 130, errors
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert predicted.tasks() == []
    predicted.upload()
    whole(predicted)


def test_two_uploads_at_once(predicted: Workspace) -> None:
    """The second says that the first is at it; also from another run, where both push under one name."""
    first = predicted.run.name
    name = ("-o", "cvat_upload.task_name=Barley")
    with held(predicted.sandbox, r"/api/tasks/\d+/data/meta") as request:
        process = predicted.start("upload-cvat", *name)
        request.wait(process)
        outcome = predicted.cli("upload-cvat", *name, code=2)
        assert "already running" in outcome.stderr
        predicted.predicted()
        assert predicted.run.name != first
        outcome = predicted.cli("upload-cvat", *name, code=2)
        assert "nother upload-cvat is pushing 'Barley'" in outcome.stderr
        request.free.set()
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    (task,) = predicted.tasks()
    assert f"Task URL: {predicted.sandbox.url}/tasks/{task['id']}" in output
    whole(predicted)
    assert predicted.upload(*name)["already_there"] == 3
    whole(predicted)


def test_a_killed_download_goes_on(predicted: Workspace) -> None:
    task_id = predicted.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    predicted.complete(task_id)
    with held(predicted.sandbox, r"/api/jobs/\d+/annotations", nth=3) as request:
        process = predicted.start("download-cvat", "-o", "cvat_download.parallel_requests=1")
        request.wait(process)
        process.kill()
        process.communicate()
    predicted.cli("download-cvat")
    assert set(predicted.pulled(task_id)) == {"img_0", "img_1", "img_2"}
    # The second job's line of the frame map may wait for the third's: the map is written as often as it costs little.
    assert predicted.metrics()["download-cvat"]["jobs_read"] in {1, 2}
