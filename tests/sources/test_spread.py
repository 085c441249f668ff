from __future__ import annotations

import pytest

from agir_cvtoolkit.sources.spread import cells, place_of


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ((3,), (3.0,)),
        ((35.5, -78.25), (35.5, -78.25)),
        (("2022:08:26 09:15:20",), (1661505320.0,)),
        (("2022-08-26T09:15:20",), (1661505320.0,)),
        (("2022-08-26",), (1661472000.0,)),
        (("[35.1, -78.2]",), (35.1, -78.2)),
        (("(1, 2, 3)",), (1.0, 2.0, 3.0)),
        ((" 7.5 ",), (7.5,)),
        ((None,), None),
        ((1, None), None),
        (("",), None),
        (("unknown",), None),
        (("2022:13:45 09:15:20",), None),
        (("[]",), None),
        (("[NaN, 1]",), None),
        ((float("nan"),), None),
        ((1e300,), None),
        (("1" + "0" * 400,), None),
        ((True,), None),
        (("[" * 5000,), None),
    ],
)
def test_places(values: tuple[object, ...], place: tuple[float, ...] | None) -> None:
    assert place_of(values) == place


def test_a_line_is_cut_into_as_many_stretches_as_are_drawn() -> None:
    cell_of = cells([(0.0,), (10.0,), (3.0,)], 5)
    assert [cell_of((x,)) for x in (0.0, 1.9, 2.1, 9.9, 10.0)] == [(0,), (0,), (1,), (4,), (4,)]


def test_a_map_is_cut_into_at_least_as_many_fields() -> None:
    cell_of = cells([(0.0, 0.0), (9.0, 90.0)], 7)
    assert {cell_of((x, y)) for x in range(10) for y in range(0, 91, 10)} == {
        (i, j) for i in range(3) for j in range(3)
    }


def test_one_place_or_none_is_one_cell() -> None:
    assert cells([(5.0,), (5.0,)], 4)((5.0,)) == (0,)
    assert cells([], 4)((5.0,)) == ()
