from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agir_cvtoolkit.errors import CheckpointError
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.models.card import ArchSpec, ModelCard
from agir_cvtoolkit.models.heatmap_decoding import place_targets
from agir_cvtoolkit.models.pose_crop import RGB, crop_around
from agir_cvtoolkit.models.pose_reading import TorchHeatmaps
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.poses import overall_confidence
from agir_cvtoolkit.records import Box
from tests.pose_pictures import SCHEMA, beast

_COLOURS = ((250, 40, 40), (40, 230, 60), (60, 80, 250), (250, 240, 60))
_SIZE = 128
CARD = ModelCard(
    "seer",
    "0123456789ab",
    ArchSpec("heatmap", "efficientnet_lite0", 4, (16, 12, 8), None),
    (),
    (),
    tile_size=(_SIZE, _SIZE),
    kind="pose",
    schema=SCHEMA,
)


class Seer:
    """Sees the colours of joints, and counts how often it is asked."""

    def __init__(self) -> None:
        self.inputs: list[RGB] = []

    def heatmaps(self, inputs: RGB) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.inputs += list(inputs)
        places = np.zeros((len(inputs), 4, _SIZE // 4, _SIZE // 4), np.float32)
        rows, columns = np.mgrid[:_SIZE, :_SIZE] + 0.5
        for number, picture in enumerate(inputs):
            for joint, colour in enumerate(_COLOURS):
                near = np.abs(picture.astype(int) - colour).max(axis=2) < 80
                if not near.any():
                    continue
                point = np.array([[columns[near].mean(), rows[near].mean()]])
                # The more of it is seen, the surer.
                sure = min(1.0, near.sum() / 20)
                places[number, joint] = sure * place_targets(point, _SIZE, 1.0)[0, :-1].reshape(
                    places.shape[2:]
                )
        return places, np.zeros_like(places)


def test_joints_are_found_in_pixels_of_the_picture() -> None:
    rgb, truth = beast(3, (240, 200))
    found = PosePredictor(Seer(), CARD).predict([rgb], [truth.box])[0]
    for joint, point in truth.keypoints.items():
        assert math.hypot(found.at(joint).x - point.x, found.at(joint).y - point.y) < 2.5
    assert found.box == truth.box
    assert 0.3 < overall_confidence(found) <= 1


def test_an_animal_without_a_box_is_looked_at_twice() -> None:
    rgb = np.full((400, 400, 3), 100, np.uint8)
    rgb[240:340, 240:360] = beast(5)[0]
    seer = Seer()
    found = PosePredictor(seer, CARD).predict([rgb])[0]
    assert len(seer.inputs) == 2
    assert overall_confidence(found) > 0.8
    assert found.box is None
    truth = beast(5)[1]
    for joint, point in truth.keypoints.items():
        assert math.hypot(found.at(joint).x - 240 - point.x, found.at(joint).y - 240 - point.y) < 1.5
    once = PosePredictor(Seer(), CARD, look_twice=False).predict([rgb])[0]
    assert overall_confidence(once) < overall_confidence(found)


def test_nothing_in_the_picture_is_no_joint_and_one_look() -> None:
    seer = Seer()
    found = PosePredictor(seer, CARD).predict([np.full((50, 80, 3), 100, np.uint8)])[0]
    assert not found.there
    assert set(found.keypoints) == set(SCHEMA.joints)
    assert {p.confidence for p in found.keypoints.values()} == {0.0}
    assert overall_confidence(found) == 0.0
    assert len(seer.inputs) == 1


def test_places_lie_inside_the_picture() -> None:
    rgb, truth = beast(3)
    cut = rgb[:, :20]
    for point in PosePredictor(Seer(), CARD).predict([cut], [truth.box])[0].there.values():
        assert 0 <= point.x <= 20
        assert 0 <= point.y <= 100


def _network() -> PosePredictor:
    torch.manual_seed(0)
    network = build(CARD.architecture, "pose")
    torch.nn.init.normal_(network.get_parameter("head.out.weight"), std=0.5)
    return PosePredictor(TorchHeatmaps(network, CARD, torch.device("cpu")), CARD)


def test_what_is_found_does_not_depend_on_the_batch() -> None:
    predictor = _network()
    pictures = [beast(seed)[0] for seed in range(4)]
    boxes = [Box(10, 10, 90, 70), None, Box(0, 0, 60, 60), None]
    together = predictor.predict(pictures, boxes)
    assert together == [predictor.predict([p], [b])[0] for p, b in zip(pictures, boxes, strict=True)]
    assert predictor.predict([]) == []
    with pytest.raises(ValueError, match="1 boxes for 4 pictures"):
        predictor.predict(pictures, [None])


def test_several_animals_of_one_picture_have_a_pose_each() -> None:
    first, one = beast(1)
    second, two = beast(2)
    rgb = np.concatenate([first, second], axis=1)
    boxes = [one.box, Box(120 + 12, 10, 96, 80)]
    left, right = PosePredictor(Seer(), CARD).predict([rgb, rgb], boxes)
    assert left.at("head").x == pytest.approx(one.at("head").x, abs=2.5)
    assert right.at("head").x == pytest.approx(120 + two.at("head").x, abs=2.5)


def test_a_box_far_outside_finds_nothing() -> None:
    crop = crop_around(Box(5000, 5000, 10, 10), (120, 100), 64, 0.1)
    assert (crop.pixels(beast(1)[0]) == 127).all()
    assert not PosePredictor(Seer(), CARD).predict([beast(1)[0]], [Box(5000, 5000, 10, 10)])[0].there


def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is no pose model"):
        PosePredictor(Seer(), ModelCard("unet", "0123456789ab", ArchSpec()))
