"""Poses to CVAT, corrected there by a simulated person, and back."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.config import load_settings
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.poses import Keypoint, Pose, read_poses, write_poses
from agir_cvtoolkit.records import Box, ManifestEntry
from agir_cvtoolkit.runs import start_run
from agir_cvtoolkit.sandbox.pose_correction import PoseHand, match_poses
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._pose_push import push_pose_run
from agir_cvtoolkit.stages.upload_cvat import UploadResult

from .workspace import CREDENTIALS, Workspace

pytestmark = pytest.mark.integration

DOG = load_schema("dog24")
PROJECT = "DataDogs Pose Estimation"
SIZE = (160, 120)


def stick_dog(chance: random.Random, left: float) -> Pose:
    """Return a dog somewhere in 80 pixels from `left`, some joints hidden or absent."""
    keypoints = {}
    for joint in DOG.joints:
        place = left + chance.uniform(5, 65), chance.uniform(10, 110)
        kind = chance.choices(["visible", "occluded", "absent"], [8, 1, 1])[0]
        if kind != "absent":
            keypoints[joint] = Keypoint(*place, kind)  # type: ignore[arg-type]
    return Pose(keypoints, Box(left + 1, 5, 68, 110))


def as_found(pose: Pose, chance: random.Random) -> Pose:
    """Return what a device makes of a dog: off, unsure, without some joints, with some that are not there."""
    found = {}
    for joint in DOG.joints:
        truth = pose.at(joint)
        if not truth.is_there:
            if chance.random() < 0.5:
                found[joint] = Keypoint(chance.uniform(1, 159), chance.uniform(1, 119), "visible", 0.9)
        elif chance.random() > 0.1:
            off = chance.choice([0.5, 15.0])
            place = truth.x + chance.uniform(-off, off), truth.y + chance.uniform(-off, off)
            found[joint] = Keypoint(*place, "visible", round(chance.uniform(0.1, 1.0), 3))
    return Pose(found, pose.box)


class Kennel:
    """A run with stick dogs and what a device found."""

    def __init__(self, workspace: Workspace, animals: Sequence[int]) -> None:
        self.workspace = workspace
        self.chance = random.Random(5)
        self.truth: dict[str, tuple[Pose, ...]] = {}
        self.run = start_run(Path(load_settings().io.out_root))
        for number, count in enumerate(animals):
            self.add(f"dog_{number}", tuple(stick_dog(self.chance, 80.0 * i) for i in range(count)), number / 10)

    def add(self, record_id: str, poses: tuple[Pose, ...], uncertainty: float) -> None:
        self.truth[record_id] = poses
        image = self.run.path("images", f"{record_id}.png")
        image.parent.mkdir(parents=True, exist_ok=True)
        shade = int(hashlib.sha256(record_id.encode()).hexdigest()[:2], 16)
        save_png(np.full((SIZE[1], SIZE[0], 3), shade, dtype=np.uint8), image)
        self.find(record_id)
        self.run.append_manifest(
            ManifestEntry(
                record_id=record_id,
                common_name=None,
                image_path=f"images/{record_id}.png",
                mask_path=None,
                width=SIZE[0],
                height=SIZE[1],
                sha256=hashlib.sha256(image.read_bytes()).hexdigest(),
                model="device",
                uncertainty=uncertainty,
                edge_occupancy=0.0,
                inference_time_ms=0.0,
                pose_path=f"poses/{record_id}.json",
            )
        )

    def find(self, record_id: str) -> None:
        found = [as_found(pose, self.chance) for pose in self.truth[record_id]]
        write_poses(self.run.path("poses", f"{record_id}.json"), DOG.name, found)

    def push(self, *overrides: str, task_name: str | None = None, dry_run: bool = False) -> UploadResult:
        settings = load_settings(overrides)
        call = Call(run=self.run.run_id, dry_run=dry_run)
        return push_pose_run(call, settings, self.run, task_name=task_name, project_name=PROJECT)

    def correct(self, task_id: int, *, error: float = 0.25, **changes: tuple[Pose, ...]) -> None:
        truth = {f"{name}.png": poses for name, poses in {**self.truth, **changes}.items()}
        correct_poses(self.workspace.sandbox.url, CREDENTIALS, task_id, truth.get, DOG, error=error)

    def pulled(self) -> dict[str, tuple[Pose, ...]]:
        (folder,) = self.run.path("cvat_downloads").glob("*_*")
        frames = json.loads((folder / "frame_map.json").read_text(encoding="utf-8"))["frames"]
        return {frame["record_id"]: read_poses(folder / frame["poses"])[1] for frame in frames}


@pytest.fixture
def kennel(empty: Workspace) -> Kennel:
    return Kennel(empty, (1, 2, 1, 0))


def assert_within(found: Pose, truth: Pose, hand: PoseHand) -> None:
    assert found.there.keys() == truth.there.keys()
    for joint, point in truth.there.items():
        own = found.at(joint)
        assert own.visibility == point.visibility
        assert math.hypot(own.x - point.x, own.y - point.y) <= hand.reach(truth, joint) + 0.01


@pytest.mark.parametrize("style", ["points", "skeleton"])
def test_corrected_poses_come_back_within_the_hands_error(kennel: Kennel, style: str) -> None:
    style_of = [f"firebase.pose.style={style}", "firebase.pose.box_label=dog_bbox"]
    pushed = kennel.push(*style_of)
    assert (pushed.added, pushed.skipped, pushed.failed) == (4, 0, 0)
    assert pushed.task_id is not None
    kennel.correct(pushed.task_id)
    kennel.workspace.cli("download-cvat")
    found = kennel.pulled()
    assert found.keys() == kennel.truth.keys()
    hand = PoseHand(DOG)
    for record_id, truth in kennel.truth.items():
        assert len(found[record_id]) == len(truth), record_id
        pairs = match_poses(found[record_id], truth)
        for i, j in pairs.items():
            assert_within(found[record_id][i], truth[j], hand)
            box, wanted = found[record_id][i].box, truth[j].box
            assert box is not None
            assert wanted is not None
            assert (box.x, box.y, box.width) == pytest.approx((wanted.x, wanted.y, wanted.width), abs=4)
    with (kennel.run.path("cvat_downloads", "corrections.csv")).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["kind"] for row in rows} >= {style, "rectangle"}
    assert {row["outcome"] for row in rows} >= {"edited", "accepted"}
