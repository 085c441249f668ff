"""Agreement: intersection over union and Dice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agir_cvtoolkit.agreement import dice, iou

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
