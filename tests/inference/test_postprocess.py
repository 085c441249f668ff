from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agir_cvtoolkit.inference.postprocess import (
    classify,
    edge_occupancy,
    fill_holes,
    remove_specks,
    to_mask,
)
from agir_cvtoolkit.inference.predictor import is_plant_or_not, mask_values
from agir_cvtoolkit.inference.renderings import colorized, colour_of, cutout
from agir_cvtoolkit.inference.uncertainty import normalised_entropy


def two_classes(foreground: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    plant = np.array([foreground], dtype=np.float32)
    return np.stack([1 - plant, plant])


def test_the_threshold_decides() -> None:
    assert classify(two_classes([0.2, 0.5, 0.7]), 0.5).tolist() == [[0, 1, 1]]
    assert classify(two_classes([0.2, 0.5, 0.7]), 0.65).tolist() == [[0, 0, 1]]


def test_of_several_classes_the_likeliest_wins_where_foreground_does() -> None:
    p = np.array([[[0.6, 0.4, 0.1]], [[0.3, 0.35, 0.2]], [[0.1, 0.25, 0.7]]], dtype=np.float32)
    assert classify(p, 0.5).tolist() == [[0, 1, 2]]


def test_specks_go_and_parts_stay() -> None:
    index = np.zeros((10, 10), dtype=np.uint8)
    index[1:4, 1:4] = 2
    index[7, 7] = index[8, 8] = 1
    assert remove_specks(index, 3)[7:9, 7:9].sum() == 0
    assert remove_specks(index, 2)[8, 8] == 1
    assert np.array_equal(remove_specks(index, 3)[:5, :5], index[:5, :5])


def test_holes_take_the_class_around_them_and_bays_stay() -> None:
    index = np.full((9, 9), 2, dtype=np.uint8)
    index[4, 4] = 0
    index[0, 6] = 0
    index[6:8, 1:3] = 0
    filled = fill_holes(index, 3)
    assert filled[4, 4] == 2
    assert filled[0, 6] == 0
    assert filled[6, 1] == 0
    assert fill_holes(index, 4)[6, 1] == 2


def test_nothing_is_cleaned_when_nothing_is_asked_for() -> None:
    index = np.eye(5, dtype=np.uint8)
    assert remove_specks(index, 0) is index
    assert fill_holes(index, 0) is index


@given(arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 2)))
def test_edge_occupancy_counts_each_border_pixel_once(
    index: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
) -> None:
    border = np.ones(index.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    assert edge_occupancy(index) == pytest.approx((index[border] != 0).mean())


@given(arrays(np.uint8, (6, 7), elements=st.integers(0, 1)), st.integers(0, 20))
def test_cleaning_is_idempotent(index: np.ndarray[tuple[int, int], np.dtype[np.uint8]], area: int) -> None:
    once = fill_holes(remove_specks(index, area), area)
    assert np.array_equal(fill_holes(remove_specks(once, area), area), once)


def test_mask_values() -> None:
    index = np.array([[0, 1, 2]], dtype=np.uint8)
    assert to_mask(index, (0, 255, 9)).tolist() == [[0, 255, 9]]


@dataclass
class Named:
    """Says what it knows."""

    classes: tuple[str, ...]
    class_ids: tuple[int, ...]
    name: str = "named"


@pytest.mark.parametrize(
    ("classes", "class_ids", "values"),
    [
        (("background", "plant"), (0, 255), (0, 27)),
        (("background", "plant"), (0, 7), (0, 7)),
        (("background", "weed"), (0, 255), (0, 255)),
        (("background", "crop", "weed"), (0, 1, 255), (0, 1, 255)),
        (("background", "plant", "crop"), (0, 255, 1), (0, 255, 1)),
    ],
)
def test_only_plant_or_not_takes_the_class_of_the_record(
    classes: tuple[str, ...], class_ids: tuple[int, ...], values: tuple[int, ...]
) -> None:
    predictor = Named(classes, class_ids)
    assert mask_values(predictor, 27) == values
    assert is_plant_or_not(predictor) == (values == (0, 27))


def test_entropy_is_normalised_and_the_score_looks_at_plausible_pixels() -> None:
    assert normalised_entropy(two_classes([0.5, 0.0, 1.0]))[0].tolist() == pytest.approx([1, 0, 0], abs=1e-5)
    thirds = np.full((3, 1, 1), 1 / 3, dtype=np.float32)
    assert normalised_entropy(thirds)[0, 0] == pytest.approx(1)


def test_renderings() -> None:
    rgb = np.full((1, 2, 3), 80, dtype=np.uint8)
    index = np.array([[0, 2]], dtype=np.uint8)
    assert cutout(rgb, index, rgba=False).tolist() == [[[0, 0, 0], [80, 80, 80]]]
    assert cutout(rgb, index, rgba=True)[..., 3].tolist() == [[0, 255]]
    assert colorized(index, [(1, 1, 1), (10, 100, 200)], 2).tolist() == [[[0, 0, 0], [20, 200, 255]]]


@pytest.mark.parametrize(
    ("value", "colour"),
    [("[29, 104, 110]", (29, 104, 110)), (None, (1, 2, 3)), ("red", (1, 2, 3)), ("[1, 2]", (1, 2, 3)),
     ("[1, 2, 999]", (1, 2, 3)), ("[1, 2, NaN]", (1, 2, 3)), (7, (1, 2, 3))],
)  # fmt: skip
def test_colours_of_a_source(value: str | int | None, colour: tuple[int, int, int]) -> None:
    assert colour_of(value, (1, 2, 3)) == colour
