from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from agir_cvtoolkit.agreement import dice, iou
from agir_cvtoolkit.training.scores import scores_of


@given(
    hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
    hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2)),
)
def test_scores_are_those_of_whole_masks(labels: np.ndarray, predicted: np.ndarray) -> None:
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (labels.reshape(-1), predicted.reshape(-1)), 1)
    found = scores_of(confusion)
    present = []
    for cls in range(3):
        first, second = labels == cls, predicted == cls
        if not (first | second).any():
            assert found.iou_by_class[cls] is None
            continue
        assert found.iou_by_class[cls] == pytest.approx(iou(first, second))
        assert found.dice_by_class[cls] == pytest.approx(dice(first, second))
        if cls:
            present.append(iou(first, second))
    assert found.iou == pytest.approx(np.mean(present) if present else 1.0)


def test_nothing_but_background_is_agreement() -> None:
    assert scores_of(np.array([[9, 0], [0, 0]])).iou == 1.0
