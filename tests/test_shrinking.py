from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit import shrinking
from agir_cvtoolkit.shrinking import averaged


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(2, 90), st.integers(2, 90)),
    share=st.floats(0.05, 1.0),
    rows=st.integers(1, 4000),
    seed=st.integers(0, 99),
)
def test_rows_average_as_the_whole_does(size: tuple[int, int], share: float, rows: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    small = max(1, round(size[0] * share)), max(1, round(size[1] * share))
    whole = averaged(rgb, small)
    assert np.array_equal(whole, cv2.resize(rgb, small, interpolation=cv2.INTER_AREA))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shrinking, "_LARGE", 0)
        patched.setattr(shrinking, "_ROWS_PIXELS", rows)
        by_rows = averaged(rgb, small)
        patched.setattr(shrinking, "_ROWS_PIXELS", 10**6)
        assert np.array_equal(averaged(rgb, small), by_rows)
    assert np.abs(by_rows.astype(int) - whole).max() <= 1
