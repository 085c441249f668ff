from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.parts import Parts
from agir_cvtoolkit.inference.predictor import RGB, Predictor, Probabilities
from agir_cvtoolkit.inference.segment import segment
from agir_cvtoolkit.scratch import on_disk


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


class Halves(Flat):
    """A network that works at half size and takes green for a plant."""

    name = "halves"

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] // 2, size[1] // 2

    def predict_tiles(self, batch: RGB) -> Probabilities:
        found = super().predict_tiles(batch)
        found[:, 1] += 0.7 * (batch[..., 1] > 130)
        found[:, 0] -= 0.7 * (batch[..., 1] > 130)
        return found


def peak_bytes(predictor: Predictor, height: int, folder: Path | None = None) -> int:
    shape = (height, 1024, 3)
    rgb = np.empty(shape, np.uint8) if folder is None else on_disk(shape, np.uint8, folder)
    rgb[:] = 90
    rgb[:, 300:500] = (40, 160, 30)
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


@pytest.mark.parametrize("predictor", [ColourPredictor(), Flat()], ids=lambda p: p.name)
def test_memory_does_not_grow_with_a_picture_on_disk(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parts.__init__, "__defaults__", (1 << 18,))
    small, large = peak_bytes(predictor, 1024, tmp_path), peak_bytes(predictor, 4096, tmp_path)
    assert (large - small) / (3072 * 1024) < 0.5


@pytest.mark.parametrize("predictor", [ColourPredictor(), Halves()], ids=lambda p: p.name)
def test_the_same_is_found_on_disk(predictor: Predictor, tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    rgb[50:120, 40:160] = (40, 160, 30)
    there = on_disk(rgb.shape, np.uint8, tmp_path)
    there[:] = rgb
    asked = {"tile": {"height": 64, "width": 64}, "output": {"save_uncertainty": True}}
    settings = SegInference.model_validate(asked | {"post_process": {"min_area": 9, "fill_holes": 9}})
    plain, far = segment(predictor, rgb, settings), segment(predictor, there, settings)
    assert isinstance(far.index, np.memmap)
    assert plain.index.any()
    assert np.array_equal(far.index, plain.index)
    assert plain.doubt is not None
    assert far.doubt is not None
    assert np.array_equal(far.doubt, plain.doubt)
    assert (far.uncertainty, far.edge_occupancy, far.scores) == (
        plain.uncertainty,
        plain.edge_occupancy,
        plain.scores,
    )
