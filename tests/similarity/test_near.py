"""Groups of near-duplicates are those that comparing all with all would find."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.similarity import near
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


@settings(max_examples=40)
@given(_crowded(), st.integers(0, 12), st.sampled_from([0, 2, 1 << 30]), st.sampled_from([1, 2, 5]))
def test_in_buckets_and_all_with_all_they_are_the_same(
    hashes: list[int], radius: int, gather: int, at_once: int
) -> None:
    with patch.multiple(near, _GATHER=gather, _ALL_AT_ONCE=at_once, _AT_ONCE=at_once, _TURNS=1, _AHEAD=1):
        assert near_groups(hashes, radius) == _slowly(hashes, radius)


def test_a_crowd_around_one_is_grouped_as_a_full_comparison_would() -> None:
    rng = np.random.default_rng(2)
    bits = [rng.choice(64, int(rng.integers(1, 10)), replace=False).tolist() for _ in range(400)]
    hashes = [sum(1 << bit for bit in flipped) for flipped in bits]
    found = near_groups(hashes, 5)
    assert found == _slowly(hashes, 5)
    assert 100 < max(map(found.count, found)) < 400, "it takes a large group and some outside"


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
