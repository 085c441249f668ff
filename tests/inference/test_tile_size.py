"""Which tiles a network sees where the settings leave it open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.inference.halving import Halving
from agir_cvtoolkit.inference.looks import looking_again
from agir_cvtoolkit.inference.network_predictor import NetworkPredictor
from agir_cvtoolkit.inference.plugins import load_plugin
from agir_cvtoolkit.inference.predictor import RGB, Probabilities
from agir_cvtoolkit.inference.segment import segment
from agir_cvtoolkit.inference.tile_size import fitted
from agir_cvtoolkit.models.card import ArchSpec, ModelCard

CARD = ModelCard("unet", "0" * 12, ArchSpec(), tile_size=(96, 160))


class Seen(NetworkPredictor):
    """Remembers the tiles that it saw."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.sizes: set[tuple[int, ...]] = set()

    def _computed(self, tiles: RGB) -> Probabilities:
        self.sizes.add(tiles.shape[1:3])
        return np.full((len(tiles), 2, *tiles.shape[1:3]), 0.5, dtype=np.float32)


class Unlearned:
    """A predictor of one's own that does not say what it learned from."""

    name = "own"
    classes = ("background", "plant")
    class_ids = (0, 255)
    needs_tiles: Literal[True] = True

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def predict_tiles(self, batch: RGB) -> Probabilities:
        return np.full((len(batch), 2, *batch.shape[1:3]), 0.5, dtype=np.float32)


class Learned(Unlearned):
    tile_size = (320, 352)


def tile(settings: SegInference, predictor: Any) -> tuple[int | None, int | None]:
    found = fitted(settings, predictor).tile
    return found.height, found.width


def named(**sides: int) -> SegInference:
    return SegInference.model_validate({"tile": sides})


def test_a_network_sees_the_tiles_that_its_card_names() -> None:
    predictor = Seen(CARD)
    segment(predictor, np.zeros((300, 400, 3), dtype=np.uint8), SegInference())
    segment(Halving(predictor), np.zeros((300, 400, 3), dtype=np.uint8), SegInference())
    assert predictor.sizes == {(96, 160)}


@pytest.mark.parametrize("wrapped", [Halving, looking_again])
def test_what_is_around_a_predictor_knows_its_tiles(wrapped: Any) -> None:
    assert tile(SegInference(), wrapped(Seen(CARD))) == (96, 160)
    assert tile(SegInference(), wrapped(Unlearned())) == (512, 512)


@pytest.mark.parametrize(
    ("sides", "expected"),
    [({}, (96, 160)), ({"height": 256}, (256, 160)), ({"width": 64, "height": 64}, (64, 64))],
)
def test_what_the_settings_name_counts(sides: dict[str, int], expected: tuple[int, int]) -> None:
    assert tile(named(**sides), Seen(CARD)) == expected


@pytest.mark.parametrize(("learned", "expected"), [((500, 100), (512, 96)), ((32, 8192), (64, 8192))])
def test_a_size_that_networks_do_not_take_goes_to_the_nearest(
    learned: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert tile(SegInference(), Seen(replace(CARD, tile_size=learned))) == expected


def test_predictors_of_ones_own_may_say_what_they_learned_from() -> None:
    here = f"{__name__}:"
    assert tile(SegInference(), load_plugin(here + "Learned", {})) == (320, 352)
    assert tile(SegInference(), load_plugin(here + "Unlearned", {})) == (512, 512)


@pytest.mark.parametrize("size", [512, (512,), (0, 512), ("512", "512")])
def test_a_plugin_with_an_odd_tile_size_is_refused(size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Learned, "tile_size", size)
    with pytest.raises(ConfigError, match="tile_size is not a pair"):
        load_plugin(f"{__name__}:Learned", {})
