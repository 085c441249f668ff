from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.inference.instances import Method, instances_of
from agir_cvtoolkit.inference.postprocess import ClassIndex


def discs(*centres: tuple[int, int], radius: int = 20) -> ClassIndex:
    index = np.zeros((100, 160), dtype=np.uint8)
    for centre in centres:
        cv2.circle(index, centre, radius, 1, -1)
    return index


def test_parts_are_numbered_in_reading_order() -> None:
    index = np.zeros((6, 8), dtype=np.uint8)
    index[4:, :2] = index[0, 5] = index[1, 6] = index[2:4, 2] = 1
    found = instances_of(index, "components", 20)
    assert found.dtype == np.uint16
    assert (found[0, 5], found[1, 6], found[2, 2], found[5, 1]) == (1, 1, 2, 2)


def test_plants_that_touch_are_cut_by_the_watershed_alone() -> None:
    index = discs((40, 50), (75, 50), (130, 50))
    assert instances_of(index, "components", 10).max() == 2
    found = instances_of(index, "watershed", 10)
    assert found.max() == 3
    assert len({found[50, 40], found[50, 75], found[50, 130]}) == 3
    areas = np.bincount(found.reshape(-1))[1:]
    assert areas.min() > 0.7 * areas.max()


def test_the_distance_decides_what_is_one_plant() -> None:
    assert instances_of(discs((40, 50), (75, 50)), "watershed", 60).max() == 1


def test_a_straight_leaf_stays_one() -> None:
    index = np.zeros((60, 200), dtype=np.uint8)
    index[25:35, 10:190] = 1
    assert instances_of(index, "watershed", 200).max() == 1


def test_holes_in_the_middle_of_a_plant_do_not_cut_it() -> None:
    index = np.zeros((200, 200), dtype=np.uint8)
    cv2.circle(index, (100, 100), 90, 1, -1)
    index[50:150, 100] = 0
    assert instances_of(index, "watershed", 96).max() == 1


def test_ragged_plants_are_cut_between_their_middles() -> None:
    index = np.zeros((260, 400), dtype=np.uint8)
    for centre in ((130, 130), (270, 130)):
        cv2.circle(index, centre, 90, 1, -1)
    index[np.random.default_rng(1).random(index.shape) < 0.2] = 0
    found = instances_of(index, "watershed", 100)
    sides = [np.bincount(found[:, half].reshape(-1), minlength=9)[1:] for half in (np.s_[:200], np.s_[200:])]
    assert [int(side.argmax()) for side in sides] in ([0, 1], [1, 0])
    assert min(side.max() / side.sum() for side in sides) > 0.95


def test_classes_are_never_one_instance() -> None:
    index = discs((40, 50))
    index[:, 40:] *= 2
    assert instances_of(index, "components", 20).max() == 2


@settings(deadline=None, max_examples=40)
@given(
    index=arrays(np.uint8, st.tuples(st.integers(1, 25), st.integers(1, 25)), elements=st.integers(0, 2)),
    method=st.sampled_from(["components", "watershed"]),
)
def test_instances_are_the_mask_and_nothing_else(index: ClassIndex, method: Method) -> None:
    found = instances_of(index, method, 2)
    assert np.array_equal(found != 0, index != 0)
    assert set(np.unique(found)) - {0} == set(range(1, int(found.max()) + 1))
    for number in range(1, int(found.max()) + 1):
        part = found == number
        assert len(np.unique(index[part])) == 1
        assert cv2.connectedComponents(part.view(np.uint8), connectivity=8)[0] == 2


def test_more_than_a_file_holds() -> None:
    index = np.zeros((600, 600), dtype=np.uint8)
    index[::2, ::2] = 1
    with pytest.raises(DataError, match=r"90000 instances.*min_area"):
        instances_of(index, "components", 20)
