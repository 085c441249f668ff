"""How many bytes a record holds, by its header and by what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.held import Predicting, held_bytes
from agir_cvtoolkit.inference.predictor import RGB, Probabilities
from agir_cvtoolkit.picture_memory import A_PIXEL
from agir_cvtoolkit.records import Box, Record

SIZE = (200, 100)
PIXELS = 20_000


class Many:
    """A network of several classes."""

    name = "many"
    needs_tiles: Literal[True] = True
    tile_size = (64, 96)

    def __init__(self, classes: int) -> None:
        self.classes = tuple(f"c{number}" for number in range(classes))
        self.class_ids = tuple(range(classes))

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def predict_tiles(self, batch: RGB) -> Probabilities:
        raise AssertionError


def chosen(**groups: Any) -> SegInference:
    return SegInference.model_validate(groups)


@pytest.fixture
def rgb(tmp_path: Path) -> Path:
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_plain_picture_takes_no_more_than_is_reckoned_with(rgb: Path) -> None:
    found = held_bytes(Record("a", rgb), Predicting.of(ColourPredictor(), SegInference()))
    assert 10 * PIXELS <= found <= A_PIXEL * PIXELS


@pytest.mark.parametrize(("dtype", "least"), [(np.float32, 12), (np.int32, 12), (np.uint16, 10)])
def test_files_of_more_bits_take_what_decoding_them_takes(
    tmp_path: Path, dtype: type[Any], least: int
) -> None:
    file = tmp_path / "deep.tif"
    Image.fromarray(np.zeros(SIZE[::-1], dtype)).save(file)
    assert held_bytes(Record("a", file), Predicting()) == least * PIXELS


def test_a_picture_that_is_turned_is_there_twice(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(tmp_path / "turned.jpg", exif=exif)
    assert held_bytes(Record("a", tmp_path / "turned.jpg"), Predicting()) == 11 * PIXELS


def test_batches_of_probabilities_count_by_classes_tiles_and_batch(rgb: Path) -> None:
    def beyond(classes: int, **groups: Any) -> int:
        predicting = Predicting.of(Many(classes), chosen(**groups))
        return held_bytes(Record("a", rgb), predicting) - 10 * PIXELS

    # Four batches of four tiles, and two rows of tiles in the making; float32, one plane for other scores.
    assert beyond(2) == 4 * 3 * (4 * 4 * 64 * 96 + 2 * 64 * 200)
    assert beyond(5) == 2 * beyond(2)
    assert beyond(2, batch_size=40) > 8 * beyond(2)
    assert beyond(2, tile={"height": 512, "width": 512}) > 30 * beyond(2)


def test_outputs_that_are_asked_for_count() -> None:
    plain = Predicting.of(ColourPredictor(), SegInference()).pixel
    for output in ("save_uncertainty", "save_instances", "save_viz", "save_cutouts", "save_colorized_masks"):
        assert Predicting.of(ColourPredictor(), chosen(output={output: True})).pixel > plain


def test_of_a_cutout_its_own_pixels_count(rgb: Path) -> None:
    assert held_bytes(Record("a", rgb, crop=Box(1, 2, 10, 5)), Predicting(7)) == 500


def test_what_cannot_be_read_weighs_nothing(rgb: Path, tmp_path: Path) -> None:
    assert held_bytes(Record("a", None), Predicting(7)) == 0
    assert held_bytes(Record("a", tmp_path / "gone.png"), Predicting(7)) == 0
    assert held_bytes(Record("a", rgb, crop=Box(900, 2, 10, 5)), Predicting(7)) == 0
