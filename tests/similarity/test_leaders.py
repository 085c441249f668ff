from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.similarity._buckets import Hashes, bit_counts
from agir_cvtoolkit.similarity.leaders import near_known, near_leaders
from agir_cvtoolkit.similarity.near import near_groups

seeds = st.integers(0, 10_000)
radii = st.integers(0, 12)


def crowded(seed: int, count: int) -> Hashes:
    """Return hashes of which many are near each other."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 1 << 63, max(1, count // 8), dtype=np.uint64)[
        rng.integers(0, max(1, count // 8), count)
    ]
    for _ in range(int(rng.integers(0, 5))):
        found = found ^ (np.uint64(1) << rng.integers(0, 64, count).astype(np.uint64))
    return found


def apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@settings(max_examples=40)
@given(seeds, st.integers(0, 120), radii)
def test_leaders_are_those_of_a_walk_through_all(seed: int, count: int, radius: int) -> None:
    hashes = crowded(seed, count)
    values: list[int] = hashes.tolist()
    leaders: list[int] = []
    wanted: list[int] = []
    for index, value in enumerate(values):
        near = next((one for one in leaders if apart(values[one], value) <= radius), index)
        if near == index:
            leaders.append(index)
        wanted.append(near)
    assert near_leaders(hashes, radius).tolist() == wanted


@settings(max_examples=40)
@given(seeds, st.integers(0, 60), radii)
def test_the_first_known_one_that_is_near_is_found(seed: int, count: int, radius: int) -> None:
    hashes, known = crowded(seed, count), crowded(seed, 20)
    wanted = [
        next((place for place, one in enumerate(known.tolist()) if apart(one, value) <= radius), -1)
        for value in hashes.tolist()
    ]
    assert near_known(hashes, known, radius).tolist() == wanted
    assert near_known(hashes, known[:0], radius).tolist() == [-1] * count


@settings(max_examples=40)
@given(seeds, st.integers(0, 100), radii)
def test_groups_are_joined_by_others(seed: int, count: int, radius: int) -> None:
    values = crowded(seed, count).tolist()
    heads = list(range(count))
    for index, value in enumerate(values):
        for other in range(index):
            if apart(value, values[other]) <= radius:
                low, high = sorted((heads[other], heads[index]))
                heads = [low if head == high else head for head in heads]
    assert near_groups(values, radius) == heads


def test_a_film_is_one_group_and_has_many_leaders() -> None:
    film = np.array([(1 << bits) - 1 for bits in range(64)], dtype=np.uint64)
    assert set(near_groups(film.tolist(), 2)) == {0}
    leaders = np.unique(near_leaders(film, 2))
    assert leaders.tolist() == list(range(0, 64, 3))


def test_bits_are_counted() -> None:
    values = np.array([0, 1, 3, (1 << 64) - 1], dtype=np.uint64)
    assert bit_counts(values).tolist() == [0, 1, 2, 64]
