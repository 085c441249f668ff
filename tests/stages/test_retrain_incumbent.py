"""The first pose model against what the devices have found by themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.stages._pose_set import LearnedPose, PoseSet
from agir_cvtoolkit.stages._retrain_incumbent import NAME, poses_of_devices
from agir_cvtoolkit.stages._retrain_split import TEST
from agir_cvtoolkit.training.pose_samples import PoseSample

from . import retraining as world


class Sent:
    """A store that knows some captures."""

    def __init__(self, *captures: Capture) -> None:
        self._captures = {one.capture_id: one for one in captures}

    def get(self, capture_ids: set[str]) -> dict[str, Capture]:
        return {name: self._captures[name] for name in capture_ids if name in self._captures}


def pose(number: int, shift: float = 0.0, **renamed: str) -> Pose:
    points = world.points(number)
    return Pose({renamed.get(n, n): Keypoint(p.x + shift, p.y, "visible", 0.3) for n, p in points.items()})


def asked(*captures: Capture, tested: tuple[tuple[str, int], ...]) -> tuple[PoseSet, list[PoseSample]]:
    learned = tuple(
        LearnedPose(f"{name}#{at}", name, name, 0, "", world.SIZE, TEST, world.points(number))
        for at, (name, number) in enumerate(tested)
    )
    samples = [PoseSample(one.record_id, Path(), Pose(one.keypoints), world.SIZE) for one in learned]
    return PoseSet("worm", learned), samples


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    world.call()


def judged(store: object, poses: PoseSet, samples: list[PoseSample]) -> list[list[float]]:
    incumbent = poses_of_devices(store, poses, load_schema("worm.yaml"))  # type: ignore[arg-type]
    assert (incumbent.name, incumbent.learned_from) == (NAME, None)
    counts: list[list[float]] = incumbent.judge(samples).counts.tolist()
    return counts


def test_each_animal_has_the_nearest_of_the_poses_that_were_sent() -> None:
    """One capture with two animals, sent in another order and under other names; one in which nothing was found."""
    both = Capture("a", 0.2, 7, poses=(pose(2, nose="head"), pose(1)))
    poses, samples = asked(tested=(("a", 1), ("a", 2), ("b", 3)))
    found = judged(Sent(both, Capture("b", 0.2, 7)), poses, samples)
    assert found == [[6.0] * 4 + [6.0], [0.0] * 4 + [3.0]]
    one = replace(both, poses=(pose(2),))
    assert judged(Sent(one, Capture("b", 0.2, 7)), poses, samples)[0] == [3.0] * 4 + [6.0], (
        "not for both animals"
    )


def test_shares_of_a_picture_are_placed_in_it() -> None:
    """As Apple Vision writes them: upwards from the bottom left, without the picture's size."""
    width, height = world.SIZE
    points = [
        {"type": name, "x": point.x / width, "y": 1 - point.y / height}
        for name, point in world.points(1).items()
    ]
    detected = ({"keypoints": points, "coordinates": "vision"},)
    poses, samples = asked(tested=(("a", 1),))
    assert judged(Sent(Capture("a", 0.2, 7, detected=detected)), poses, samples) == [[3.0] * 4 + [3.0]]


def test_without_poses_or_captures_nothing_can_be_compared() -> None:
    poses, samples = asked(tested=(("a", 1),))
    with pytest.raises(DataError, match="sent no poses with the test pictures"):
        judged(Sent(Capture("a", 0.2, 7)), poses, samples)
    with pytest.raises(DataError, match="sent with a is no longer there"):
        judged(Sent(), poses, samples)
