from __future__ import annotations

import tracemalloc
from typing import Literal

import numpy as np
import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.predictor import RGB, Predictor, Probabilities
from agir_cvtoolkit.inference.segment import segment


class Flat:
    """A network of five classes that costs nothing."""

    name = "flat"
    classes = ("background", "a", "b", "c", "d")
    class_ids = (0, 1, 2, 3, 4)
    needs_tiles: Literal[True] = True

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def predict_tiles(self, batch: RGB) -> Probabilities:
        found = np.full((len(batch), 5, *batch.shape[1:3]), 0.05, dtype=np.float32)
        found[:, 0] = 0.8
        return found


def peak_bytes(predictor: Predictor, height: int) -> int:
    rgb = np.full((height, 1024, 3), 90, dtype=np.uint8)
    settings = SegInference.model_validate({"tile": {"height": 128, "width": 128}})
    tracemalloc.start()
    try:
        segment(predictor, rgb, settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("predictor", [ColourPredictor(), Flat()], ids=lambda p: p.name)
def test_memory_grows_by_few_bytes_per_pixel(predictor: Predictor) -> None:
    small, large = peak_bytes(predictor, 1024), peak_bytes(predictor, 4096)
    per_pixel = (large - small) / (3072 * 1024)
    assert per_pixel < 7  # labels of connected parts take 4; float probabilities would take 8 more
