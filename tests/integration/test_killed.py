"""Real processes that are killed, interrupted, or started twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from agir_cvtoolkit.sandbox import Fault

from .workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.slow]

LATE = 0.5
MOMENTS = {
    "task asked for": Fault(r"/api/tasks$", "delay", method="POST", delay=LATE),
    "pictures under way": Fault(r"/api/tasks/\d+/data/", "delay", method="POST", nth=2, delay=LATE),
    "pictures sent": Fault(r"/api/tasks/\d+/data/", "delay", method="POST", nth=3, delay=LATE),
    "annotations sent": Fault(r"/api/jobs/\d+/annotations", "delay", method="PATCH", delay=LATE),
}


def wait_for_fault(workspace: Workspace, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
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
    """The request under way when the process dies is still carried out, half a second later.

    Every other moment is in the matrix of faults.
    """
    predicted.sandbox.add_fault(MOMENTS[moment])
    process = predicted.start("upload-cvat")
    wait_for_fault(predicted, process)
    process.kill()
    process.communicate()
    time.sleep(LATE + 0.2)
    predicted.sandbox.faults.replace(())
    result = predicted.upload()
    assert result["uploaded_annotations"] == 3
    whole(predicted)
    predicted.sandbox.forget_requests()
    predicted.upload()
    assert predicted.writes() == []


def test_ctrl_c_removes_the_task_and_says_how_to_go_on(predicted: Workspace) -> None:
    predicted.sandbox.add_fault(MOMENTS["pictures sent"])
    process = predicted.start("upload-cvat")
    wait_for_fault(predicted, process)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert predicted.tasks() == []
    predicted.sandbox.faults.replace(())
    predicted.upload()
    whole(predicted)


def test_two_uploads_at_once(predicted: Workspace) -> None:
    """The second says that the first is at it; also from another run, where both push under one name."""
    slow = Fault(r"/api/tasks/\d+/data/meta", "delay", delay=4.0)
    predicted.sandbox.add_fault(slow)
    first = predicted.run.name
    name = ("-o", "cvat_upload.task_name=Barley")
    process = predicted.start("upload-cvat", *name)
    wait_for_fault(predicted, process)
    outcome = predicted.cli("upload-cvat", *name, code=2)
    assert "already running" in outcome.stderr
    predicted.predicted()
    assert predicted.run.name != first
    outcome = predicted.cli("upload-cvat", *name, code=2)
    assert "nother upload-cvat is pushing 'Barley'" in outcome.stderr
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    (task,) = predicted.tasks()
    assert f"Task URL: {predicted.sandbox.url}/tasks/{task['id']}" in output
    whole(predicted)
    assert predicted.upload(*name)["already_there"] == 3
    whole(predicted)


def test_a_killed_download_goes_on(predicted: Workspace) -> None:
    task_id = predicted.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    predicted.complete(task_id)
    predicted.sandbox.add_fault(Fault(r"/api/jobs/\d+/annotations", "delay", nth=3, delay=LATE))
    process = predicted.start("download-cvat", "-o", "cvat_download.parallel_requests=1")
    wait_for_fault(predicted, process)
    process.kill()
    process.communicate()
    predicted.sandbox.faults.replace(())
    predicted.cli("download-cvat")
    assert set(predicted.pulled(task_id)) == {"img_0", "img_1", "img_2"}
    # The second job's line of the frame map may wait for the third's: the map is written as often as it costs little.
    assert predicted.metrics()["download-cvat"]["jobs_read"] in {1, 2}
