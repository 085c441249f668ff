"""What is said of a half-made task that could not be deleted."""

from __future__ import annotations

import logging
from typing import cast

import pytest

from agir_cvtoolkit.cvat import CvatSession, pushing
from agir_cvtoolkit.errors import ServerFaultError


class Dead:
    """A session whose server no longer answers."""

    def task_url(self, task_id: int) -> str:
        return f"http://s/tasks/{task_id}"

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("why", [ServerFaultError("it broke", "Start it."), KeyboardInterrupt()])
def test_the_next_upload_removes_it_and_that_is_said_once(
    why: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_session: object, _task_id: int) -> None:
        raise ServerFaultError("nobody answers", "Wait.")

    monkeypatch.setattr(pushing, "delete_task", refuse)
    with caplog.at_level(logging.INFO, "agir_cvtoolkit"):
        pushing._remove(cast("CvatSession", Dead()), 7, why, lambda _: None)
    said = f"{caplog.text} {why}"
    assert said.count("the next upload-cvat removes it: http://s/tasks/7") == 1
    assert "by hand" not in said
