"""The oracle for poses: a simulated annotator who moves joints to where they truly are, over HTTP.

She works with single points that have a visibility, or with skeletons, whichever labels the task has; changed shapes
keep their ids, and the job is set to completed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose, Visibility
from agir_cvtoolkit.records import Box

from .correction import BoxCorners, box_iou
from .handwork import Changes, Json, OracleReport, at_work, edited, new_shape, save_changes, session
from .pose_correction import PoseHand, match_poses
from .pose_task_labels import PoseLabels

PoseTruth = Callable[[str], Sequence[Pose] | None]

_SAME_BOX = 0.1


def correct_poses(
    url: str,
    credentials: tuple[str, str],
    task_id: int,
    truth: PoseTruth,
    schema: JointSchema,
    *,
    error: float = 0.25,
    tolerance_px: float = 2.0,
    complete: bool = True,
    seed: int = 0,
) -> OracleReport:
    """Correct the poses of a task as a careful person would.

    Args:
        url: of the server.
        credentials: user name and password.
        task_id: the task; its labels are the joints, or a skeleton of them.
        truth: gives the animals of a frame by its name, in pixels; none deletes all proposals, None leaves the
            frame alone. Where a pose has a box, and the task a label for boxes, the box is corrected too.
        schema: the joints, with the sigmas that people differ by.
        error: of the hand, as a share of what people differ by (see `PoseHand`).
        tolerance_px: how far off a joint or a box may be before it is corrected.
        complete: set each job to state ``completed`` at the end.
        seed: of the hand.

    Returns:
        What was done, in shapes, summed over the task's jobs.

    Raises:
        AuthenticationError: wrong credentials.
        RemoteError: the server failed or refused.
    """
    with session(url, credentials) as browser:
        frames = browser.get(f"/api/tasks/{task_id}/data/meta")["frames"]
        labels = browser.pages(f"/api/labels?task_id={task_id}")
        person = _Person(
            PoseLabels(labels, schema), PoseHand(schema, error, tolerance_px), truth, random.Random(seed)
        )
        jobs = sorted(browser.pages(f"/api/jobs?task_id={task_id}"), key=lambda job: int(job["id"]))
        for job in jobs:
            with at_work(browser, job):
                shapes = sorted(
                    browser.get(f"/api/jobs/{job['id']}/annotations/")["shapes"], key=lambda s: int(s["id"])
                )
                changes = Changes()
                for number in range(job["start_frame"], job["stop_frame"] + 1):
                    person.correct(
                        number, frames[number], [s for s in shapes if s["frame"] == number], changes
                    )
                save_changes(browser, job["id"], changes)
            if complete:
                browser.patch(f"/api/jobs/{job['id']}", {"state": "completed"})
        return person.report


@dataclass
class _Drawn:
    """One animal as it is drawn."""

    group: int = 0
    skeleton: Json | None = None
    points: dict[str, Json] = field(default_factory=dict)
    more: list[Json] = field(default_factory=list)


class _Person:
    """Corrects frame after frame and counts."""

    def __init__(self, labels: PoseLabels, hand: PoseHand, truth: PoseTruth, chance: random.Random) -> None:
        self.report = OracleReport()
        self._labels = labels
        self._hand = hand
        self._truth = truth
        self._chance = chance

    def correct(self, number: int, frame: Json, shapes: list[Json], changes: Changes) -> None:
        """Correct one frame."""
        truth = self._truth(str(frame["name"]))
        if truth is None:
            return
        self._count(frames=1)
        size = (int(frame["width"]), int(frame["height"]))
        animals = self._drawn(shapes)
        boxes = [shape for shape in shapes if shape["type"] == "rectangle"]
        matched = match_poses([self._pose(animal) for animal in animals], truth)
        for i, animal in enumerate(animals):
            if i in matched:
                self._joints(number, size, animal, truth[matched[i]], changes)
                self._box(number, animal.group, truth[matched[i]], boxes, changes)
            else:
                self._delete(animal, boxes, changes)
        free = 1 + max((int(shape.get("group") or 0) for shape in shapes), default=0)
        for j, pose in enumerate(truth):
            if j not in matched.values():
                group = self._waiting_box(pose, boxes) or free
                self._joints(number, size, _Drawn(group), pose, changes)
                self._box(number, group, pose, boxes, changes)
                free = max(free, group + 1)
        if all(pose.box is not None for pose in truth):
            changes.deleted += boxes
            self._count(deleted=len(boxes))

    def _drawn(self, shapes: Sequence[Json]) -> list[_Drawn]:
        animals: list[_Drawn] = []
        by_group: dict[int, _Drawn] = {}
        for shape in shapes:
            group = int(shape.get("group") or 0)
            if shape["type"] == "skeleton":
                points = {self._labels.joints.get(e["label_id"], ""): e for e in shape["elements"]}
                animals.append(_Drawn(group, shape, points))
            elif shape["type"] == "points" and shape["label_id"] in self._labels.joints:
                if group not in by_group:
                    by_group[group] = _Drawn(group)
                    animals.append(by_group[group])
                joint, animal = self._labels.joints[shape["label_id"]], by_group[group]
                if joint in animal.points:
                    animal.more.append(shape)
                else:
                    animal.points[joint] = shape
        return animals

    def _pose(self, animal: _Drawn) -> Pose:
        return Pose({joint: self._keypoint(joint, shape) for joint, shape in animal.points.items() if joint})

    def _keypoint(self, joint: str, shape: Json) -> Keypoint:
        spec = self._labels.visibility(joint)
        said = next((a["value"] for a in shape["attributes"] if a["spec_id"] == spec), "visible")
        visibility: Visibility = "visible"
        if shape["outside"] or said == "absent":
            visibility = "absent"
        elif shape["occluded"] or said == "occluded":
            visibility = "occluded"
        return Keypoint(float(shape["points"][0]), float(shape["points"][1]), visibility)

    def _joints(
        self, number: int, size: tuple[int, int], animal: _Drawn, pose: Pose, changes: Changes
    ) -> None:
        if self._labels.skeleton is not None:
            self._skeleton(number, size, animal, pose, changes)
            return
        for joint in self._labels.of_joint:
            shape = animal.points.get(joint)
            if shape is None:
                if pose.at(joint).is_there:
                    label_id = self._labels.of_joint[joint]["id"]
                    new = new_shape(number, label_id, "points", [0.0, 0.0]) | {"group": animal.group}
                    changes.created.append(self._placed(new, joint, pose, size))
                    self._count(added=1)
            elif self._hand.is_right(self._keypoint(joint, shape), pose, joint):
                self._count(accepted=1)
            else:
                changes.updated.append(
                    self._placed(edited(shape, shape["points"], shape["label_id"]), joint, pose, size)
                )
                self._count(edited=1)
        changes.deleted += animal.more
        self._count(deleted=len(animal.more))

    def _skeleton(
        self, number: int, size: tuple[int, int], animal: _Drawn, pose: Pose, changes: Changes
    ) -> None:
        if not pose.there:
            if animal.skeleton is not None:
                changes.deleted.append(animal.skeleton)
                self._count(deleted=1)
            return
        label = self._labels.skeleton or {}
        wrong = [
            joint
            for joint in self._labels.of_joint
            if joint not in animal.points
            or not self._hand.is_right(self._keypoint(joint, animal.points[joint]), pose, joint)
        ]
        if animal.skeleton is not None and not wrong:
            self._count(accepted=1)
            return
        elements = []
        for joint, sublabel in self._labels.of_joint.items():
            shape = animal.points.get(joint)
            if shape is None:
                shape = new_shape(number, sublabel["id"], "points", [0.0, 0.0])
                del shape["elements"]
            elements.append(self._placed(shape, joint, pose, size) if joint in wrong else shape)
        if animal.skeleton is not None:
            changed = edited(animal.skeleton, [], animal.skeleton["label_id"]) | {"elements": elements}
            changes.updated.append(changed)
            self._count(edited=1)
        else:
            new = new_shape(number, label["id"], "skeleton", []) | {
                "group": animal.group,
                "elements": elements,
            }
            changes.created.append(new)
            self._count(added=1)

    def _placed(self, shape: Json, joint: str, pose: Pose, size: tuple[int, int]) -> Json:
        """Return a point where the joint truly is, but for the hand's error; an absent one stays where it is."""
        truth = pose.at(joint)
        spec = self._labels.visibility(joint) if self._labels.skeleton is None else None
        changed: Json = {}
        if truth.is_there:
            changed["points"] = list(self._hand.place(pose, joint, size, self._chance))
        if spec is None:
            changed |= {"outside": not truth.is_there, "occluded": truth.visibility == "occluded"}
        else:
            others = [a for a in shape["attributes"] if a["spec_id"] != spec]
            changed |= {
                "attributes": [*others, {"spec_id": spec, "value": truth.visibility}],
                "outside": False,
                "occluded": False,
            }
        return shape | changed

    def _box(self, number: int, group: int, pose: Pose, boxes: list[Json], changes: Changes) -> None:
        if pose.box is None or self._labels.box is None:
            return
        wanted = _sides(pose.box)
        own = next((b for b in boxes if group and b.get("group") == group), None)
        if own is None:
            near = [(box_iou(_corners(b), wanted), i) for i, b in enumerate(boxes) if not b.get("group")]
            best = max(near, default=(0.0, 0))
            own = boxes[best[1]] if best[0] >= _SAME_BOX else None
        if own is None:
            new = new_shape(number, self._labels.box["id"], "rectangle", list(wanted)) | {"group": group}
            changes.created.append(new)
            self._count(added=1)
            return
        boxes.remove(own)
        if all(abs(a - b) <= self._hand.tolerance_px for a, b in zip(own["points"], wanted, strict=True)):
            self._count(accepted=1)
        else:
            changes.updated.append(edited(own, list(wanted), own["label_id"]) | {"rotation": 0.0})
            self._count(edited=1)

    def _waiting_box(self, pose: Pose, boxes: Sequence[Json]) -> int:
        """Return the group of the box that was proposed around an animal without its joints, 0 where none was."""
        if pose.box is None:
            return 0
        wanted = _sides(pose.box)
        best = max(boxes, key=lambda box: box_iou(_corners(box), wanted), default=None)
        near = best is not None and box_iou(_corners(best), wanted) >= _SAME_BOX
        return int(best.get("group") or 0) if best is not None and near else 0

    def _delete(self, animal: _Drawn, boxes: list[Json], changes: Changes) -> None:
        shapes = [animal.skeleton] if animal.skeleton is not None else [*animal.points.values(), *animal.more]
        own = [b for b in boxes if animal.group and b.get("group") == animal.group]
        for box in own:
            boxes.remove(box)
        shapes += own
        changes.deleted += shapes
        self._count(deleted=len(shapes))

    def _count(self, **more: int) -> None:
        known: Mapping[str, int] = vars(self.report)
        self.report = OracleReport(**{key: value + more.get(key, 0) for key, value in known.items()})


def _sides(box: Box) -> BoxCorners:
    return box.x, box.y, box.x + box.width, box.y + box.height


def _corners(shape: Json) -> BoxCorners:
    left, top, right, bottom = (float(value) for value in shape["points"])
    return left, top, right, bottom
