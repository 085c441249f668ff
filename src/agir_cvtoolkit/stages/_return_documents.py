"""The animals of one picture as corrections under stable ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.pose_quality import Population, quality_of
from agir_cvtoolkit.poses import Keypoint, Pose, animal_area

from ._return_population import time_of


@dataclass(frozen=True)
class Picture:
    """A picture whose animals come back.

    Attributes:
        time: when its task was made, as it stands in ids.
        size: width and height in pixels.
        key: of the picture in the storage.
        annotator: account of the person; empty where it is not known.
    """

    capture: Capture
    time: str
    size: tuple[int, int]
    key: str
    annotator: str = ""

    @property
    def base(self) -> str:
        """Id of the first animal's document."""
        return f"cvat_{self.capture.capture_id}_{self.time}"

    def document_id(self, number: int) -> str:
        """Return the id of the document of an animal, counted from 1."""
        return self.base if number == 1 else f"{self.base}_{number}"

    def number_of(self, document_id: str) -> int | None:
        """Return which animal a document is about; None where it is of another task."""
        if document_id == self.base:
            return 1
        tail = document_id.removeprefix(f"{self.base}_")
        return int(tail) if tail != document_id and tail.isdecimal() else None


@dataclass(frozen=True)
class Corrections:
    """What is written of a picture.

    Attributes:
        poses: of its animals, by their numbers.
        withdrawn: of animals that were returned before and are no more: without joints.
    """

    poses: tuple[LabeledPose, ...]
    withdrawn: tuple[LabeledPose, ...] = ()


def corrections_of(
    picture: Picture,
    poses: Sequence[Pose],
    before: Sequence[LabeledPose],
    schema: JointSchema,
    population: Population,
    now: datetime,
    *,
    may_withdraw: bool,
    opinions: Sequence[Sequence[Pose]] = (),
) -> Corrections:
    """Return what is written of a picture's animals.

    An animal keeps the number that it was returned under: that of the correction whose joints lie nearest. New ones
    take the lowest free numbers in the order of `poses`. An animal that somebody has taken out keeps a document
    without joints.

    Args:
        picture: whose.
        poses: its animals, in pixels.
        before: corrections of the capture that are in the store, of this task and of others.
        schema: of the joints.
        population: what is usual among labelled animals.
        now: when they are returned.
        may_withdraw: everything on the picture was understood, so that what is missing was taken out by somebody.
        opinions: the animals of gold frames and other annotators of the same task, each by whom they are.
    """
    rounded = [_rounded(pose) for pose in poses]
    own = {number: pose for pose in before if (number := picture.number_of(pose.document_id)) is not None}
    given = _numbers(rounded, own)
    others = [*_other_tasks(picture, before, schema), *([pose.there for pose in poses] for poses in opinions)]
    references = _references(rounded, others)
    expected = schema.of_group(picture.capture.joint_group)

    def document(number: int, keypoints: Mapping[str, Keypoint], quality: float) -> LabeledPose:
        return LabeledPose(
            document_id=picture.document_id(number),
            capture_id=picture.capture.capture_id,
            keypoints=keypoints,
            quality=quality,
            made=now,
            schema=schema.name,
            picture=picture.key,
            size=picture.size,
            annotator=picture.annotator,
        )

    found = [
        document(
            number, dict(pose.there), quality_of(pose, schema, expected, population, references[index]).score
        )
        for index, (pose, number) in enumerate(zip(rounded, given, strict=True))
    ]
    gone = [number for number, pose in own.items() if number not in given and pose.keypoints]
    withdrawn = [document(number, {}, 0.0) for number in sorted(gone)] if may_withdraw else []
    return Corrections(tuple(sorted(found, key=lambda pose: pose.document_id)), tuple(withdrawn))


def hundredths(value: float) -> float:
    """Return a coordinate as an export of CVAT has it, so that one read from its interface is the same."""
    return float(f"{value:.2f}") + 0.0


def _rounded(pose: Pose) -> Pose:
    points = {
        name: Keypoint(hundredths(point.x), hundredths(point.y), point.visibility)
        for name, point in pose.keypoints.items()
    }
    return Pose(points, pose.box, pose.attributes)


def _numbers(poses: Sequence[Pose], own: Mapping[int, LabeledPose]) -> list[int]:
    given = _assigned(poses, {number: pose.keypoints for number, pose in own.items()})
    # Where no joint is shared nothing tells animals apart: they go on under the numbers that are there.
    free = [number for number in sorted(own) if number not in given.values()]
    found: list[int] = []
    for index in range(len(poses)):
        number = given.get(index)
        if number is None:
            number = free.pop(0) if free else _lowest({*own, *given.values(), *found})
        found.append(number)
    return found


def _lowest(taken: set[int]) -> int:
    number = 1
    while number in taken:
        number += 1
    return number


def _assigned(poses: Sequence[Pose], others: Mapping[int, Mapping[str, Keypoint]]) -> dict[int, int]:
    """Return for the index of a pose the key of the nearest other one; nearest pairs first, each only once."""
    pairs = sorted(
        (distance, index, key)
        for index, pose in enumerate(poses)
        for key, points in others.items()
        if (distance := _distance(pose.there, points)) is not None
    )
    found: dict[int, int] = {}
    for _, index, key in pairs:
        if index not in found and key not in found.values():
            found[index] = key
    return found


def _distance(first: Mapping[str, Keypoint], second: Mapping[str, Keypoint]) -> float | None:
    shared = [(point, second[name]) for name, point in first.items() if name in second]
    if not shared:
        return None
    return sum(math.hypot(a.x - b.x, a.y - b.y) for a, b in shared) / len(shared)


def _other_tasks(
    picture: Picture, before: Iterable[LabeledPose], schema: JointSchema
) -> list[list[Mapping[str, Keypoint]]]:
    """Return the animals of the same capture as people saw them in other tasks, task by task."""
    by_task: dict[str | None, list[Mapping[str, Keypoint]]] = {}
    for other in before:
        if picture.number_of(other.document_id) is None and other.schema == schema.name and other.keypoints:
            by_task.setdefault(time_of(other.document_id), []).append(other.keypoints)
    return list(by_task.values())


def _references(
    poses: Sequence[Pose], others: Iterable[Sequence[Mapping[str, Keypoint]]]
) -> list[list[Pose]]:
    """Return for each animal what others say of it."""
    found: list[list[Pose]] = [[] for _ in poses]
    for animals in others:
        for index, number in _assigned(poses, dict(enumerate(animals))).items():
            distance = _distance(poses[index].there, animals[number])
            if distance is not None and distance <= math.sqrt(animal_area(poses[index])):
                found[index].append(Pose(animals[number]))
    return found
