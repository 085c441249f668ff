from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.config._inference import COLOUR_INDICES, THRESHOLD_METHODS
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.inference import colour_predictor as room
from agir_cvtoolkit.inference.colour_indices import INDICES
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor, split_histogram
from agir_cvtoolkit.inference.segment import segment
from agir_cvtoolkit.inference.thresholds import METHODS, Histogram

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
    found = segment(ColourPredictor(), rgb, SegInference())
    assert iou(found.index != 0, truth) > 0.95
    assert found.uncertainty < 0.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bare_soil_has_no_plants(seed: int) -> None:
    found = segment(ColourPredictor(), soil(300, 400, seed), SegInference())
    assert found.foreground_share < 0.01


def test_a_picture_full_of_leaves_is_all_plant() -> None:
    rng = np.random.default_rng(3)
    light = rng.normal(1, 0.2, (200, 200, 1))
    rgb = np.clip(np.array([60, 140, 45]) * light + rng.normal(0, 6, (200, 200, 3)), 0, 255).astype(np.uint8)
    assert segment(ColourPredictor(), rgb, SegInference()).foreground_share > 0.97


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_pictures_are_empty(value: int) -> None:
    rgb = np.full((64, 80, 3), value, dtype=np.uint8)
    assert not segment(ColourPredictor(), rgb, SegInference()).index.any()


def test_strips_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, _ = planted(300, 260)
    whole = np.concatenate([b.probabilities for b in ColourPredictor().predict_bands(rgb)], axis=1)
    monkeypatch.setattr(room, "_STRIP", 37)
    bands = list(ColourPredictor().predict_bands(rgb))
    assert [b.top for b in bands] == list(range(0, 300, 37))
    np.testing.assert_allclose(np.concatenate([b.probabilities for b in bands], axis=1), whole, atol=1e-5)


def test_probabilities_sum_to_one_and_cross_at_the_threshold() -> None:
    rgb, truth = planted(200, 200)
    band = np.concatenate([b.probabilities for b in ColourPredictor().predict_bands(rgb)], axis=1)
    assert band.dtype == np.float32
    np.testing.assert_allclose(band.sum(axis=0), 1, atol=1e-6)
    assert band[1][truth].mean() > 0.9
    assert band[1][~truth].mean() < 0.1


def two_modes() -> Histogram:
    centres = np.linspace(-0.5, 1, 512)
    counts = 1000 * np.exp(-((centres / 0.03) ** 2)) + 200 * np.exp(-(((centres - 0.3) / 0.05) ** 2))
    return Histogram(counts, -0.5, 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_the_split_lies_between_two_modes(method: str) -> None:
    split = split_histogram(two_modes(), INDICES["excess_green"], method)
    assert 0.07 <= split.threshold < 0.21
    assert 10 <= split.slope <= 80


def test_each_method_finds_its_own_threshold() -> None:
    assert len({method(two_modes()) for method in METHODS.values()}) == len(METHODS)


def test_methods_agree_with_opencv() -> None:
    plane = np.random.default_rng(4).normal(90, 20, 40_000)
    plane[:9_000] = np.random.default_rng(5).normal(190, 12, 9_000)
    picture = plane.clip(0, 255).astype(np.uint8).reshape(200, 200)
    histogram = Histogram(np.bincount(picture.reshape(-1), minlength=256).astype(np.float64), 0, 256)
    for method, flag in (("otsu", cv2.THRESH_OTSU), ("triangle", cv2.THRESH_TRIANGLE)):
        theirs, _ = cv2.threshold(picture, 0, 255, flag)
        assert METHODS[method](histogram) == pytest.approx(theirs, abs=2), method


@pytest.mark.parametrize("method", METHODS)
def test_thresholds_that_were_found_stay_where_plants_can_be(method: str) -> None:
    one_bin = np.zeros(512)
    one_bin[500] = 3
    for counts in (np.zeros(512), np.ones(512), one_bin):
        split = split_histogram(Histogram(counts, -0.5, 1.0), INDICES["excess_green"], method)
        assert 0.07 <= split.threshold <= 0.25
        assert np.isfinite(split.slope)


@pytest.mark.parametrize("index", INDICES)
def test_every_index_finds_the_plant_and_nothing_on_soil(index: str) -> None:
    rgb, truth = planted(200, 260)
    found = segment(ColourPredictor(index), rgb, SegInference())
    assert iou(found.index != 0, truth) > 0.9
    assert segment(ColourPredictor(index), soil(200, 260), SegInference()).foreground_share < 0.01


@pytest.mark.parametrize(
    ("index", "green"),
    [
        ("excess_green", (2 * 130 - 70 - 50) / (250 + 30)),
        ("excess_green_raw", (2 * 130 - 70 - 50) / 255),
        ("exgr", ((2 * 130 - 70 - 50) - (1.4 * 70 - 130)) / (250 + 30)),
        ("ngrdi", 60 / (200 + 20)),
        ("vari", 60 / (200 - 50 + 10)),
        ("cive", -(0.441 * 70 - 0.811 * 130 + 0.385 * 50 + 18.78745) / 255),
        ("gli", (2 * 130 - 70 - 50) / (2 * 130 + 70 + 50 + 30)),
        ("veg", np.log(140 / (80**0.667 * 60**0.333))),
        ("mgrvi", (130**2 - 70**2) / (130**2 + 70**2 + 900)),
        ("rgbvi", (130**2 - 70 * 50) / (130**2 + 70 * 50 + 900)),
    ],
)
def test_indices_are_those_of_their_papers(index: str, green: float) -> None:
    planes = (np.full((2, 2), value, dtype=np.float32) for value in (70, 130, 50))
    found = INDICES[index].plane(*planes)
    assert found.dtype == np.float32
    assert found == pytest.approx(green, abs=1e-5)
    assert INDICES[index].low < INDICES[index].floor < INDICES[index].ceiling < INDICES[index].high


@pytest.mark.parametrize("index", INDICES)
def test_indices_are_finite_for_every_colour(index: str) -> None:
    values = np.array([0, 1, 127, 254, 255], dtype=np.float32)
    red, green, blue = np.meshgrid(values, values, values)
    assert np.isfinite(INDICES[index].plane(red, green, blue)).all()


def test_a_given_threshold_is_taken_as_it_is() -> None:
    rgb, truth = planted(200, 260)
    shares = [
        segment(ColourPredictor("ngrdi", value), rgb, SegInference()).foreground_share
        for value in (-0.4, 0.1, 0.7)
    ]
    assert shares == pytest.approx([1, truth.mean(), 0], abs=0.02)


def test_the_name_tells_index_and_threshold() -> None:
    assert ColourPredictor().name == "excess_green"
    assert ColourPredictor("ngrdi").name == "ngrdi-otsu"
    assert ColourPredictor("excess_green", 0.1).name == "excess_green-0.1"


def test_unknown_names_suggest_the_near_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ngrdi'"):
        ColourPredictor("ngrdj")
    with pytest.raises(ConfigError, match="Did you mean 'triangle'"):
        ColourPredictor("vari", "triangel")


def test_the_configuration_knows_every_index_and_method() -> None:
    assert tuple(INDICES) == COLOUR_INDICES
    assert tuple(METHODS) == THRESHOLD_METHODS
    with pytest.raises(ValueError, match="threshold 'otzu' is neither a number nor one of otsu, "):
        SegInference.model_validate({"model": {"index_threshold": "otzu"}})
