"""Ctrl-C while the server is silent: a real process ends within seconds, and the next call makes all whole."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions
from tests.sandbox.generations import VERSION

from .test_killed import wait_for_fault, whole
from .workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SILENT = 600.0
SECONDS = 30.0
"""A request that is waited for to its end takes twice as long."""


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A server of this module's own: what it was silent to it carries out later, when others test."""
    root = tmp_path_factory.mktemp("sandbox")
    with Sandbox(SandboxOptions(root, version=VERSION, anonymous_limit=1_000_000)) as running:
        yield running


def silent(path: str, method: str, nth: int = 1) -> Fault:
    return Fault(path, "delay", method=method, nth=nth, times=0, delay=SILENT)


def interrupted(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C once, and return what the process said until its end."""
    pressed = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert time.monotonic() - pressed < SECONDS, errors
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert len([line for line in errors.splitlines() if "Start the same command again" in line]) == 1
    return errors


@pytest.mark.parametrize(
    "fault",
    [
        silent(r"/api/tasks/\d+/data/", "POST", nth=2),
        silent(r"/api/requests/", "GET"),
        silent(r"/api/tasks/\d+/data/meta", "GET"),
        silent(r"/api/jobs/\d+/annotations", "PATCH"),
    ],
    ids=["pictures", "preparation", "frames", "shapes"],
)
@pytest.mark.parametrize("dead", [False, True])
def test_an_upload_ends_at_once(predicted: Workspace, fault: Fault, dead: bool) -> None:
    """With one silent kind of request, and with a server that answers nothing at all from then on."""
    predicted.sandbox.add_fault(fault)
    process = predicted.start("upload-cvat")
    wait_for_fault(predicted, process)
    if dead:
        predicted.sandbox.add_fault(Fault(r"/api/", "delay", times=0, delay=SILENT))
    time.sleep(0.2)
    interrupted(process)
    predicted.sandbox.faults.replace(())
    assert predicted.upload()["uploaded_annotations"] == 3
    whole(predicted)


@pytest.mark.parametrize("path", [r"/api/jobs/\d+/annotations", r"/api/jobs/\d+$", r"/api/tasks/\d+/data/"])
def test_a_download_ends_at_once(predicted: Workspace, path: str) -> None:
    task_id = predicted.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    predicted.complete(task_id)
    words: tuple[str, ...] = ()
    if path.endswith("data/"):
        for picture in predicted.run.glob("images/*"):
            picture.unlink()
    if path.endswith("$"):
        path = r"/api/(jobs|labels)\?"
    predicted.sandbox.add_fault(silent(path, "GET"))
    process = predicted.start("download-cvat", *words)
    wait_for_fault(predicted, process)
    time.sleep(0.2)
    interrupted(process)
    predicted.sandbox.faults.replace(())
    predicted.cli("download-cvat")
    assert set(predicted.pulled(task_id)) == {"img_0", "img_1", "img_2"}
