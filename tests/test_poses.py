"""Poses as files: exact both ways, whole or not at all."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import (
    ABSENT,
    VISIBILITIES,
    Keypoint,
    Pose,
    animal_area,
    joint_doubt,
    overall_confidence,
    pose_from_plain,
    pose_to_plain,
    priority_of,
    read_poses,
    write_poses,
)
from agir_cvtoolkit.records import Box, ManifestEntry

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
keypoints = st.builds(
    Keypoint, numbers, numbers, st.sampled_from(VISIBILITIES), st.none() | st.floats(0, 1, allow_nan=False)
)
poses = st.builds(
    Pose,
    st.dictionaries(st.text(min_size=1, max_size=8), keypoints, max_size=5),
    st.none() | st.builds(Box, numbers, numbers, numbers, numbers),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@given(poses)
def test_a_pose_comes_back_equal_through_json(pose: Pose) -> None:
    assert pose_from_plain(json.loads(json.dumps(pose_to_plain(pose)))) == pose


def test_a_file_holds_schema_and_poses(tmp_path: Path) -> None:
    first = Pose(
        {"nose": Keypoint(1.5, 2.25, "occluded", 0.4), "tail": ABSENT}, Box(0, 1, 2, 3), {"size": "große"}
    )
    path = tmp_path / "poses" / "a.json"
    write_poses(path, "dog24", [first, Pose()])
    assert read_poses(path) == ("dog24", (first, Pose()))
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_poses(path, "dog24", [])
    with pytest.raises(ValueError, match="JSON"):
        write_poses(path, "dog24", [Pose({"nose": Keypoint(float("nan"), 0)})])
    assert read_poses(path) == ("dog24", ())


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"keypoints": {"nose": {"x": 1}}},
        {"keypoints": {"nose": {"x": "left", "y": 2}}},
        {"keypoints": {"nose": {"x": 1, "y": float("inf")}}},
        {"keypoints": {"nose": {"x": 1, "y": 2, "visibility": "hidden"}}},
        {"keypoints": {}, "box": [1, 2, 3]},
        {"keypoints": []},
    ],
)
def test_what_is_no_pose_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(DataError, match="pose"):
        pose_from_plain(content)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "dog24"}', '{"poses": [{"keypoints": 3}]}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(DataError, match="broken"):
        read_poses(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        read_poses(tmp_path / "gone.json")


def test_old_manifest_lines_have_no_poses() -> None:
    entry = ManifestEntry("a", None, None, None, 4, 3, None, "m", 0.5, 0.0, 1.0, pose_path="poses/a.json")
    assert ManifestEntry.from_json(entry.to_json()).pose_path == "poses/a.json"
    old = {key: value for key, value in json.loads(entry.to_json()).items() if key != "pose_path"}
    assert ManifestEntry.from_json(json.dumps(old)).pose_path is None


def test_the_overall_confidence_counts_joints_above_the_floor() -> None:
    pose = Pose({"a": Keypoint(0, 0, "visible", 0.5), "b": Keypoint(0, 0, "visible", 0.9)})
    weak = Pose({**pose.keypoints, "c": Keypoint(0, 0, "visible", 0.3), "d": Keypoint(0, 0, "absent", 1.0)})
    assert overall_confidence(weak) == pytest.approx(0.7)
    assert overall_confidence(Pose()) == 0.0


def test_nothing_is_known_of_a_joint_between_there_and_absent() -> None:
    def doubt(*confidences: float | None) -> float:
        return joint_doubt(Pose({str(n): Keypoint(1, 1, confidence=c) for n, c in enumerate(confidences)}))

    assert doubt(1.0, 0.0) == 0.0
    assert doubt(0.5) == 1.0
    assert doubt(0.5, 1.0, 0.25, 0.75) == pytest.approx(0.5)
    assert doubt(None) == 0.0  # a person's


@pytest.mark.parametrize(
    ("confidence", "priority"), [(0.0, 10), (0.1, 9), (0.25, 6), (0.5, 2), (0.6, 1), (1.0, 1)]
)
def test_priority_is_one_to_ten(confidence: float, priority: int) -> None:
    assert priority_of(confidence, 0.6) == priority


@pytest.mark.parametrize(
    ("confidence", "threshold"), [(-0.1, 0.6), (1.1, 0.6), (float("nan"), 0.6), (0.1, 0), (0.1, 2)]
)
def test_priority_refuses_what_is_out_of_range(confidence: float, threshold: float) -> None:
    with pytest.raises(ValueError, match="not in"):
        priority_of(confidence, threshold)


def test_the_area_is_the_boxes_else_that_around_the_joints_and_a_thin_animal_has_one() -> None:
    two = {"nose": Keypoint(0, 0), "throat": Keypoint(10, 20), "center": ABSENT}
    assert animal_area(Pose(two)) == 200
    assert animal_area(Pose(two, Box(0, 0, 50, 50))) == 2500
    assert animal_area(Pose({"nose": Keypoint(0, 0), "throat": Keypoint(100, 0)})) == 2500
    assert math.isnan(animal_area(Pose({"nose": Keypoint(5, 5)})))
    other = two | {"antler": Keypoint(500, 500)}
    assert animal_area(Pose(other), load_schema("dog24").joints) == 200
