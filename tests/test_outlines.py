"""Outlines: exact both ways, with holes, bridges, crops and simplification."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from agir_cvtoolkit.outlines import Ring, bridged, rasterize, regions

BoolMask = NDArray[np.bool_]
MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda size: arrays(np.bool_, size))


def size_of(mask: BoolMask) -> tuple[int, int]:
    return mask.shape[1], mask.shape[0]


def rings_of(mask: BoolMask, tolerance: float = 0.0) -> list[Ring]:
    return [ring for region in regions(mask, tolerance) for ring in (region.outer, *region.holes)]


def area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@settings(max_examples=500)
@given(MASKS)
def test_rings_give_the_mask_back(mask: BoolMask) -> None:
    assert np.array_equal(rasterize(rings_of(mask), size_of(mask)), mask)


@settings(max_examples=500)
@given(MASKS)
def test_bridged_rings_give_the_mask_back(mask: BoolMask) -> None:
    back = np.zeros(mask.shape, np.bool_)
    for region in regions(mask):
        one = rasterize([bridged(region)], size_of(mask))
        assert not (back & one).any()
        back |= one
    assert np.array_equal(back, mask)


@given(MASKS)
def test_one_region_per_4_connected_part_with_orientation(mask: BoolMask) -> None:
    count, _ = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)
    found = regions(mask)
    assert len(found) == count - 1
    pixels = 0.0
    for region in found:
        assert area(region.outer) > 0
        assert all(area(hole) < 0 for hole in region.holes)
        pixels += area(region.outer) + sum(area(hole) for hole in region.holes)
    assert pixels == np.count_nonzero(mask)


@given(MASKS, st.integers(0, 5), st.integers(0, 5))
def test_a_crop_keeps_the_place(mask: BoolMask, left: int, top: int) -> None:
    moved = np.pad(mask, ((top, 2), (left, 3)))
    assert np.array_equal(rasterize(rings_of(moved), size_of(moved)), moved)


@given(MASKS)
def test_values_and_layout_do_not_matter(mask: BoolMask) -> None:
    laid = np.asfortranarray(mask.astype(np.uint8) * np.uint8(7))
    for first, second in zip(rings_of(laid), rings_of(mask), strict=True):
        assert np.array_equal(first, second)


def test_one_pixel_is_a_square_around_its_centre() -> None:
    mask = np.zeros((4, 6), np.bool_)
    mask[2, 3] = True
    (region,) = regions(mask)
    assert {tuple(point) for point in region.outer.tolist()} == {(3, 2), (4, 2), (4, 3), (3, 3)}


def test_diagonal_neighbours_are_two_regions() -> None:
    assert len(regions(np.eye(2, dtype=np.bool_))) == 2


def test_a_hole_that_opens_diagonally_belongs_to_the_outer_ring() -> None:
    mask = np.ones((3, 3), np.bool_)
    mask[1, 1] = mask[2, 2] = False
    (region,) = regions(mask)
    assert region.holes == ()
    assert np.array_equal(rasterize([region.outer], (3, 3)), mask)


def test_an_island_in_a_hole_is_a_region_of_its_own() -> None:
    mask = np.ones((5, 5), np.bool_)
    mask[1:4, 1:4] = False
    mask[2, 2] = True
    assert sorted(len(region.holes) for region in regions(mask)) == [0, 1]


@pytest.mark.parametrize("shape", [(0, 0), (3, 4)])
def test_an_empty_mask_has_no_regions(shape: tuple[int, int]) -> None:
    assert regions(np.zeros(shape, np.bool_)) == []
    assert not rasterize([], (4, 3)).any()


def leaf(seed: int) -> BoolMask:
    """A blob with lobes and a hole, as a leaf has them."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((120, 150)), (0, 0), 6)
    return np.asarray(noise > np.quantile(noise, 0.6))


def distance_to(ring: Ring, points: Ring) -> float:
    """Return the largest distance from any of the points to the closed ring."""
    start, end = ring, np.roll(ring, -1, axis=0)
    along = end - start
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip(((points[:, None, :] - start) * along).sum(axis=2) / length, 0, 1)
    nearest = start + share[..., None] * along
    return float(np.sqrt(((points[:, None, :] - nearest) ** 2).sum(axis=2)).min(axis=1).max())


@pytest.mark.parametrize("tolerance", [0.75, 1.5, 4.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_simplification_moves_no_corner_further_than_the_tolerance(seed: int, tolerance: float) -> None:
    exact, simple = rings_of(leaf(seed)), rings_of(leaf(seed), tolerance)
    assert sum(map(len, simple)) < sum(map(len, exact)) / 2
    for before, after in zip(exact, simple, strict=True):
        assert distance_to(after, before) <= tolerance + 1e-5


@settings(max_examples=200)
@given(MASKS, st.floats(0.1, 5))
def test_simplified_rings_stay_polygons(mask: BoolMask, tolerance: float) -> None:
    for exact, ring in zip(rings_of(mask), rings_of(mask, tolerance), strict=True):
        assert len(ring) >= 3
        assert distance_to(ring, exact) <= tolerance + 1e-5


def test_simplified_leaves_cover_nearly_the_same() -> None:
    mask = leaf(4)
    back = rasterize(rings_of(mask, 1.0), size_of(mask))
    assert np.count_nonzero(back ^ mask) < 0.05 * np.count_nonzero(mask)


def test_many_holes_are_bridged_exactly() -> None:
    mask = np.ones((60, 70), np.bool_)
    mask[2:-2:4, 2:-2:4] = False
    (region,) = regions(mask)
    assert len(region.holes) > 100
    assert np.array_equal(rasterize([bridged(region)], (70, 60)), mask)


def test_rasterize_clips_what_lies_outside() -> None:
    ring = np.array([(-5.0, -5.0), (3.0, -5.0), (3.0, 2.0), (-5.0, 2.0)])
    expected = np.zeros((4, 6), np.bool_)
    expected[:2, :3] = True
    assert np.array_equal(rasterize([ring], (6, 4)), expected)
    assert not rasterize([ring + np.array([100, 100])], (6, 4)).any()


def test_rasterize_follows_the_even_odd_rule_on_slanted_edges() -> None:
    triangle = np.array([(0.0, 0.0), (8.0, 0.0), (0.0, 8.0)])
    inside = rasterize([triangle], (8, 8))
    ys, xs = np.mgrid[0:8, 0:8]
    assert np.array_equal(inside, (xs + 0.5) + (ys + 0.5) < 8 - 1e-9)
