"""What the rules of speaking to CVAT promise and no other test looks at, through whole commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.cvat import CvatSession, PictureToSend, pushing
from agir_cvtoolkit.cvat.upload import send_pictures
from agir_cvtoolkit.stages.upload_cvat import upload_cvat

from .annotator import RECORDS, only_task
from .workspace import Workspace

pytestmark = pytest.mark.integration


def test_frames_in_another_order_than_they_were_sent(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 3: a record is the frame that carries its name, on the way out and back."""
    expected = {record: proposed.predicted_mask(record) for record in RECORDS}
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204

    def turned(session: CvatSession, task_id: int, pictures: Sequence[PictureToSend], *rest: Any) -> None:
        send_pictures(session, task_id, pictures[::-1], *rest)

    monkeypatch.setattr(pushing, "send_pictures", turned)
    upload_cvat()
    task_id = only_task(proposed)
    names = [frame["name"] for frame in proposed.frames(task_id)]
    assert names == [f"{record}.png" for record in reversed(RECORDS)]
    proposed.complete(task_id)
    proposed.cli("download-cvat")
    pulled = proposed.pulled(task_id)
    for record, mask in expected.items():
        found = pulled[record]
        assert found is not None
        assert np.array_equal(found > 0, mask > 0), record
