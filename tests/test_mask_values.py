from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agir_cvtoolkit.masks import values_in


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_values_in_a_mask_are_those_of_its_pixels(
    mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
) -> None:
    assert values_in(mask) == tuple(sorted(set(mask.reshape(-1).tolist()) - {0}))
    assert values_in(mask[:, ::-1]) == values_in(mask)
