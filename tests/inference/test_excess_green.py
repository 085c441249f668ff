from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference import excess_green as room
from agir_cvtoolkit.inference.excess_green import ExcessGreen, split_histogram
from agir_cvtoolkit.inference.segment import segment

RGB = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def soil(height: int, width: int, seed: int = 0) -> RGB:
    rng = np.random.default_rng(seed)
    light = rng.normal(1, 0.12, (height, width, 1))
    return np.clip(np.array([130, 105, 80]) * light + rng.normal(0, 5, (height, width, 3)), 0, 255).astype(
        np.uint8
    )


def planted(height: int, width: int) -> tuple[RGB, Mask]:
    rgb = soil(height, width)
    y, x = np.mgrid[:height, :width]
    truth = (y - height * 0.5) ** 2 + (x - width * 0.4) ** 2 < (0.25 * height) ** 2
    leaves = np.clip(np.array([70, 130, 50]) + np.random.default_rng(1).normal(0, 8, rgb.shape), 0, 255)
    rgb[truth] = leaves.astype(np.uint8)[truth]
    return rgb, truth


def test_finds_a_plant() -> None:
    rgb, truth = planted(300, 400)
    found = segment(ExcessGreen(), rgb, SegInference())
    assert iou(found.index != 0, truth) > 0.95
    assert found.uncertainty < 0.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bare_soil_has_no_plants(seed: int) -> None:
    found = segment(ExcessGreen(), soil(300, 400, seed), SegInference())
    assert found.foreground_share < 0.01


def test_a_picture_full_of_leaves_is_all_plant() -> None:
    rng = np.random.default_rng(3)
    light = rng.normal(1, 0.2, (200, 200, 1))
    rgb = np.clip(np.array([60, 140, 45]) * light + rng.normal(0, 6, (200, 200, 3)), 0, 255).astype(np.uint8)
    assert segment(ExcessGreen(), rgb, SegInference()).foreground_share > 0.97


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_pictures_are_empty(value: int) -> None:
    rgb = np.full((64, 80, 3), value, dtype=np.uint8)
    assert not segment(ExcessGreen(), rgb, SegInference()).index.any()


def test_strips_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, _ = planted(300, 260)
    whole = np.concatenate([b.probabilities for b in ExcessGreen().predict_bands(rgb)], axis=1)
    monkeypatch.setattr(room, "_STRIP", 37)
    bands = list(ExcessGreen().predict_bands(rgb))
    assert [b.top for b in bands] == list(range(0, 300, 37))
    np.testing.assert_allclose(np.concatenate([b.probabilities for b in bands], axis=1), whole, atol=1e-5)


def test_probabilities_sum_to_one_and_cross_at_the_threshold() -> None:
    rgb, truth = planted(200, 200)
    band = np.concatenate([b.probabilities for b in ExcessGreen().predict_bands(rgb)], axis=1)
    assert band.dtype == np.float32
    np.testing.assert_allclose(band.sum(axis=0), 1, atol=1e-6)
    assert band[1][truth].mean() > 0.9
    assert band[1][~truth].mean() < 0.1


def test_the_split_lies_between_two_modes() -> None:
    centres = np.linspace(-0.5, 1, 512)
    counts = 1000 * np.exp(-((centres / 0.03) ** 2)) + 200 * np.exp(-(((centres - 0.3) / 0.05) ** 2))
    split = split_histogram(counts)
    assert 0.08 < split.threshold < 0.2
    assert 10 <= split.slope <= 80


def test_an_empty_histogram_is_no_error() -> None:
    assert 0.07 <= split_histogram(np.zeros(512)).threshold <= 0.25
