from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agir_cvtoolkit.inference.predictor import Probabilities
from agir_cvtoolkit.inference.scaling import scaled_bands, scaled_tiles
from agir_cvtoolkit.inference.tiling import Tiling, blending_window, tile_starts


class Pixelwise:
    """Foreground is the red channel, whatever lies around a pixel."""

    name = "pixelwise"
    classes = ("background", "red")
    class_ids = (0, 255)
    needs_tiles: Literal[True] = True

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.batches: list[tuple[int, ...]] = []

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return round(size[0] * self.factor), round(size[1] * self.factor)

    def predict_tiles(self, batch: NDArray[np.uint8]) -> Probabilities:
        self.batches.append(batch.shape)
        red = batch[..., 0].astype(np.float32) / 255
        return np.stack([1 - red, red], axis=1)


class TileMean(Pixelwise):
    """Foreground is the mean of the tile, so that neighbouring tiles disagree."""

    def predict_tiles(self, batch: NDArray[np.uint8]) -> Probabilities:
        red = super().predict_tiles(batch)
        return np.broadcast_to(red.mean(axis=(2, 3), keepdims=True), red.shape).copy()


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def joined(predictor: Pixelwise, rgb: NDArray[np.uint8], tiling: Tiling) -> Probabilities:
    size = rgb.shape[1], rgb.shape[0]
    bands = list(scaled_bands(predictor, scaled_tiles(predictor, rgb, tiling), size, tiling))
    tops = np.cumsum([0, *(b.probabilities.shape[1] for b in bands)])
    assert [b.top for b in bands] == tops[:-1].tolist()
    return np.concatenate([b.probabilities for b in bands], axis=1)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    tile=st.sampled_from([(32, 32), (64, 32), (32, 96)]),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75]),
    mode=st.sampled_from(["reflect", "constant"]),
)
def test_a_pixelwise_predictor_comes_back_exactly(
    height: int, width: int, tile: tuple[int, int], overlap: float, mode: str
) -> None:
    rgb = picture(height, width)
    found = joined(Pixelwise(), rgb, Tiling(*tile, overlap, mode, 3))
    assert found.shape == (2, height, width)
    np.testing.assert_allclose(found[1], rgb[..., 0] / 255, atol=2e-6)


@pytest.mark.parametrize("batch_size", [2, 3, 7, 100])
def test_the_batch_size_changes_nothing(batch_size: int) -> None:
    rgb = picture(150, 170)
    one = joined(TileMean(), rgb, Tiling(64, 64, 0.25, "reflect", 1))
    many = joined(TileMean(), rgb, Tiling(64, 64, 0.25, "reflect", batch_size))
    assert np.array_equal(one, many)


def test_no_seam_between_tiles_that_disagree() -> None:
    rgb = picture(64, 400)
    rgb[:, 200:, 0] = 255
    row = joined(TileMean(), rgb, Tiling(64, 64, 0.5, "reflect", 4))[1, 32]
    assert np.abs(np.diff(row)).max() < 0.05


def test_batches_are_full_but_for_the_last() -> None:
    predictor = Pixelwise()
    list(scaled_tiles(predictor, picture(150, 170), Tiling(64, 64, 0.25, "reflect", 4)))
    assert [shape[0] for shape in predictor.batches] == [4, 4, 4]
    assert {shape[1:] for shape in predictor.batches} == {(64, 64, 3)}


@settings(deadline=None)
@given(size=st.integers(64, 5000), overlap=st.floats(0, 0.9))
def test_tiles_cover_a_side_and_overlap_enough(size: int, overlap: float) -> None:
    starts = tile_starts(size, 64, overlap)
    assert starts[0] == 0
    assert starts[-1] == size - 64
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= max(1, int(64 * (1 - overlap))) + 1).all()
    assert (steps <= 64).all()


def test_the_window_is_positive_and_symmetric() -> None:
    window = blending_window(512)
    assert window.min() > 0
    np.testing.assert_allclose(window, window[::-1], atol=1e-6)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_a_scaled_prediction_lies_where_the_picture_does(factor: float) -> None:
    y, x = np.mgrid[:600, :400]
    rgb = np.zeros((600, 400, 3), dtype=np.uint8)
    rgb[..., 0] = (127 + 100 * np.sin(x / 40) * np.cos(y / 50)).astype(np.uint8)
    found = joined(Pixelwise(factor), rgb, Tiling(64, 64, 0.25, "reflect", 4))
    assert found.shape == (2, 600, 400)
    np.testing.assert_allclose(found[1], rgb[..., 0] / 255, atol=0.02)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
