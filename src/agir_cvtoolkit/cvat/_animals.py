"""Which of the points, skeletons and boxes of one picture are one animal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose

from ._drawn import Animal, Mark, SeenBox, best_names, distance, merged
from ._loose_points import give_points

__all__ = ["Mark", "SeenBox", "SeenSkeleton", "animals_of"]


@dataclass(frozen=True)
class SeenSkeleton:
    """A skeleton with its joints."""

    marks: tuple[Mark, ...]
    group: int
    attributes: Mapping[str, str]


def animals_of(
    marks: Sequence[Mark],
    boxes: Sequence[SeenBox],
    skeletons: Sequence[SeenSkeleton],
    schema: JointSchema,
    problems: list[str],
) -> list[Pose]:
    """Put together what belongs together; what does not is added to `problems`."""
    # In an order that does not depend on how the shapes were listed: servers list them in any.
    whole = sorted(skeletons, key=lambda one: (one.group, sorted(map(_place, one.marks))))
    animals = [Animal(one.group, list(one.marks), None, dict(one.attributes)) for one in whole]
    loose: list[Mark] = []
    for mark in sorted(marks, key=_place):
        if mark.group:
            _of_group(animals, mark.group).marks.append(mark)
        else:
            loose.append(mark)
    sizes = sorted(boxes, key=lambda one: (one.box.x, one.box.y, one.box.width, one.box.height, one.group))
    free = _give_boxes_by_group(animals, sizes, problems)
    _give_boxes_by_place(animals, free)
    # A box without joints is an animal: loose points may be its.
    animals += [Animal(0, [], box, {}) for box in free]
    give_points(animals, loose, schema, problems)
    poses = [(animal, _pose(animal, schema, problems)) for animal in animals]
    seen = [(animal, pose) for animal, pose in poses if pose.there or pose.box is not None]
    return [pose for _, pose in sorted(seen, key=lambda pair: _order(*pair))]


def _of_group(animals: list[Animal], group: int) -> Animal:
    found = next((animal for animal in animals if animal.group == group), None)
    if found is None:
        found = Animal(group)
        animals.append(found)
    return found


def _give_boxes_by_group(
    animals: list[Animal], boxes: Sequence[SeenBox], problems: list[str]
) -> list[SeenBox]:
    free = []
    for box in boxes:
        owner = next((a for a in animals if box.group and a.group == box.group), None)
        if owner is None:
            free.append(box)
        elif owner.box is None:
            owner.box = box
        else:
            problems.append(f"group {box.group} has a second box")
    return free


def _give_boxes_by_place(animals: Sequence[Animal], free: list[SeenBox]) -> None:
    """Give each animal without a box the one that holds most of its joints, the surest first."""
    pairs = []
    for i, animal in enumerate(animals):
        placed = animal.placed()
        if animal.box is not None or not placed:
            continue
        for j, box in enumerate(free):
            inside = sum(distance(mark.point, box.box) == 0.0 for mark in placed)
            if 2 * inside > len(placed):
                pairs.append((-inside / len(placed), box.box.width * box.box.height, i, j))
    taken: set[int] = set()
    for _, _, i, j in sorted(pairs):
        if animals[i].box is None and j not in taken:
            animals[i].box = free[j]
            taken.add(j)
    free[:] = [box for j, box in enumerate(free) if j not in taken]


def _pose(animal: Animal, schema: JointSchema, problems: list[str]) -> Pose:
    keypoints: dict[str, Keypoint] = {}
    best = best_names((mark for mark in animal.marks if mark.point.is_there), schema)
    by_joint: dict[str, list[Mark]] = {}
    for mark in animal.marks:
        by_joint.setdefault(mark.joint, []).append(mark)
    for joint in schema.joints:
        listed = by_joint.get(joint)
        if not listed:
            continue
        placed = [mark for mark in listed if mark.point.is_there]
        if not placed:
            keypoints[joint] = Keypoint(ABSENT.x, ABSENT.y, "absent", listed[0].point.confidence)
            continue
        for mark in placed:
            if mark.spelled != best[joint]:
                problems.append(
                    f"'{mark.spelled}' and '{best[joint]}' are both {joint}: the first is left out"
                )
        own = merged([mark for mark in placed if mark.spelled == best[joint]])
        if len(own) == 1:
            keypoints[joint] = own[0].point
        else:
            places = " and ".join(f"({mark.point.x:g}, {mark.point.y:g})" for mark in own)
            problems.append(f"{joint} is there {len(own)} times in one animal, at {places}: left out")
    box = animal.box
    attributes = {**animal.attributes, **(box.attributes if box is not None else {})}
    return Pose(keypoints, box.box if box is not None else None, attributes)


def _order(animal: Animal, pose: Pose) -> tuple[float, ...]:
    places = [(point.x, point.y) for point in pose.there.values()]
    if pose.box is not None:
        places.append((pose.box.x, pose.box.y))
    left = min((x for x, _ in places), default=math.inf)
    top = min((y for _, y in places), default=math.inf)
    return (animal.group or math.inf, left, top)


def _place(mark: Mark) -> tuple[str, str, float, float, str, int]:
    point = mark.point
    return mark.joint, mark.spelled, point.x, point.y, point.visibility, mark.group
