from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agir_cvtoolkit.cvat.overlaps import order_matters
from agir_cvtoolkit.masks import Runs, decode, encode
from agir_cvtoolkit.shapes import Mask, Polygon, Rectangle


def area(pixels: NDArray[np.bool_], label: str, z_order: int = 0) -> Mask:
    runs = encode(pixels)
    assert runs is not None
    return Mask(label=label, runs=runs.lengths, box=runs.box, z_order=z_order)


FIELD = np.random.default_rng(0).random((20, 30)) > 0.5
OTHER = ~FIELD
SPOT = FIELD.copy()
SPOT[OTHER.argmax() // 30, OTHER.argmax() % 30] = True


def test_masks_that_share_no_pixel_lie_beside_each_other() -> None:
    assert not order_matters([area(FIELD, "weed"), area(OTHER, "crop")])


def test_one_shared_pixel_is_enough() -> None:
    assert order_matters([area(SPOT, "weed"), area(OTHER, "crop")])


@pytest.mark.parametrize(("label", "z_order"), [("weed", 0), ("crop", 1)])
def test_equal_labels_and_layers_of_their_own_need_no_order(label: str, z_order: int) -> None:
    assert not order_matters([area(SPOT, "weed"), area(OTHER, label, z_order)])


def test_polygons_count_by_their_boxes_and_boxes_not_at_all() -> None:
    triangle = Polygon(label="crop", points=((1.5, 1.5), (9.0, 1.5), (4.0, 7.0)))
    far = Polygon(label="crop", points=((100.0, 1.5), (109.0, 1.5), (104.0, 7.0)))
    assert order_matters([area(FIELD, "weed"), triangle])
    assert not order_matters([area(FIELD, "weed"), far])
    assert not order_matters([area(FIELD, "weed"), Rectangle(label="crop", points=((1, 1), (9, 9)))])


def test_a_broken_mask_is_left_to_who_draws_it() -> None:
    broken = Mask(label="crop", runs=np.array([0, 3], dtype=np.int32), box=(0, 0, 9, 9))
    assert not order_matters([area(FIELD, "weed"), broken])


@given(st.data())
def test_what_overlaps_is_what_two_drawn_masks_share(data: st.DataObject) -> None:
    drawn = []
    masks = []
    for label in ("weed", "crop"):
        left, top = data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))
        box = (left, top, left + data.draw(st.integers(0, 6)), top + data.draw(st.integers(0, 6)))
        # Runs as a foreign tool may write them: of no length, going on over rows, with an empty border.
        count = (box[2] - left + 1) * (box[3] - top + 1)
        cuts = sorted(data.draw(st.lists(st.integers(0, count), max_size=8)))
        runs = np.diff([0, *cuts, count]).astype(np.int32)
        masks.append(Mask(label=label, runs=runs, box=box))
        drawn.append(decode(Runs(runs, box), (14, 14)))
    assert order_matters(masks) == bool((drawn[0] & drawn[1]).any())
