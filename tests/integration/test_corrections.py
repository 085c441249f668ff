"""What people did with the proposals, from the server to the table, the figures and the life of a record."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.pictures import load_mask, save_png
from agir_cvtoolkit.sandbox.oracle import correct_task

from .workspace import CREDENTIALS, Json, Workspace

pytestmark = pytest.mark.integration


def save(workspace: Workspace, task_id: int, shapes: list[Json]) -> None:
    plain = [{name: value for name, value in shape.items() if name != "id"} for shape in shapes]
    got = workspace.plain(
        "PUT",
        f"/api/tasks/{task_id}/annotations/",
        {"version": 0, "tags": [], "tracks": [], "shapes": plain},
    )
    assert got.status == 200, got.data


def table(workspace: Workspace) -> list[dict[str, str]]:
    with (workspace.run / "cvat_downloads" / "corrections.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def figures(workspace: Workspace) -> dict[str, Any]:
    return dict(workspace.metrics()["download-cvat"]["corrections"])


def test_untouched_proposals_are_accepted(predicted: Workspace) -> None:
    pushed = predicted.upload()
    predicted.complete(pushed["task_id"])
    predicted.cli("download-cvat")
    found = figures(predicted)
    assert found["proposals"] == found["accepted"] == pushed["shapes"]
    assert (found["share_accepted"], found["mean_iou"]) == (1.0, None)
    assert found["records"] == {"accepted": 3, "accepted_empty": 0, "changed": 0}
    assert set(found["by_annotator"]) == {"nobody assigned"}
    assert {row["outcome"] for row in table(predicted)} == {"accepted"}
    assert (predicted.run / "cvat_downloads" / "corrections.svg").is_file()


def test_what_people_did_is_told_and_told_anew_when_they_change_it(predicted: Workspace) -> None:
    task_id = predicted.upload("-o", "cvat_upload.source.type=detections")["task_id"]
    before = predicted.shapes(task_id)
    in_frame = [shape for shape in before if shape["frame"] == 0]
    others = [shape for shape in before if shape["frame"] not in {0, 1}]
    assert len(in_frame) == 2
    x1, y1, x2, y2 = in_frame[0]["points"]
    moved = in_frame[0] | {"points": [x1 + 2, y1, x2 + 2, y2]}
    # Frame 0: one moved, one deleted. Frame 1: all deleted, one added far away.
    far = in_frame[0] | {"frame": 1, "points": [0, 0, 2, 2]}
    save(predicted, task_id, [moved, far, *others])
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    found = figures(predicted)
    wide = x2 - x1
    assert found["edited"] == 1
    assert found["mean_iou"] == pytest.approx((wide - 2) / (wide + 2), abs=0.05)
    assert found["added"] == 1
    assert found["deleted"] == 1 + sum(1 for shape in before if shape["frame"] == 1)
    assert found["accepted"] == len(others)
    assert found["records"]["changed"] == 2
    record = table(predicted)[0]["record_id"]
    life = predicted.cli("why", record).stdout
    assert "corrected" in life
    assert "edited 1" in life
    assert f"{found['proposals']} proposals: {found['accepted']} accepted" in predicted.cli("status").stdout

    save(predicted, task_id, before)
    predicted.cli("download-cvat")
    assert figures(predicted)["accepted"] == figures(predicted)["proposals"] == len(before)
    assert {row["outcome"] for row in table(predicted)} == {"accepted"}


def test_nothing_changed_tells_nothing_new(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    record = table(predicted)[0]["record_id"]
    first = predicted.cli("why", record).stdout
    predicted.cli("download-cvat", "-o", "cvat_download.overwrite_existing=true")
    assert predicted.cli("why", record).stdout.count("corrected") == first.count("corrected") == 1


def test_the_figures_are_what_a_simulated_annotator_says_that_it_did(workspace: Workspace) -> None:
    workspace.cli("query", "--db", "semif")
    workspace.cli("infer-seg", "-o", "seg_inference.output.save_images=true")
    # The first proposals are right, of the second one is too small, and the third has none.
    names = sorted(workspace.manifest())
    for number, name in enumerate(names):
        path = workspace.run / workspace.manifest()[name]["mask_path"]
        mask = np.where(workspace.plots[name].truth, load_mask(path).max(), 0).astype(np.uint8)
        if number == 1:
            mask[:, : mask.shape[1] // 5] = 0
        if number == 2:
            mask[:] = 0
        save_png(mask, path)
    pushed = workspace.upload("-o", "cvat_upload.per_component=true")
    truths = {Path(name).stem: workspace.plots[Path(name).stem].truth for name in workspace.plots}
    report = correct_task(
        workspace.sandbox.url,
        CREDENTIALS,
        pushed["task_id"],
        lambda name: truths[Path(name).stem],
        tolerance_px=1,
    )
    workspace.cli("download-cvat")
    found = figures(workspace)
    told = (found["accepted"], found["edited"], found["added"], found["deleted"], found["relabelled"])
    assert told == (report.accepted, report.edited, report.added, report.deleted, 0)
    assert report.edited
    assert report.added
    assert report.accepted


def test_a_flag_or_an_attribute_is_an_edit(proposed: Workspace) -> None:
    (task,) = proposed.tasks()
    shapes = sorted(proposed.shapes(task["id"]), key=lambda shape: int(shape["id"]))
    hidden = shapes[0] | {"occluded": True}
    ticked = shapes[1] | {"attributes": [shapes[1]["attributes"][0] | {"value": "true"}]}
    save(proposed, task["id"], [hidden, ticked, *shapes[2:]])
    proposed.complete(task["id"])
    said = proposed.cli("download-cvat").stdout
    told = [(row["outcome"], row["changed"]) for row in table(proposed) if row["outcome"] != "accepted"]
    assert sorted(told) == [("edited", "attributes"), ("edited", "occluded")]
    found = figures(proposed)
    assert (found["edited"], found["edited_marks"], found["mean_iou"]) == (2, 2, None)
    assert "2 edited" in said
