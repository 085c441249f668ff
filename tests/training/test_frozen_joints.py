from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agir_cvtoolkit.config._pose import PoseTrain
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.training.frozen_features import FrozenEncoder, FrozenFeatures, key_of
from agir_cvtoolkit.training.frozen_head import one_thread
from agir_cvtoolkit.training.frozen_joints import JointLearner, JointSettings, PoseUnit, pose_scores, views_of
from agir_cvtoolkit.training.pose_samples import PoseSample

SCHEMA = JointSchema(name="two", label="animal", joints=("head", "tail"))
SIDE = 64
SETTINGS = JointSettings(
    steps=60, batch=4, variations=1, lr=0.01, shown=PoseTrain.model_validate({"model": {"input_size": 64}})
)


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> JointLearner:
    encoder, store = FrozenEncoder(), FrozenFeatures(tmp_path_factory.mktemp("maps"))
    rng = np.random.default_rng(0)
    units = []
    for number in range(8):
        rgb = np.full((SIDE, SIDE, 3), 90, np.uint8)
        points = {}
        for joint, colour in (("head", (250, 30, 30)), ("tail", (30, 30, 250))):
            x, y = rng.integers(10, SIDE - 10, 2).tolist()
            rgb[y - 6 : y + 6, x - 6 : x + 6] = colour
            points[joint] = Keypoint(float(x), float(y))
        sample = PoseSample(f"p{number}", Path("none.png"), Pose(points), (SIDE, SIDE))
        views = views_of(sample, rgb, SCHEMA, SETTINGS)
        for view in views:
            store.append(key_of(view.pixels), encoder.maps(view.pixels))
        keys = tuple(key_of(view.pixels) for view in views)
        units.append(PoseUnit(sample, keys, tuple(v.points for v in views), tuple(v.hidden for v in views)))
    return JointLearner(store, units, SCHEMA, SETTINGS)


def test_the_plain_view_is_the_whole_picture() -> None:
    sample = PoseSample("p", Path("none.png"), Pose({"head": Keypoint(32, 16)}), (128, 64))
    plain, varied = views_of(sample, np.zeros((64, 128, 3), np.uint8), SCHEMA, SETTINGS)
    np.testing.assert_allclose(plain.points[0], (16, 24))  # half the size, 32 grey rows above
    assert np.isnan(plain.points[1]).all()
    assert varied.pixels.shape == (64, 64, 3)


def test_it_learns_and_alike_from_the_same(learner: JointLearner) -> None:
    with one_thread():
        first, again = learner.learn([0, 1, 2, 3, 4, 5], 1), learner.learn([5, 4, 3, 2, 1, 0], 1)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert learner.score(first, [0, 1, 2]).pck[0.2] > 0.6
    pose = next(learner.poses(first, [6]))
    assert set(pose.keypoints) == {"head", "tail"}
    scores = pose_scores(pose)
    assert set(scores) == {"joints", "peaks", "confidence"}
    assert all(0 <= value <= 1 for value in scores.values())
