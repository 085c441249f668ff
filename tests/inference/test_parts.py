from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agir_cvtoolkit.inference import parts as parts_module
from agir_cvtoolkit.inference.parts import Parts
from agir_cvtoolkit.inference.postprocess import fill_holes, remove_specks

masks = arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 12)), elements=st.integers(0, 1))


def numbered(parts: Parts) -> NDArray[np.int64]:
    return np.concatenate([band.part[band.labels] for band in parts.bands()])


@settings(deadline=None, max_examples=150)
@given(mask=masks, connectivity=st.sampled_from([4, 8]), band_pixels=st.integers(1, 60))
def test_bands_find_the_parts_of_the_whole(
    mask: NDArray[np.uint8], connectivity: int, band_pixels: int
) -> None:
    whole, cut = Parts(mask, connectivity), Parts(mask, connectivity, band_pixels)
    count, labels = cv2.connectedComponents(mask, connectivity=connectivity)
    found = numbered(cut)
    assert np.array_equal(found != 0, mask != 0)
    for label in range(1, count):
        (number,) = np.unique(found[labels == label])
        assert np.count_nonzero(found == number) == np.count_nonzero(labels == label) == cut.areas[number]
        rows, columns = np.nonzero(labels == label)
        ends = {*(rows == 0), *(columns == 0), *(rows == mask.shape[0] - 1), *(columns == mask.shape[1] - 1)}
        assert cut.at_border[number] == (True in ends)
    assert sorted(cut.areas[cut.areas > 0]) == sorted(whole.areas[whole.areas > 0])


@settings(deadline=None, max_examples=100)
@given(
    index=arrays(np.uint8, (18, 11), elements=st.integers(0, 2)), band_pixels=st.sampled_from([11, 33, 55])
)
def test_cleaning_up_does_not_depend_on_bands(index: NDArray[np.uint8], band_pixels: int) -> None:
    expected = fill_holes(remove_specks(index, 4), 5)
    patch = pytest.MonkeyPatch()
    with patch.context() as changed:
        changed.setattr(Parts.__init__, "__defaults__", (band_pixels,))
        assert np.array_equal(fill_holes(remove_specks(index, 4), 5), expected)
    assert Parts.__init__.__defaults__ == (parts_module._BAND_PIXELS,)
