"""Groups of near-duplicates are those that comparing all with all would find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.similarity.near import near_groups

_HASHES = st.integers(0, 2**64 - 1)


@st.composite
def _crowded(draw: st.DrawFn) -> list[int]:
    seeds = draw(st.lists(_HASHES, min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=9)
    found = [draw(st.sampled_from(seeds)) for _ in range(draw(st.integers(1, 24)))]
    return [hash_ ^ sum(1 << bit for bit in set(draw(flips))) for hash_ in found]


def _slowly(hashes: list[int], radius: int) -> list[int]:
    group = list(range(len(hashes)))
    for one in range(len(hashes)):
        for other in range(one):
            if (hashes[one] ^ hashes[other]).bit_count() <= radius and group[one] != group[other]:
                keep, drop = sorted((group[one], group[other]))
                group = [keep if g == drop else g for g in group]
    return group


@given(_crowded(), st.integers(0, 12))
def test_the_groups_are_those_of_a_full_comparison(hashes: list[int], radius: int) -> None:
    assert near_groups(hashes, radius) == _slowly(hashes, radius)


def test_a_chain_is_one_group() -> None:
    assert near_groups([0, 0b11, 0b1111, 1 << 63 | 0xFFFF], 2) == [0, 0, 0, 3]


def test_nothing_has_no_groups() -> None:
    assert near_groups([], 6) == []


@pytest.mark.parametrize("radius", [0, 6])
def test_equal_hashes_are_together_however_many(radius: int) -> None:
    assert near_groups([7] * 3000 + [2**64 - 1], radius) == [0] * 3000 + [3000]


def test_blocks_of_a_crowded_part_are_compared_with_each_other() -> None:
    rng = np.random.default_rng(1)
    # All share their upper half, so all are in one bucket of several blocks.
    hashes = [int(low) for low in rng.choice(2**32, 700, replace=False)]
    hashes.append(hashes[0] ^ 1 << 40)
    assert near_groups(hashes, 1)[-1] == 0
