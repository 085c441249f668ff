from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.models.card import ArchSpec
from agir_cvtoolkit.models.heatmap import (
    HeatmapHead,
    HeatmapNet,
    build_heatmap,
    heatmap_loss,
    place_probabilities,
)
from agir_cvtoolkit.models.heatmap_decoding import decode, place_targets
from agir_cvtoolkit.models.pose_crop import crop_around
from agir_cvtoolkit.records import Box

_INNER = st.floats(12.0, 116.0)


@given(x=_INNER, y=_INNER)
def test_places_are_read_finer_than_the_grid(x: float, y: float) -> None:
    target = place_targets(np.array([[x, y]]), 128, 1.25)
    found = decode(target[:, :-1].reshape(1, 32, 32), np.zeros((1, 32, 32), np.float32))
    assert np.hypot(*(found.points[0] - (x, y))) < 0.3  # a cell is 4 pixels
    assert found.confidence[0] > 0.97


@given(x=st.floats(0, 127.9), y=st.floats(0, 127.9))
def test_targets_sum_to_one_wherever_a_joint_lies(x: float, y: float) -> None:
    assert place_targets(np.array([[x, y]]), 128, 1.25).sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("point", [(math.nan, math.nan), (-0.1, 5.0), (5.0, 128.0)])
def test_absent_joints_and_those_outside_have_no_place(point: tuple[float, float]) -> None:
    target = place_targets(np.array([point]), 128, 1.25)
    assert target[0, -1] == 1.0
    assert target.sum() == 1.0


def test_two_places_that_compete_halve_the_confidence() -> None:
    targets = place_targets(np.array([[20.0, 20.0], [100.0, 100.0]]), 128, 1.25)[:, :-1].reshape(2, 32, 32)
    both = (0.51 * targets[0] + 0.49 * targets[1])[None].astype(np.float32)
    found = decode(both, np.zeros_like(both))
    assert found.confidence[0] == pytest.approx(0.5, abs=0.03)
    assert np.allclose(found.points[0], (20, 20), atol=0.3)


@pytest.mark.parametrize(("share", "rivalry"), [(0.0, 0.0), (0.1, 0.2), (0.49, 0.98)])
def test_a_second_place_rivals_the_first(share: float, rivalry: float) -> None:
    targets = place_targets(np.array([[20.0, 20.0], [100.0, 100.0]]), 128, 1.25)[:, :-1].reshape(2, 32, 32)
    both = ((1 - share) * targets[0] + share * targets[1])[None].astype(np.float32)
    assert decode(both, np.zeros_like(both)).rivalry[0] == pytest.approx(rivalry, abs=0.02)


def test_numbers_that_are_none_are_no_place() -> None:
    broken = np.full((1, 8, 8), np.nan, np.float32)
    assert decode(broken, broken).confidence[0] == 0.0


def test_hidden_is_read_where_the_joint_is() -> None:
    place = place_targets(np.array([[20.0, 20.0]]), 64, 1.0)[:, :-1].reshape(1, 16, 16)
    hidden = np.zeros((1, 16, 16), np.float32)
    hidden[0, 2:8, 2:8] = 0.9
    assert decode(place, hidden).hidden[0] == pytest.approx(0.9, abs=0.05)
    assert decode(place, 0.9 - hidden).hidden[0] == pytest.approx(0.0, abs=0.05)


def _net(joints: int = 3) -> HeatmapNet:
    torch.manual_seed(0)
    return build_heatmap(ArchSpec("heatmap", "efficientnet_lite0", joints, (16, 12, 8), None)).eval()


def test_a_new_network_knows_of_no_joint() -> None:
    with torch.no_grad():
        places, hidden = place_probabilities(_net()(torch.zeros(2, 3, 64, 96)))
    assert places.shape == hidden.shape == (2, 3, 16, 24)
    sums = places.sum(dim=(2, 3))
    assert ((sums > 0) & (sums < 0.6)).all()


def test_loss_is_least_at_the_target() -> None:
    targets = torch.from_numpy(place_targets(np.array([[20.0, 20.0], [math.nan, math.nan]]), 64, 1.0))[None]
    right = torch.full((1, 4, 16, 16), -20.0)
    right[0, 0] = targets[0, 0, :-1].clamp(min=1e-9).log().reshape(16, 16) + 25
    right[0, 2] = 5.0  # joint 0 is hidden
    hidden = torch.tensor([[1.0, 0.0]])
    best = heatmap_loss(right, targets, hidden)
    elsewhere = right.clone()
    elsewhere[0, 0] = right[0, 0].roll(4, dims=1)
    claimed = right.clone()
    claimed[0, 1, 3, 3] = 30.0  # joint 1 is absent
    seen = right.clone()
    seen[0, 2] = -5.0
    absent_hidden = right.clone()
    absent_hidden[0, 3] = 9.0  # whether an absent joint is hidden is nothing to learn
    for wrong in (elsewhere, claimed, seen):
        assert heatmap_loss(wrong, targets, hidden) > best + 0.5
    assert heatmap_loss(absent_hidden, targets, hidden) == pytest.approx(float(best))


def test_a_head_needs_three_widths() -> None:
    with pytest.raises(ValueError, match="3 widths, not 5"):
        HeatmapHead((24, 40, 112, 320), (64, 48, 32, 24, 16), 4)


@given(
    box=st.tuples(st.floats(0, 300), st.floats(0, 200), st.floats(2, 200), st.floats(2, 200)),
    turn=st.floats(-180, 180),
    zoom=st.floats(0.5, 2),
    point=st.tuples(st.floats(-50, 400), st.floats(-50, 400)),
)
def test_points_come_back_from_the_crop(
    box: tuple[float, float, float, float], turn: float, zoom: float, point: tuple[float, float]
) -> None:
    crop = crop_around(Box(*box), (400, 300), 256, 0.15, turn=turn, zoom=zoom, shift=(0.1, -0.05))
    there = np.array([point])
    assert np.allclose(crop.to_picture(crop.to_input(there)), there, atol=1e-6)


def test_the_crop_holds_the_box_with_its_padding() -> None:
    crop = crop_around(Box(100, 50, 80, 40), (400, 300), 256, 0.25)
    corners = crop.to_input(np.array([[100.0, 50.0], [180.0, 90.0]]))
    side = 256 / (80 * 1.5)
    assert np.allclose(corners, [[20 * side, 40 * side], [100 * side, 80 * side]])


@pytest.mark.parametrize(("size", "seen"), [((400, 300), 128), ((1600, 1200), 64), ((64, 48), 128)])
@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_pixels_and_points_go_the_same_way(size: tuple[int, int], seen: int, turn: float) -> None:
    width, height = size
    rows, columns = np.mgrid[:height, :width] + 0.5
    x, y = 0.6 * width, 0.4 * height
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[np.hypot(columns - x, rows - y) < max(2.0, width / 25)] = 255
    crop = crop_around(None, size, seen, 0.15, turn=turn)
    bright = crop.pixels(rgb)[..., 0].astype(float)
    bright[bright < 140] = 0  # the border is grey
    at = np.mgrid[:seen, :seen] + 0.5
    middle = (bright * at[1]).sum() / bright.sum(), (bright * at[0]).sum() / bright.sum()
    assert np.allclose(middle, crop.to_input(np.array([[x, y]]))[0], atol=0.6)
