"""Genuine exports of a CVAT server, returned and compared point by point with what its interface says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from agir_cvtoolkit.stages.firebase_return import firebase_return

from .returning import Desk

Placed = dict[str, tuple[float, float, bool]]
"""Joints with a place: x, y, and whether it is visible."""


def _genuine() -> Path:
    shared = os.environ.get("AGIR_SHARED_DATA")
    if not shared or not (Path(shared) / "cvat_exports").is_dir():
        pytest.skip("AGIR_SHARED_DATA does not name a folder with cvat_exports/")
    return Path(shared) / "cvat_exports"


def _joints_by_id(xml: Path, shapes: list[dict[str, Any]]) -> dict[int, str]:
    """Return names of labels by id: ids were given in the order in which the export lists the labels."""
    labels = ElementTree.parse(xml).findall("meta/task/labels/label")
    names = [label.findtext("name", "") for label in labels if label.findtext("type") == "points"]
    points = [part for shape in shapes for part in (*shape["elements"], shape) if part["type"] == "points"]
    first = min(point["label_id"] for point in points)
    assert max(point["label_id"] for point in points) == first + len(names) - 1
    return {first + number: joint for number, joint in enumerate(names)}


def _of_interface(xml: Path, answer: Path) -> dict[int, Placed]:
    shapes = json.loads(answer.read_text())["shapes"]
    names = _joints_by_id(xml, shapes)
    found: dict[int, Placed] = {}
    for shape in shapes:
        for item in shape["elements"] or [shape]:
            said = [attribute["value"] for attribute in item["attributes"]]
            if item["type"] != "points" or item["outside"] or "absent" in said:
                continue
            visible = not item["occluded"] and "occluded" not in said
            x, y = item["points"]
            found.setdefault(shape["frame"], {})[names[item["label_id"]]] = (x, y, visible)
    return found


@pytest.mark.parametrize("stem", ["dogs_points", "dogs_skeleton"])
def test_a_genuine_export_comes_back_point_by_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stem: str
) -> None:
    folder = _genuine()
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    names = [f"pose_{n:04d}" for n in range(5)]
    desk.submit(*names)
    result = firebase_return(desk.call(), annotations=folder / f"{stem}.xml")
    assert (result.frames, result.matched, result.animals, result.items) == (5, 5, 4, ())
    assert result.empty == ("pose_0004",)
    poses = {pose.capture_id: pose for pose in desk.labeled().values()}
    wanted = _of_interface(folder / f"{stem}.xml", folder / f"{stem}_rest.json")
    assert {names[frame] for frame in wanted} == set(poses)
    for frame, points in wanted.items():
        found = poses[names[frame]]
        assert set(found.keypoints) == set(points)
        for joint, (x, y, visible) in points.items():
            point = found.keypoints[joint]
            assert point.x == pytest.approx(x, abs=0.005), joint
            assert point.y == pytest.approx(y, abs=0.005), joint
            assert (point.visibility == "visible") is visible
        assert found.quality is not None
        assert 0 < found.quality <= 1
    again = firebase_return(desk.call(), annotations=folder / f"{stem}.xml")
    assert (again.new, again.changed, again.same) == (0, 0, 4)
