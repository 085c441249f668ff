"""Poses to CVAT, corrected there by a simulated person, and back."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.config import load_settings
from agir_cvtoolkit.cvat import ProjectInfo, find_projects
from agir_cvtoolkit.cvat.pose_labels import pose_labels
from agir_cvtoolkit.errors import LabelError, NoRunError
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.poses import Keypoint, Pose, read_poses, write_poses
from agir_cvtoolkit.records import Box, ManifestEntry
from agir_cvtoolkit.runs import start_run
from agir_cvtoolkit.sandbox.pose_correction import PoseHand, match_poses
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from agir_cvtoolkit.stages import Call, _pose_push
from agir_cvtoolkit.stages._pose_push import push_pose_run
from agir_cvtoolkit.stages.upload_cvat import UploadResult
from tests.sandbox.plain import pictures

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
            self.add(
                f"dog_{number}", tuple(stick_dog(self.chance, 80.0 * i) for i in range(count)), number / 10
            )

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

    def found_points(self) -> list[Keypoint]:
        """Return all joints that were found, in all pictures."""
        found = (read_poses(self.run.path("poses", f"{name}.json"))[1] for name in self.truth)
        return [point for poses in found for pose in poses for point in pose.keypoints.values()]

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
    assert {row["kind"] for row in rows} - {""} == {style, "rectangle"}
    # What was moved is the joint that it was, not another one's place.
    outcomes = {row["outcome"] for row in rows}
    assert outcomes - {"added"} == {"accepted", "edited", "empty"}


def test_the_same_push_again_changes_nothing(kennel: Kennel) -> None:
    first = kennel.push(task_name="Monday")
    before = kennel.workspace.state()
    again = kennel.push(task_name="Monday")
    assert (again.added, again.already_there, again.uploaded_annotations) == (0, 4, 4)
    assert again.task_id == first.task_id
    assert kennel.workspace.state() == before


def test_those_come_first_of_which_the_device_was_least_sure(kennel: Kennel) -> None:
    pushed = kennel.push()
    assert pushed.task_id is not None
    assert [f["name"] for f in kennel.workspace.frames(pushed.task_id)] == [
        f"dog_{n}.png" for n in (3, 2, 1, 0)
    ]


def test_one_project_is_made_and_used_again(kennel: Kennel) -> None:
    first = kennel.push(task_name="Monday")
    second = kennel.push(task_name="Tuesday")
    assert first.project_id == second.project_id is not None
    assert first.task_id != second.task_id
    projects = kennel.workspace.plain("GET", "/api/v1/projects").json["results"]
    assert [project["name"] for project in projects] == [PROJECT]


def test_a_rehearsal_makes_nothing(kennel: Kennel) -> None:
    kennel.workspace.sandbox.forget_requests()
    planned = kennel.push(dry_run=True)
    assert (planned.dry_run, planned.added) == (True, 4)
    assert kennel.workspace.writes() == []


def test_a_project_with_other_labels_is_refused_before_anything_is_sent(kennel: Kennel) -> None:
    kennel.workspace.project("dog_keypoints", name=PROJECT)
    with pytest.raises(LabelError, match="'nose' \\(points\\) is missing"):
        kennel.push()
    assert kennel.workspace.tasks() == []


def test_a_project_of_the_other_style_says_which_it_is(kennel: Kennel) -> None:
    kennel.push("firebase.pose.style=skeleton")
    with pytest.raises(LabelError, match="set the style to skeleton"):
        kennel.push()


def test_joints_that_are_not_sure_enough_are_proposed_as_absent(kennel: Kennel) -> None:
    pushed = kennel.push("firebase.min_confidence=0.95")
    assert pushed.task_id is not None
    said = [shape["attributes"][0]["value"] for shape in kennel.workspace.shapes(pushed.task_id)]
    inside = [p for p in kennel.found_points() if 0 <= p.x <= SIZE[0] and 0 <= p.y <= SIZE[1]]
    sure = sum((p.confidence or 0) >= 0.95 for p in inside)
    assert 0 < sure < len(inside)
    assert Counter(said) == {"visible": sure, "absent": len(inside) - sure}


@pytest.mark.parametrize("style", ["points", "skeleton"])
def test_better_proposals_replace_those_that_nobody_has_touched(kennel: Kennel, style: str) -> None:
    words = (f"firebase.pose.style={style}", "firebase.pose.box_label=dog_bbox")
    pushed = kennel.push(*words, task_name="Monday")
    kennel.find("dog_0")
    again = kennel.push(*words, task_name="Monday")
    assert (again.task_id, again.replaced, again.already_there) == (pushed.task_id, 1, 3)


def test_what_a_person_has_corrected_stays(kennel: Kennel) -> None:
    pushed = kennel.push(task_name="Monday")
    assert pushed.task_id is not None
    kennel.correct(pushed.task_id)
    before = kennel.workspace.shapes(pushed.task_id)
    kennel.find("dog_0")
    again = kennel.push(task_name="Monday")
    assert (again.replaced, again.left_alone) == (0, 1)
    assert kennel.workspace.shapes(pushed.task_id) == before


def test_an_exact_hand_gives_back_the_truth(kennel: Kennel) -> None:
    pushed = kennel.push()
    assert pushed.task_id is not None
    correct = {f"{name}.png": poses for name, poses in kennel.truth.items()}
    url = kennel.workspace.sandbox.url
    correct_poses(url, CREDENTIALS, pushed.task_id, correct.get, DOG, error=0.0, tolerance_px=0.0)
    kennel.workspace.cli("download-cvat")
    found = kennel.pulled()
    for record_id, truth in kennel.truth.items():
        pairs = match_poses(found[record_id], truth)
        assert len(pairs) == len(truth) == len(found[record_id])
        for i, j in pairs.items():
            own = {name: (p.x, p.y, p.visibility) for name, p in found[record_id][i].there.items()}
            assert own == {name: (p.x, p.y, p.visibility) for name, p in truth[j].there.items()}


@pytest.mark.parametrize("style", ["points", "skeleton"])
def test_animals_that_were_missed_are_added_and_others_deleted(kennel: Kennel, style: str) -> None:
    pushed = kennel.push(f"firebase.pose.style={style}")
    assert pushed.task_id is not None
    more, none = (*kennel.truth["dog_0"], stick_dog(kennel.chance, 80.0)), ()
    kennel.correct(pushed.task_id, dog_0=more, dog_2=none, dog_3=more)
    kennel.workspace.cli("download-cvat")
    found = kennel.pulled()
    assert {name: len(poses) for name, poses in found.items()} == {
        "dog_0": 2,
        "dog_1": 2,
        "dog_2": 0,
        "dog_3": 2,
    }


@pytest.mark.parametrize("style", ["points", "skeleton"])
def test_plain_upload_finds_that_there_are_poses_and_makes_a_task_of_its_own(
    kennel: Kennel, style: str
) -> None:
    pushed = kennel.workspace.upload(
        "-o", f"cvat_upload.pose.style={style}", "-o", "cvat_upload.pose.box_label=box"
    )
    assert (pushed["added"], pushed["project_id"]) == (4, None)
    names = set(kennel.workspace.labels(pushed["task_id"]).values())
    assert names >= ({"nose", "box"} if style == "points" else {"dog", "box"})
    kennel.correct(pushed["task_id"])
    kennel.workspace.cli("download-cvat")
    assert {name: len(poses) for name, poses in kennel.pulled().items()} == {
        name: len(poses) for name, poses in kennel.truth.items()
    }


def test_poses_of_another_schema_are_read_by_its_aliases(kennel: Kennel) -> None:
    path = kennel.run.path("poses", "dog_0.json")
    write_poses(
        path,
        "dog26",
        [Pose({"neck": Keypoint(10, 10), "nose": Keypoint(20, 20), "left_back_wrist": Keypoint(5, 5)})],
    )
    pushed = kennel.push("firebase.pose.joints=dog24")
    assert pushed.task_id is not None
    labels = kennel.workspace.labels(pushed.task_id)
    (frame,) = (n for n, f in enumerate(kennel.workspace.frames(pushed.task_id)) if f["name"] == "dog_0.png")
    there = {
        labels[s["label_id"]]: s["points"]
        for s in kennel.workspace.shapes(pushed.task_id)
        if s["frame"] == frame
    }
    assert there == {"throat": [10, 10], "nose": [20, 20], "left_knee": [5, 5]}


def test_a_damaged_file_of_poses_fails_its_record_alone(kennel: Kennel) -> None:
    kennel.run.path("poses", "dog_1.json").write_text("{", encoding="utf-8")
    pushed = kennel.push()
    assert (pushed.added, pushed.failed, pushed.exit_code) == (3, 1, 1)
    assert [item.record_id for item in pushed.items] == ["dog_1"]


def test_a_run_without_poses_says_what_to_do(kennel: Kennel, tmp_path: Path) -> None:
    other = Kennel(kennel.workspace, ())
    other.add("dog", (), 0.5)
    entry = other.run.read_manifest()[0]
    other.run.append_manifest(replace(entry, pose_path=None))
    with pytest.raises(NoRunError, match="infer-pose"):
        other.push()


def test_what_is_no_pose_is_listed_with_its_frame(kennel: Kennel) -> None:
    pushed = kennel.push()
    assert pushed.task_id is not None
    shapes = kennel.workspace.shapes(pushed.task_id)
    first = next(shape for shape in shapes if shape["frame"] == 2)
    twin = {key: value for key, value in first.items() if key != "id"} | {"points": [1.0, 2.0]}
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [twin]}
    job = kennel.workspace.jobs(pushed.task_id)[0]["id"]
    kennel.workspace.plain("PATCH", f"/api/jobs/{job}/annotations/?action=create", content)
    kennel.workspace.complete(pushed.task_id)
    outcome = kennel.workspace.cli("download-cvat", code=1)
    assert "times in one animal" in outcome.text
    assert "dog_1" in outcome.text


def test_poses_in_a_task_of_others_are_found_by_its_labels(kennel: Kennel) -> None:
    server = kennel.workspace.plain
    labels = [label.as_request() for label in pose_labels(load_schema("dog5"), "skeleton", "box")]
    project = server.project(labels)
    task = server.task(pictures(2, SIZE), project_id=project["id"])["id"]
    names = kennel.workspace.labels(task)
    (dog,) = server("GET", f"/api/labels?task_id={task}&name=dog").json["results"]
    assert set(names.values()) >= {"dog", "box"}
    elements = [
        {
            "type": "points",
            "frame": 0,
            "label_id": sub["id"],
            "points": [10.0 + i, 20],
            "outside": i == 4,
            "occluded": i == 1,
        }
        for i, sub in enumerate(dog["sublabels"])
    ]
    skeleton = {"type": "skeleton", "frame": 0, "label_id": dog["id"], "elements": elements[::-1]}
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [skeleton]}
    assert server("PUT", f"/api/tasks/{task}/annotations/", content).status == 200
    kennel.workspace.complete(task)
    kennel.workspace.cli("download-cvat", "-o", f"cvat_download.task_ids=[{task}]")
    assert kennel.pulled() == {
        "f00": (
            Pose(
                {
                    "head": Keypoint(10, 20),
                    "forelegs": Keypoint(11, 20, "occluded"),
                    "hindlegs": Keypoint(12, 20),
                    "trunk": Keypoint(13, 20),
                    "tail": Keypoint(0, 0, "absent"),
                }
            ),
        ),
        "f01": (),
    }


def test_two_workers_at_the_same_time_make_one_project(
    kennel: Kennel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pose_push, "find_projects", _blind_at_first(find_projects))
    first = kennel.push(task_name="Monday")
    monkeypatch.setattr(_pose_push, "find_projects", _blind_at_first(find_projects))
    second = kennel.push(task_name="Tuesday")
    assert first.project_id == second.project_id
    assert len(kennel.workspace.plain("GET", "/api/projects").json["results"]) == 1


def _blind_at_first(look: Callable[..., tuple[ProjectInfo, ...]]) -> Callable[..., tuple[ProjectInfo, ...]]:
    """Return a look at the projects that was taken just before another worker made one, when it is taken first."""
    looks = iter([()])

    def looked(*words: Any, **more: Any) -> tuple[ProjectInfo, ...]:
        found: tuple[ProjectInfo, ...] | None = next(looks, None)
        return look(*words, **more) if found is None else found

    return looked
