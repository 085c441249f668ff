from __future__ import annotations

import logging

import numpy as np
import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.inference.halving import Halving
from agir_cvtoolkit.inference.predictor import RGB, Probabilities
from agir_cvtoolkit.inference.segment import segment

from .test_tiling import Pixelwise, TileMean, picture


class Small(TileMean):
    """Has memory for so many tiles at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def predict_tiles(self, batch: RGB) -> Probabilities:
        if len(batch) > self.room:
            self.batches.append((-len(batch),))
            raise MemoryError("CUDA out of memory")
        return super().predict_tiles(batch)


@pytest.mark.parametrize("room", [1, 2, 3, 8])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_else_changes(
    room: int, caplog: pytest.LogCaptureFixture
) -> None:
    rgb = picture(300, 330)
    settings = SegInference.model_validate({"tile": {"height": 64, "width": 64}, "batch_size": 8})
    with caplog.at_level(logging.WARNING):
        found = segment(Halving(Small(room)), rgb, settings)
    expected = segment(TileMean(), rgb, settings)
    assert np.array_equal(found.index, expected.index)
    assert found.uncertainty == expected.uncertainty
    assert ("going on with 4" in caplog.text) == (room < 8)


def test_what_fitted_is_remembered() -> None:
    small = Small(2)
    halving = Halving(small)
    tiles = np.zeros((8, 32, 32, 3), dtype=np.uint8)
    halving.predict_tiles(tiles)
    small.batches.clear()
    assert halving.predict_tiles(tiles).shape == (8, 2, 32, 32)
    assert [batch[0] for batch in small.batches] == [2, 2, 2, 2]


def test_not_even_one_tile_fits() -> None:
    with pytest.raises(UsageError, match=r"one tile of 32x64 pixels.* seg_inference\.tile\.height"):
        Halving(Small(0)).predict_tiles(np.zeros((4, 64, 32, 3), dtype=np.uint8))


def test_it_says_what_the_predictor_says() -> None:
    halving = Halving(Pixelwise(0.5))
    assert (halving.name, halving.classes, halving.class_ids) == (
        "pixelwise",
        ("background", "red"),
        (0, 255),
    )
    assert halving.working_size((10, 20)) == (5, 10)
    assert halving.needs_tiles
