"""Shapes: hashes of geometry alone, equal whoever stored the shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.shapes import Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton


def mask(
    label: str = "weed", runs: tuple[int, ...] = (0, 4), box: tuple[int, int, int, int] = (0, 0, 1, 1)
) -> Mask:
    return Mask(label=label, runs=np.array(runs, np.int32), box=box)


SQUARE = ((0.0, 0.0), (4.25, 0.0), (4.25, 4.5))


def test_a_mask_hash_knows_label_box_and_runs_only() -> None:
    same = Mask(
        label="weed",
        runs=np.array([0, 4], np.int64),
        box=(0, 0, 1, 1),
        confidence=0.3,
        source="manual",
        z_order=4,
    )
    assert mask().geometry_hash() == same.geometry_hash()
    others = {
        mask("crop").geometry_hash(),
        mask(runs=(1, 3)).geometry_hash(),
        mask(box=(1, 0, 2, 1)).geometry_hash(),
    }
    assert len(others | {mask().geometry_hash()}) == 4


@pytest.mark.parametrize("kind", [Polygon, Polyline, Points, Rectangle])
def test_point_shapes_are_equal_at_the_precision_of_an_export(kind: type[Polygon]) -> None:
    near = tuple((x + 0.004, y - 0.004) for x, y in SQUARE)
    far = tuple((x + 0.01, y) for x, y in SQUARE)
    first = kind(label="weed", points=SQUARE)
    assert (
        first.geometry_hash()
        == kind(label="weed", points=near, source="manual", occluded=True).geometry_hash()
    )
    assert first.geometry_hash() != kind(label="weed", points=far).geometry_hash()


@given(st.floats(-0.004, 0.004))
def test_a_tiny_negative_coordinate_hashes_like_zero(shift: float) -> None:
    moved = ((shift, shift), *SQUARE[1:])
    assert (
        Polygon(label="w", points=moved).geometry_hash() == Polygon(label="w", points=SQUARE).geometry_hash()
    )


def test_kinds_and_rotation_tell_hashes_apart() -> None:
    shapes: list[Shape] = [kind(label="w", points=SQUARE) for kind in (Polygon, Polyline, Points, Rectangle)]
    shapes += [Rectangle(label="w", points=SQUARE, rotation=30.0), mask("w")]
    assert len({shape.geometry_hash() for shape in shapes}) == len(shapes)
    assert [shape.kind for shape in shapes[:4]] == ["polygon", "polyline", "points", "rectangle"]


def test_a_skeleton_hash_knows_places_and_visibility() -> None:
    nose = Points(label="nose", points=((1.0, 2.0),))
    hidden = Points(label="nose", points=((1.0, 2.0),), occluded=True)
    absent = Points(label="nose", points=((1.0, 2.0),), outside=True)
    hashes = {Skeleton(label="bird", elements=(e,)).geometry_hash() for e in (nose, hidden, absent)}
    assert len(hashes) == 3
    again = Skeleton(label="bird", elements=(nose,), confidence=0.9, source="manual")
    assert again.geometry_hash() == Skeleton(label="bird", elements=(nose,)).geometry_hash()


def test_point_shapes_and_skeletons_are_hashable_values() -> None:
    assert Polygon(label="w", points=SQUARE) == Polygon(label="w", points=SQUARE)
    assert len({Polygon(label="w", points=SQUARE), Polygon(label="w", points=SQUARE, attributes={})}) == 1
