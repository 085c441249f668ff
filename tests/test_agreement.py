"""Agreement: intersection over union, Dice, and how far boundaries lie apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agir_cvtoolkit.agreement import boundary, boundary_distance, boundary_f1, dice, iou

MASKS = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.tuples(arrays(np.bool_, size), arrays(np.bool_, size))
)


def test_by_hand() -> None:
    first = np.array([[1, 1, 0, 0]], np.bool_)
    second = np.array([[0, 1, 1, 1]], np.bool_)
    assert iou(first, second) == pytest.approx(1 / 4)
    assert dice(first, second) == pytest.approx(2 / 5)


def test_two_empty_masks_agree_and_an_empty_one_with_a_full_one_does_not() -> None:
    empty, full = np.zeros((2, 3), np.bool_), np.ones((2, 3), np.bool_)
    assert (iou(empty, empty), dice(empty, empty)) == (1.0, 1.0)
    assert (iou(empty, full), dice(empty, full)) == (0.0, 0.0)


@given(MASKS)
def test_both_measures_are_symmetric_and_tied_to_each_other(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    assert iou(first, second) == iou(second, first)
    assert 0.0 <= iou(first, second) <= 1.0
    assert dice(first, second) == pytest.approx(2 * iou(first, second) / (1 + iou(first, second)))
    assert iou(first, first) == 1.0


def test_boundaries_by_hand() -> None:
    first, second = np.zeros((20, 20), np.bool_), np.zeros((20, 20), np.bool_)
    first[5:10, 5:10] = True
    second[5:10, 8:13] = True
    assert np.count_nonzero(boundary(first)) == 16
    # Five pixels lie 3 away, two 2, five 1 and four on the other boundary.
    assert boundary_distance(first, second) == pytest.approx((5 * 3 + 2 * 2 + 5 * 1) / 16)
    assert boundary_f1(first, second, tolerance=3.0) == 1.0
    assert boundary_f1(first, second, tolerance=0.5) < 0.5


def test_one_line_moved_by_two_pixels() -> None:
    first, second = np.zeros((9, 30), np.bool_), np.zeros((9, 30), np.bool_)
    first[3], second[5] = True, True
    assert boundary_distance(first, second) == pytest.approx(2.0)
    assert boundary_f1(first, second, tolerance=2.0) == 1.0
    assert boundary_f1(first, second, tolerance=1.9) == 0.0


def test_a_boundary_that_is_not_there() -> None:
    empty, full = np.zeros((4, 5), np.bool_), np.ones((4, 5), np.bool_)
    assert boundary_distance(empty, empty) == 0.0
    assert boundary_distance(empty, full) == float("inf")
    assert (boundary_f1(empty, empty), boundary_f1(empty, full)) == (1.0, 0.0)


@given(MASKS)
def test_boundary_measures_are_symmetric_and_by_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    assert boundary_distance(first, second) == pytest.approx(boundary_distance(second, first))
    assert boundary_f1(first, second) == pytest.approx(boundary_f1(second, first))
    assert boundary_distance(first, first) == 0.0
    if first.any() and second.any():
        a, b = np.argwhere(boundary(first)), np.argwhere(boundary(second))
        gaps = np.linalg.norm(a[:, None] - b[None], axis=2)
        every = np.concatenate([gaps.min(axis=1), gaps.min(axis=0)])
        assert boundary_distance(first, second) == pytest.approx(float(every.mean()), abs=1e-4)
