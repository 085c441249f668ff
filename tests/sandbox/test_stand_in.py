from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.sandbox import Sandbox
from agir_cvtoolkit.sandbox.handwork import OracleReport
from agir_cvtoolkit.sandbox.stand_in import StandInReport, annotate

from .plain import Plain, pictures

_WHO = ("admin", "admin123")


def _truth(folder: Path) -> Path:
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save(folder / "f00.png")
    (folder / "records.csv").write_text("image_id,mask_file\nf00,f00.png\n")
    return folder


@pytest.mark.integration
def test_open_jobs_are_completed_and_completed_ones_left(
    sandbox: Sandbox, plain: Plain, tmp_path: Path
) -> None:
    project = plain.project([{"name": "plant"}])
    done, task = (plain.task(pictures(2, (64, 48)), project_id=project["id"]) for _ in range(2))
    (job,) = plain("GET", f"/api/jobs?task_id={done['id']}").json["results"]
    plain("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"})
    truth = _truth(tmp_path)

    planned = annotate(sandbox.url, _WHO, truth, dry_run=True)
    assert planned == StandInReport(sandbox.url, 1, OracleReport(), dry_run=True)
    assert plain("GET", f"/api/tasks/{task['id']}/annotations/").json["shapes"] == []

    report = annotate(sandbox.url, _WHO, truth)
    assert (report.tasks, report.hand.frames, report.hand.added) == (1, 1, 1)
    assert [len(plain("GET", f"/api/tasks/{t['id']}/annotations/").json["shapes"]) for t in (done, task)] == [
        0,
        1,
    ]
    assert {found["state"] for found in plain("GET", "/api/jobs").json["results"]} == {"completed"}
    assert annotate(sandbox.url, _WHO, truth).tasks == 0


@pytest.mark.integration
def test_a_completed_job_beside_an_open_one_is_left(sandbox: Sandbox, plain: Plain, tmp_path: Path) -> None:
    project = plain.project([{"name": "plant"}])
    task = plain.task(pictures(2, (64, 48)), project_id=project["id"], spec={"segment_size": 1})
    first, _ = sorted(plain("GET", f"/api/jobs?task_id={task['id']}").json["results"], key=lambda j: j["id"])
    plain("PATCH", f"/api/jobs/{first['id']}", {"state": "completed"})
    assert annotate(sandbox.url, _WHO, _truth(tmp_path)).tasks == 1
    assert plain("GET", f"/api/tasks/{task['id']}/annotations/").json["shapes"] == []


def test_what_names_no_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no records\.csv"):
        annotate("http://127.0.0.1:1", _WHO, tmp_path)
    (tmp_path / "records.csv").write_text("image_id\nf00\n")
    with pytest.raises(DataError, match="names no masks"):
        annotate("http://127.0.0.1:1", _WHO, tmp_path)
