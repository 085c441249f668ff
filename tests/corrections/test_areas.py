"""Areas as rows of pixels, against drawn masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agir_cvtoolkit import agreement, masks
from agir_cvtoolkit.corrections import _areas
from agir_cvtoolkit.corrections._areas import Bits, area_of, outline_distance, overlap
from agir_cvtoolkit.shapes import Ellipse, Mask, Polygon, Rectangle

PAIRS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: st.tuples(arrays(np.bool_, size), arrays(np.bool_, size))
)


def mask_of(bits: np.ndarray) -> Mask:
    found = masks.encode(bits) or masks.Runs(np.array([1], np.int32), (0, 0, 0, 0))
    return Mask(label="weed", runs=found.lengths, box=found.box)


@given(PAIRS)
def test_masks_are_measured_as_drawn_ones_are(pair: tuple[np.ndarray, np.ndarray]) -> None:
    size = pair[0].shape[1], pair[0].shape[0]
    first, second = (area_of(mask_of(bits), size) for bits in pair)
    assert first.pixels == np.count_nonzero(pair[0])
    assert np.array_equal(first.drawn((0, 0, *size)), pair[0])
    if pair[0].any() or pair[1].any():
        assert overlap(first, second) == pytest.approx(agreement.iou(*pair))
    distance = outline_distance(first, second)
    if pair[0].any() and pair[1].any():
        assert distance == pytest.approx(agreement.boundary_distance(*pair), abs=1e-5)
    else:
        assert distance is None


BOXES = st.tuples(st.integers(-3, 9), st.integers(-3, 9), st.integers(1, 12), st.integers(1, 12))


@given(PAIRS, BOXES, st.integers(1, 3))
def test_masks_of_many_runs_are_held_as_bits_and_measured_the_same(
    pair: tuple[np.ndarray, np.ndarray], box: tuple[int, int, int, int], step: int
) -> None:
    size = pair[0].shape[1], pair[0].shape[0]
    rows = [area_of(mask_of(bits), size) for bits in pair]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_areas, "DENSE_FROM_RUNS", 1)
        patch.setattr(_areas, "_BAND_PIXELS", 7)
        bits = [area_of(mask_of(mask), size) for mask in pair]
        for mask, area in zip(pair, bits, strict=True):
            assert isinstance(area, Bits) == bool(mask.any())
        assert [area.pixels for area in bits] == [area.pixels for area in rows]
        for mixed in ((bits[0], bits[1]), (bits[0], rows[1]), (rows[0], bits[1])):
            assert overlap(*mixed) == overlap(*rows)
            assert outline_distance(*mixed) == outline_distance(*rows)
        left, top, width, height = box
        part = (left, top, left + width, top + height)
        if bits[0].pixels and left >= 0 and top >= 0:
            assert np.array_equal(bits[0].drawn(part, step), rows[0].drawn(part, step))


@given(PAIRS, st.integers(2, 3))
def test_every_second_row_and_column_of_a_drawing(pair: tuple[np.ndarray, np.ndarray], step: int) -> None:
    bits = pair[0]
    height, width = bits.shape
    assert np.array_equal(
        area_of(mask_of(bits), (width, height)).drawn((0, 0, width, height), step), bits[::step, ::step]
    )


def test_what_lies_outside_the_picture_does_not_count() -> None:
    outside = Mask(label="weed", runs=np.array([0, 16], np.int32), box=(-2, -2, 1, 1))
    assert area_of(outside, (10, 10)).pixels == 4
    assert area_of(Rectangle(label="weed", points=((-5.0, -5.0), (1e12, 3.0))), (10, 10)).pixels == 30
    assert area_of(
        Polygon(label="weed", points=((20.0, 20.0), (30.0, 20.0), (30.0, 30.0))), (10, 10)
    ).box == (
        0,
        0,
        0,
        0,
    )


def test_nonsense_covers_nothing() -> None:
    nan = float("nan")
    size = (10, 10)
    for shape in (
        Mask(label="weed", runs=np.array([-1, 5], np.int32), box=(0, 0, 1, 1)),
        Mask(label="weed", runs=np.array([0, 4], np.int32), box=(5, 5, 2, 2)),
        Mask(label="weed", runs=np.array([], np.int32), box=(0, 0, 2, 2)),
        Polygon(label="weed", points=((nan, 0.0), (5.0, 5.0), (0.0, 5.0))),
        Polygon(label="weed", points=((1.0, 1.0), (5.0, 5.0))),
        Rectangle(label="weed", points=((1.0, 1.0),)),
        Ellipse(label="weed", points=((1.0, 1.0), (nan, 2.0))),
    ):
        assert area_of(shape, size).pixels == 0


def test_a_turned_rectangle_and_an_ellipse_cover_their_area() -> None:
    size = (400, 400)
    plain = area_of(Rectangle(label="weed", points=((100.0, 150.0), (300.0, 250.0))), size)
    assert plain.pixels == 200 * 100
    upright = area_of(Rectangle(label="weed", points=((150.0, 100.0), (250.0, 300.0))), size)
    turned = area_of(Rectangle(label="weed", points=((100.0, 150.0), (300.0, 250.0)), rotation=90.0), size)
    assert overlap(turned, upright) > 0.99
    ellipse = Ellipse(label="weed", points=((200.0, 200.0), (300.0, 150.0)), rotation=90.0)
    assert area_of(ellipse, size).pixels == pytest.approx(np.pi * 100 * 50, rel=0.01)
    left, top, right, bottom = area_of(ellipse, size).box
    assert (left, top, right, bottom) == pytest.approx((150, 100, 250, 300), abs=1)


def test_a_clockwise_turn_goes_clockwise_on_the_screen() -> None:
    turned = area_of(
        Rectangle(label="weed", points=((10.0, 45.0), (90.0, 55.0)), rotation=45.0), (100, 100)
    ).drawn((0, 0, 100, 100))
    assert turned[70, 70]
    assert not turned[30, 70]


def test_large_areas_are_drawn_in_bands_and_compared_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (300, 200)
    first = Polygon(label="weed", points=((20.0, 20.0), (260.0, 40.0), (150.0, 180.0)))
    whole = area_of(first, size)
    moved = area_of(Polygon(label="weed", points=tuple((x + 10, y) for x, y in first.points)), size)
    exact = outline_distance(whole, moved)
    monkeypatch.setattr(_areas, "_BAND_PIXELS", 1000)
    banded = area_of(first, size)
    assert np.array_equal(banded.drawn((0, 0, *size)), whole.drawn((0, 0, *size)))
    monkeypatch.setattr(_areas, "MAX_DRAWN_PIXELS", 10_000)
    assert outline_distance(whole, moved) == pytest.approx(exact, abs=2.0)
