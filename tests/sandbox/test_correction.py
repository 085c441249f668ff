from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.sandbox.correction import BoolMask, correct_boxes, correct_masks, corrected

_MASKS = hnp.arrays(np.bool_, (12, 14))


def _square(top: int, left: int, side: int = 30, size: int = 80) -> BoolMask:
    mask = np.zeros((size, size), dtype=np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


@given(_MASKS, _MASKS, st.integers(0, 3))
def test_only_wrong_pixels_change(proposal: BoolMask, truth: BoolMask, tolerance: int) -> None:
    result = corrected(proposal, truth, tolerance)
    same = proposal == truth
    assert np.array_equal(result[same], truth[same])
    if tolerance == 0:
        assert np.array_equal(result, truth)


@given(_MASKS, _MASKS, st.integers(0, 3))
def test_a_corrected_mask_is_left_alone(proposal: BoolMask, truth: BoolMask, tolerance: int) -> None:
    once = corrected(proposal, truth, tolerance)
    if once.any() and truth.any():
        assert iou(once, truth) >= iou(proposal, truth)


def test_an_outline_within_tolerance_stays() -> None:
    assert np.array_equal(corrected(_square(22, 20), _square(20, 20), 2), _square(22, 20))


def test_an_outline_beyond_tolerance_is_redrawn_without_threads() -> None:
    assert np.array_equal(corrected(_square(25, 20), _square(20, 20), 2), _square(20, 20))


def test_a_thin_leaf_that_is_missing_is_drawn() -> None:
    truth = _square(20, 20)
    truth[5:7, 10:70] = True
    assert np.array_equal(corrected(_square(20, 20), truth, 2), truth)


def test_good_masks_are_accepted_as_the_same_object() -> None:
    proposal, truth = _square(20, 20, 60, 200), _square(20, 20, 60, 200)
    proposal[20, 20:30] = False
    result = correct_masks([proposal], truth, 2)
    assert result.kept[0] is proposal
    assert result.pixels_changed == 0


def test_hallucinated_and_missing() -> None:
    truth = _square(5, 5, 20)
    result = correct_masks([_square(5, 5, 20), _square(50, 50, 20)], truth, 2)
    assert result.kept[0] is not None
    assert result.kept[1] is None
    assert (result.added, result.pixels_changed) == ((), 400)
    empty = np.zeros_like(truth)
    assert correct_masks([_square(5, 5)], empty, 2).kept == (None,)
    assert len(correct_masks([], truth, 2).added) == 1
    assert correct_masks([], empty, 2).added == ()


def test_parts_go_to_the_proposals_that_touch_them() -> None:
    truth = _square(5, 5, 20) | _square(50, 50, 20) | _square(5, 55, 8)
    result = correct_masks([_square(5, 5, 12), _square(50, 50, 12)], truth, 2)
    for kept, wanted in zip(result.kept, (_square(5, 5, 20), _square(50, 50, 20)), strict=True):
        assert kept is not None
        assert np.array_equal(kept, wanted)
    assert len(result.added) == 1
    assert np.array_equal(result.added[0], _square(5, 55, 8))


@settings(max_examples=30)
@given(_MASKS, _MASKS, _MASKS)
def test_nothing_is_lost_between_proposals(first: BoolMask, second: BoolMask, truth: BoolMask) -> None:
    result = correct_masks([first, second], truth, 0)
    union = np.zeros_like(truth)
    for mask in (*result.kept, *result.added):
        if mask is not None:
            union |= mask
    if result.pixels_changed:
        assert np.array_equal(union, truth)


def test_boxes() -> None:
    proposals = [(0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0), (80.0, 0.0, 90.0, 10.0)]
    truth = [(1.0, 0.0, 10.0, 11.0), (55.0, 50.0, 65.0, 60.0), (20.0, 20.0, 30.0, 30.0)]
    result = correct_boxes(proposals, truth, 2)
    assert result.kept == (proposals[0], truth[1], None)
    assert result.added == (truth[2],)
