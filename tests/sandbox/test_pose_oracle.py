"""A simulated person who corrects poses over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.sandbox import Sandbox
from agir_cvtoolkit.sandbox.oracle import OracleReport
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses

from .plain import Plain, pictures, shapes

pytestmark = pytest.mark.integration

Json = dict[str, Any]
WHO = ("admin", "admin123")
SIZE = (64, 48)
SCHEMA = JointSchema("cat", "cat", ("nose", "ear", "tail"), sigmas=(0.02, 0.02, 0.02))
VISIBILITY = {
    "name": "visibility",
    "mutable": True,
    "input_type": "select",
    "default_value": "visible",
    "values": ["visible", "occluded", "absent"],
}
CAT = Pose({"nose": Keypoint(10, 10), "ear": Keypoint(20, 10, "occluded")}, Box(5, 5, 30, 20))


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


class Task:
    """A task with labels for poses, and what is on its frames."""

    def __init__(self, plain: Plain, *labels: Json, count: int = 1) -> None:
        self.plain = plain
        project = plain.project(list(labels))
        self.id = plain.task(pictures(count, SIZE), project_id=project["id"])["id"]
        self.labels = plain.labels(project["id"])

    def joint(self, joint: str) -> Json:
        skeleton = self.labels.get("cat")
        if skeleton is None:
            return self.labels[joint]
        return next(dict(sub) for sub in skeleton["sublabels"] if sub["name"] == joint)

    def point(
        self, joint: str, x: float, y: float, visibility: str = "visible", group: int = 1, frame: int = 0
    ) -> Json:
        label = self.joint(joint)
        spec = [{"spec_id": a["id"], "value": visibility} for a in label["attributes"]]
        return {
            "type": "points", "frame": frame, "label_id": label["id"], "points": [x, y], "source": "auto",
            "group": group, "attributes": spec,
        }  # fmt: skip

    def put(self, *items: Json) -> list[Json]:
        return list(self.plain("PUT", f"/api/tasks/{self.id}/annotations/", shapes(*items)).json["shapes"])

    def get(self) -> list[Json]:
        found = self.plain("GET", f"/api/tasks/{self.id}/annotations/").json["shapes"]
        return sorted(found, key=lambda shape: int(shape["id"]))

    def correct(
        self, sandbox: Sandbox, *truth: Pose, error: float = 0.0, complete: bool = True
    ) -> OracleReport:
        return correct_poses(
            sandbox.url, WHO, self.id, lambda _: truth, SCHEMA, error=error, complete=complete
        )


def points_task(plain: Plain, count: int = 1) -> Task:
    joints = [{"name": joint, "type": "points", "attributes": [VISIBILITY]} for joint in SCHEMA.joints]
    return Task(plain, *joints, {"name": "box", "type": "rectangle"}, count=count)


def skeleton_task(plain: Plain) -> Task:
    sublabels = [{"name": joint, "type": "points"} for joint in SCHEMA.joints]
    return Task(plain, {"name": "cat", "type": "skeleton", "sublabels": sublabels, "svg": ""})


def test_single_points_are_moved_marked_added_and_left(sandbox: Sandbox, plain: Plain) -> None:
    task = points_task(plain)
    before = task.put(
        task.point("nose", 11, 10),
        task.point("ear", 40, 40),
        task.point("tail", 30, 30),
    )
    report = task.correct(sandbox, CAT)
    assert report == OracleReport(frames=1, accepted=1, edited=2, added=1)
    names = {label["id"]: name for name, label in task.labels.items()}
    after = {names[shape["label_id"]]: shape for shape in task.get()}
    assert after["nose"] == next(shape for shape in before if shape["id"] == after["nose"]["id"])
    assert (after["ear"]["points"], after["ear"]["attributes"][0]["value"]) == ([20, 10], "occluded")
    assert (after["ear"]["source"], after["ear"]["group"]) == ("semi-auto", 1)
    assert (after["tail"]["points"], after["tail"]["attributes"][0]["value"]) == ([30, 30], "absent")
    assert (after["box"]["points"], after["box"]["source"]) == ([5, 5, 35, 25], "manual")
    jobs = plain("GET", f"/api/jobs?task_id={task.id}").json["results"]
    assert {job["state"] for job in jobs} == {"completed"}


def test_a_second_look_changes_nothing(sandbox: Sandbox, plain: Plain) -> None:
    task = points_task(plain)
    task.put(task.point("nose", 30, 10), task.point("tail", 3, 3))
    task.correct(sandbox, CAT, error=0.25, complete=False)
    once = task.get()
    report = task.correct(sandbox, CAT, error=0.25, complete=False)
    assert (report.edited, report.added, report.deleted) == (0, 0, 0)
    assert task.get() == once


def test_an_animal_that_is_none_goes_with_its_box_and_a_missed_one_comes(
    sandbox: Sandbox, plain: Plain
) -> None:
    task = points_task(plain)
    box = {"type": "rectangle", "frame": 0, "label_id": task.labels["box"]["id"], "points": [40, 20, 60, 40]}
    task.put(task.point("nose", 10, 10), task.point("nose", 50, 30, group=2), box | {"group": 2})
    assert task.correct(sandbox, CAT).deleted == 2
    assert task.correct(sandbox).deleted == 3
    assert task.get() == []
    assert task.correct(sandbox, CAT, CAT).added == 6
    assert sorted(shape["group"] for shape in task.get()) == [1, 1, 1, 2, 2, 2]


def test_a_box_without_joints_gets_them_and_one_around_nothing_goes(sandbox: Sandbox, plain: Plain) -> None:
    task = points_task(plain)
    box = {"type": "rectangle", "frame": 0, "label_id": task.labels["box"]["id"]}
    task.put(
        box | {"points": [40, 30, 60, 40], "group": 7},
        box | {"points": [6, 5, 35, 25], "group": 3},
    )
    report = task.correct(sandbox, CAT)
    assert (report.added, report.accepted, report.deleted) == (2, 1, 1)
    assert [(shape["type"], shape["group"]) for shape in task.get()] == [
        ("rectangle", 3),
        ("points", 3),
        ("points", 3),
    ]


def test_a_skeleton_keeps_its_id_and_gets_its_elements_right(sandbox: Sandbox, plain: Plain) -> None:
    task = skeleton_task(plain)
    drawn = [("tail", 30, 30), ("nose", 10, 11), ("ear", 40, 40)]
    elements = [task.point(joint, x, y) | {"outside": False, "occluded": False} for joint, x, y in drawn]
    for element in elements:
        del element["group"]
    (before,) = task.put(
        {
            "type": "skeleton",
            "frame": 0,
            "label_id": task.labels["cat"]["id"],
            "elements": elements,
            "source": "auto",
        }
    )
    report = task.correct(sandbox, CAT)
    assert (report.edited, report.accepted, report.added) == (1, 0, 0)
    (after,) = task.get()
    assert (after["id"], after["source"]) == (before["id"], "semi-auto")
    found = {e["label_id"]: (e["points"], e["outside"], e["occluded"]) for e in after["elements"]}
    assert found == {
        task.joint("nose")["id"]: ([10, 11], False, False),
        task.joint("ear")["id"]: ([20, 10], False, True),
        task.joint("tail")["id"]: ([30, 30], True, False),
    }
    assert task.correct(sandbox, CAT).accepted == 1
    assert task.correct(sandbox).deleted == 1
    assert task.correct(sandbox, CAT, CAT).added == 2


def test_frames_without_a_truth_are_left_alone(sandbox: Sandbox, plain: Plain) -> None:
    task = points_task(plain, count=2)
    before = task.put(task.point("nose", 30, 30), task.point("nose", 30, 30, frame=1))
    truth = {"f00.png": (CAT,)}
    report = correct_poses(sandbox.url, WHO, task.id, truth.get, SCHEMA, error=0.0)
    assert report.frames == 1
    assert [s for s in task.get() if s["frame"] == 1] == [s for s in before if s["frame"] == 1]
