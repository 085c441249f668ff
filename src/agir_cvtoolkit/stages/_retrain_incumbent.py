"""What devices have found by themselves: what the first pose model has to beat before it is published to them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.firebase import CaptureStore, with_picture_size
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.records import file_stem

from ._evaluation import Incumbent, Judged
from ._retrain_split import TEST
from ._transfer_picture import poses_by_schema

if TYPE_CHECKING:
    from agir_cvtoolkit.joints import JointSchema
    from agir_cvtoolkit.training.pose_samples import PoseSample

    from ._pose_set import PoseSet

NAME = "what the devices run"


def poses_of_devices(store: CaptureStore, poses: PoseSet, schema: JointSchema) -> Incumbent:
    """Return what devices have sent of the test pictures, as if it were a model's.

    Raises:
        DataError: captures are gone, or the devices have found nothing in any of them.
        RemoteError: the store cannot be reached.
    """
    sizes = {pose.capture_id: pose.size for pose in poses.of(TEST)}
    captures = store.get(sizes)
    lost = sorted(sizes.keys() - captures.keys())
    if lost:
        raise DataError(
            f"what the devices have sent with {lost[0]} is no longer there", "It was deleted since."
        )
    sent = {
        file_stem(one.capture_id): poses_by_schema(
            with_picture_size(one, sizes[one.capture_id]).poses, schema
        )[0]
        for one in captures.values()
    }
    if not any(pose.there for found in sent.values() for pose in found):
        raise DataError("the devices have sent no poses with the test pictures", "Nothing can be done.")

    def judge(samples: Sequence[PoseSample]) -> Judged:
        from ._pose_evaluation import judge_found

        by_picture: dict[str, list[int]] = defaultdict(list)
        for number, sample in enumerate(samples):
            by_picture[sample.record_id].append(number)
        found = [Pose()] * len(samples)
        for record_id, numbers in by_picture.items():
            for number, pose in _nearest(numbers, samples, sent.get(record_id, ())):
                found[number] = pose
        return judge_found(found, samples, schema)

    return Incumbent(NAME, judge)


def _nearest(
    numbers: Sequence[int], samples: Sequence[PoseSample], sent: Sequence[Pose]
) -> list[tuple[int, Pose]]:
    """Give each animal of a picture at most one of the poses that were sent, the nearest pairs first."""
    pairs = sorted(
        (distance, number, at)
        for number in numbers
        for at, pose in enumerate(sent)
        if math.isfinite(distance := _distance(samples[number].pose, pose))
    )
    taken: dict[int, int] = {}
    for _, number, at in pairs:
        if number not in taken and at not in taken.values():
            taken[number] = at
    return [(number, sent[at]) for number, at in taken.items()]


def _distance(true: Pose, sent: Pose) -> float:
    """Return the mean distance in pixels of the joints that both have; infinite where they share none."""
    shared = true.there.keys() & sent.there.keys()
    if not shared:
        return math.inf
    return sum(math.dist(*((p.at(n).x, p.at(n).y) for p in (true, sent))) for n in sorted(shared)) / len(
        shared
    )
