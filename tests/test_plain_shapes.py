"""Shapes as plain JSON and back: nothing is lost."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.errors import ShapeError
from agir_cvtoolkit.plain_shapes import from_plain, pack, to_plain, unpack
from agir_cvtoolkit.shapes import Ellipse, Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

NUMBERS = st.floats(-1e6, 1e6)
POINT = st.tuples(NUMBERS, NUMBERS)
SHARED = {
    "label": st.text(st.characters(codec="utf-8"), min_size=1),
    "source": st.sampled_from(["auto", "manual", "file"]),
    "occluded": st.booleans(),
    "z_order": st.integers(-5, 5),
    "confidence": st.none() | st.floats(0, 1),
    "attributes": st.dictionaries(st.sampled_from("ab"), st.text("xyz")),
}
POINTS = st.builds(
    Points, points=st.lists(POINT, min_size=1, max_size=4).map(tuple), outside=st.booleans(), **SHARED
)
TURN = st.floats(0, 360)
PAIR = st.tuples(POINT, POINT)


def same(first: Shape, second: Shape) -> bool:
    if isinstance(first, Mask) and isinstance(second, Mask):
        return bool(np.array_equal(first.runs, second.runs)) and to_plain(first) == to_plain(second)
    return first == second


@given(
    st.one_of(
        POINTS,
        st.builds(Polygon, points=st.lists(POINT, min_size=3, max_size=5).map(tuple), **SHARED),
        st.builds(Polyline, points=st.lists(POINT, min_size=2, max_size=5).map(tuple), **SHARED),
        st.builds(Rectangle, points=PAIR, rotation=TURN, **SHARED),
        st.builds(Ellipse, points=PAIR, rotation=TURN, **SHARED),
        st.builds(Skeleton, elements=st.lists(POINTS, max_size=3).map(tuple), **SHARED),
        st.builds(
            Mask,
            runs=st.lists(st.integers(0, 2**31 - 1), min_size=1).map(lambda r: np.asarray(r, dtype=np.int32)),
            box=st.tuples(*[st.integers(0, 9999)] * 4),
            **SHARED,
        ),
    )
)
def test_there_and_back(shape: Shape) -> None:
    again = from_plain(orjson.loads(orjson.dumps(to_plain(shape))))
    assert same(again, shape)
    assert type(again) is type(shape)
    assert again.geometry_hash() == shape.geometry_hash()
    assert same(unpack(pack(shape)), shape)


@given(st.builds(Mask, runs=st.just(np.asarray([1, 3], dtype=np.int32)), box=st.just((0, 0, 1, 1)), **SHARED))
def test_of_a_mask_that_is_the_same_only_the_rest_is_unpacked(mask: Mask) -> None:
    read = Mask(label="read", runs=mask.runs, box=mask.box)
    again = unpack(pack(mask), read)
    assert same(again, mask)
    assert isinstance(again, Mask)
    assert again.runs is mask.runs


def test_a_mask_with_long_attributes_is_unpacked_whole() -> None:
    runs = np.asarray([1, 3], dtype=np.int32)
    text = ',"runs":[' + "".join(f"{number} and" for number in range(2000))
    mask = Mask(label="weed", runs=runs, box=(0, 0, 1, 1), attributes={"said": text})
    assert same(unpack(pack(mask), mask), mask)


def test_a_mask_takes_few_bytes() -> None:
    runs = np.tile(np.asarray([7, 5], dtype=np.int32), 500)
    mask = Mask(label="weed", runs=runs, box=(0, 0, 99, 59))
    assert len(pack(mask)) < runs.nbytes / 10


@pytest.mark.parametrize(
    "content", [{}, {"kind": "mask"}, {**to_plain(Points(label="a", points=((1, 2),))), "kind": "star"}]
)
def test_a_damaged_shape_is_named(content: dict[str, object]) -> None:
    with pytest.raises(ShapeError, match="stored shape"):
        from_plain(content)


def test_damaged_bytes_are_named() -> None:
    with pytest.raises(ShapeError, match="ledger"):
        unpack(b"x")


def test_radii_of_an_ellipse() -> None:
    assert Ellipse(label="a", points=((10, 20), (14, 17))).radii == (4, 3)
