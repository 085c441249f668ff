"""The best one-to-one pairing, against trying all of them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.corrections._assignment import best_pairs, cheapest

TABLES = st.tuples(st.integers(1, 5), st.integers(0, 2)).flatmap(
    lambda size: st.lists(
        st.lists(st.floats(-9, 9), min_size=size[0] + size[1], max_size=size[0] + size[1]),
        min_size=size[0],
        max_size=size[0],
    )
)


@given(TABLES)
def test_no_other_assignment_is_cheaper(table: list[list[float]]) -> None:
    costs = np.asarray(table)
    rows, columns = costs.shape
    chosen = cheapest(costs)
    assert len(set(chosen.tolist())) == rows
    least = min(sum(costs[i, j] for i, j in enumerate(p)) for p in permutations(range(columns), rows))
    assert costs[np.arange(rows), chosen].sum() == pytest.approx(least)


WEIGHTS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), st.floats(0.01, 1.0), min_size=0, max_size=12
)


@given(WEIGHTS)
def test_no_other_pairs_are_worth_more(weights: dict[tuple[int, int], float]) -> None:
    pairs = best_pairs(weights)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert set(pairs) <= set(weights)
    most = max(sum(weights.get(pair, 0.0) for pair in enumerate(p)) for p in permutations(range(5)))
    assert sum(weights[pair] for pair in pairs) == pytest.approx(most)


def test_a_hundred_by_a_hundred_is_solved() -> None:
    size = 100
    costs = np.abs(np.subtract.outer(np.arange(size), np.arange(size)[::-1])).astype(np.float64)
    assert cheapest(costs).tolist() == list(range(size))[::-1]
