from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.looks import disagreement, looking_again
from agir_cvtoolkit.inference.predictor import RGB, Band, Probabilities
from agir_cvtoolkit.inference.segment import Segmented, segment
from agir_cvtoolkit.inference.uncertainty import margin_doubt

from .test_tiling import Pixelwise, picture


def planes(*foreground: float) -> Probabilities:
    plant = np.array([foreground], dtype=np.float32)
    return np.stack([1 - plant, plant])


def judged(measure: str, predictor: object, rgb: RGB, **output: bool) -> Segmented:
    settings = {"uncertainty": {"score": measure}, "output": output, "tile": {"height": 64, "width": 64}}
    return segment(predictor, rgb, SegInference.model_validate(settings))  # type: ignore[arg-type]


def test_the_margin_is_that_of_the_two_likeliest() -> None:
    three = np.array([[[0.6, 0.4]], [[0.3, 0.4]], [[0.1, 0.2]]], dtype=np.float32)
    assert margin_doubt(three).tolist() == [[pytest.approx(0.7), pytest.approx(1.0)]]


@pytest.mark.parametrize("measure", ["entropy", "margin", "top_k", "disagreement"])
@pytest.mark.parametrize("predictor", [ColourPredictor(), Pixelwise()], ids=lambda p: p.name)
def test_every_measure_gives_a_score_and_a_map(measure: str, predictor: object) -> None:
    rgb = picture(90, 110)
    found = judged(measure, predictor, rgb, save_uncertainty=True)
    assert found.doubt is not None
    assert found.doubt.shape == (90, 110)
    assert 0 < found.uncertainty < 1
    assert found.doubt.max() > found.doubt.min()
    plain = judged("entropy", predictor, rgb)
    assert np.array_equal(found.index, plain.index)
    assert plain.doubt is None
    if measure != "entropy":
        assert found.uncertainty != plain.uncertainty


def test_the_map_shows_where_the_doubt_is() -> None:
    rgb = np.zeros((64, 64, 3), dtype=np.uint8)
    rgb[:, 32:, 0] = 127
    found = judged("margin", Pixelwise(), rgb, save_uncertainty=True)
    assert found.doubt is not None
    assert found.doubt[:, :32].max() == 0
    assert found.doubt[:, 32:].min() >= 254


def test_looks_that_agree_disagree_by_nothing_and_opposite_ones_by_one() -> None:
    sure, other = planes(1.0, 0.0)[None], planes(0.0, 0.0)[None]
    assert disagreement([sure, sure]).tolist() == [[[0.0, 0.0]]]
    assert disagreement([sure, other]).tolist() == [[[pytest.approx(1.0, abs=1e-5), 0.0]]]


class LeftHalf:
    """Knows plants by where they stand, which no predictor should: a mirror finds that out."""

    name = "left half"
    classes = ("background", "plant")
    class_ids = (0, 255)
    needs_tiles: Literal[False] = False

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        left = np.zeros(rgb.shape[:2], dtype=np.float32)
        left[:, : rgb.shape[1] // 4] = 1
        yield Band(0, np.stack([1 - left, left]))


def test_a_mirror_shows_what_depends_on_the_place() -> None:
    (band,) = looking_again(LeftHalf()).predict_bands(picture(4, 8))  # type: ignore[union-attr]
    assert band.probabilities.shape == (3, 4, 8)
    assert band.probabilities[1, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    doubt = band.probabilities[2, 0] > 0.1
    assert doubt.tolist() == [True, True, False, False, False, False, True, True]


def test_scaled_predictions_carry_the_disagreement() -> None:
    found = judged("disagreement", Pixelwise(0.5), picture(130, 150), save_uncertainty=True)
    assert found.doubt is not None
    assert found.doubt.max() > 0
