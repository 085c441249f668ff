"""Drawings of skeletons, written and read as CVAT does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat.skeleton_drawing import Drawing, draw, drawing_of, read_drawing

NAMES = st.lists(st.text("abcdefgh_ 12", min_size=1, max_size=5), min_size=2, max_size=6, unique=True)
PERCENT = st.integers(0, 10_000).map(lambda number: number / 100)


@st.composite
def drawings(draw_: st.DrawFn) -> Drawing:
    names = draw_(NAMES)
    places = {name: (draw_(PERCENT), draw_(PERCENT)) for name in names}
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Drawing(places, tuple(draw_(st.lists(st.sampled_from(pairs), unique=True))))


@given(drawings())
def test_what_is_drawn_is_read_again(drawing: Drawing) -> None:
    found = read_drawing(draw(drawing), list(drawing.places))
    assert found.edges == drawing.edges
    assert found.places == drawing.places


def test_the_server_names_points_by_their_ids() -> None:
    svg = draw(Drawing({"nose": (1, 2), "tail": (3, 4)}, (("nose", "tail"),)))
    svg = svg.replace('data-label-name="nose"', 'data-label-id="7"').replace(
        'data-label-name="tail"', 'data-label-id="8"'
    )
    assert read_drawing(svg, {7: "nose", 8: "tail"}).edges == (("nose", "tail"),)


CIRCLE = '<circle cx="1" cy="2" data-node-id="1" data-element-id="1" data-label-name="nose"></circle>'


@pytest.mark.parametrize(
    ("svg", "problem"),
    [
        ("", "no circle for 'nose'"),
        (CIRCLE + CIRCLE, "drawn twice"),
        (CIRCLE.replace("nose", "tail"), "no point of the skeleton"),
        (CIRCLE.replace('cx="1"', 'cx="nan"'), "0 to 100"),
        (CIRCLE.replace('cx="1"', 'cx="101"'), "0 to 100"),
        (CIRCLE + '<line data-node-from="1" data-node-to="2"></line>', "does not join"),
        (CIRCLE + '<line data-node-from="1" data-node-to="1"></line>', "does not join"),
        (CIRCLE + "<line></line>", "does not join"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><svg>&a;</svg>', "no circle"),
    ],
)
def test_what_the_page_could_not_draw_is_refused(svg: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_drawing(svg, ["nose"])


def test_points_without_a_place_keep_clear_of_those_with_one() -> None:
    places = drawing_of(["a", "b"], given={"a": (10.0, 50.0)}).places
    assert places["a"] == (10.0, 50.0)
    assert places["b"] != places["a"]
