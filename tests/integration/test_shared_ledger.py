"""Two machines with folders of their own and one ledger on a server: nothing is pushed twice, nothing is lost."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agir_cvtoolkit.ledger import Ledger

from .held import held
from .workspace import Workspace

pytestmark = pytest.mark.integration
NAME = ("-o", "cvat_upload.task_name=Shared")


@pytest.fixture
def url(new_schema: Callable[[], str]) -> str:
    return new_schema()


@pytest.fixture
def machines(workspace: Workspace, url: str, tmp_path: Path) -> tuple[Workspace, Workspace]:
    """Both have predicted the same pictures; each in its own folder."""
    workspace.conf("io", {"ledger_url": url})
    workspace.predicted()
    root = tmp_path / "another machine"
    shutil.copytree(workspace.root, root, symlinks=True)
    return workspace, replace(workspace, root=root)


def test_two_machines_push_the_same_at_once(
    machines: tuple[Workspace, Workspace], url: str, tmp_path: Path
) -> None:
    here, there = machines
    with (
        held(here.sandbox, r"/api/tasks/\d+/data/meta") as request,
        there.start("upload-cvat", *NAME) as process,
    ):
        request.wait(process)
        refused = here.cli("upload-cvat", *NAME, code=2)
        assert "nother upload-cvat is pushing 'Shared'" in refused.stderr
        assert f"agir-cvtoolkit, process {process.pid} on" in refused.stderr
        process.send_signal(signal.SIGKILL)
    result = here.upload(*NAME)
    assert (result["uploaded_annotations"], len(here.tasks())) == (3, 1)
    with there.start("upload-cvat", "--json", *NAME) as again:
        output, errors = again.communicate(timeout=300)
        assert again.returncode == 0, errors
    assert '"already_there": 3' in output
    assert len(here.tasks()) == 1
    with Ledger.open_to_read(url, tmp_path) as ledger:
        (push,) = ledger.pushes()
        assert [task.state for task in ledger.tasks_of_push(push[0])] == ["done"]
        assert [e.kind for e in ledger.events_of_record("img_0")] == ["predicted", "pushed"]
