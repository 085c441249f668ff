"""Hashes in buckets by their parts: pairs that are near, found without comparing all with all."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from .hashing import BITS

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]
Groups = tuple[Indices, Indices]

_FEWEST, _MOST = 4, 16
_LOOK_UP = 8.0
"""What finding a bucket costs, in comparisons."""


class Buckets:
    """Hashes, sorted by each of some parts of their bits.

    Of two hashes that differ in at most r bits, at least one of m parts differs in at most r / m of them, rounded down
    (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012): only hashes that have
    such a part are compared. How many parts is chosen by how many hashes there are.
    """

    def __init__(self, values: Hashes, radius: int) -> None:
        """Sort hashes.

        Args:
            values: uint64 of shape (n,).
            radius: how many bits of two near ones may differ, 0..63.
        """
        self._values = values
        self._radius = radius
        count = min(range(_FEWEST, _MOST + 1), key=lambda parts: _cost(len(values), parts, radius))
        edges = [round(part * BITS / count) for part in range(count + 1)]
        # Where there are more parts than bits that differ, some are equal: so many need not be looked at.
        used = list(pairwise(edges))[: radius + 1]
        self._parts = [(np.uint64(low), high - low) for low, high in used]
        self._orders: list[Indices] = []
        self._starts: list[Indices] = []
        for low, bits in self._parts:
            keys = _keys(values, low, bits)
            self._orders.append(np.argsort(keys, kind="stable"))
            self._starts.append(np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=1 << bits)))))
        self._flips = [_flips(bits, radius // count) for _, bits in self._parts]

    def work(self, queries: Hashes, groups: Groups | None = None) -> Indices:
        """Return how many comparisons each query costs; `groups` as of `near`."""
        total = np.zeros(len(queries), dtype=np.int64)
        for part in range(len(self._parts)):
            _, counts = self._spans(queries, part, groups)
            total += counts.reshape(len(queries), len(self._flips[part])).sum(axis=1)
        return total

    def near(self, queries: Hashes, groups: Groups | None = None) -> tuple[Indices, Indices]:
        """Return the pairs (index of a query, index of a hash) that differ in at most `radius` bits; some come twice.

        Args:
            queries: uint64 of shape (q,).
            groups: of the queries and of the hashes, int64 of shapes (q,) and (n,): where all hashes of a bucket are
                of the query's group, their pairs are left out.
        """
        found: list[tuple[Indices, Indices]] = []
        for part in range(len(self._parts)):
            left, counts = self._spans(queries, part, groups)
            which = np.repeat(np.arange(len(left)), counts)
            within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
            held = self._orders[part][left[which] + within]
            query = which // len(self._flips[part])
            close = bit_counts(queries[query] ^ self._values[held]) <= self._radius
            found.append((query[close], held[close]))
        return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])

    def _spans(self, queries: Hashes, part: int, groups: Groups | None) -> tuple[Indices, Indices]:
        """Return where a query's buckets begin in the order of a part and how many they hold, all flips together."""
        starts = self._starts[part]
        at = (_keys(queries, *self._parts[part])[:, None] ^ self._flips[part][None, :]).reshape(-1)
        left = starts[at]
        counts = starts[at + 1] - left
        if groups is not None and len(self._values):
            of_queries, of_values = groups
            filled = np.flatnonzero(np.diff(starts))
            held = of_values[self._orders[part]]
            lowest, highest = np.full((2, len(starts) - 1), -1, dtype=np.int64)
            lowest[filled] = np.minimum.reduceat(held, starts[filled])
            highest[filled] = np.maximum.reduceat(held, starts[filled])
            own = np.repeat(of_queries, len(self._flips[part]))
            counts = np.where((lowest[at] == own) & (highest[at] == own), 0, counts)
        return left, counts


def bit_counts(values: Hashes) -> NDArray[np.uint8]:
    """Count the set bits of each value (Warren, "Hacker's Delight", 2002, figure 5-2)."""
    if hasattr(np, "bitwise_count"):
        counts: NDArray[np.uint8] = np.bitwise_count(values)
        return counts
    pairs, fours, bytes_ = (
        np.uint64(n) for n in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    counted = values - ((values >> np.uint64(1)) & pairs)
    counted = (counted & fours) + ((counted >> np.uint64(2)) & fours)
    counted = (counted + (counted >> np.uint64(4))) & bytes_
    with np.errstate(over="ignore"):
        total: Hashes = (counted * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return total.astype(np.uint8)


def stretches(work: Indices, budget: int) -> list[tuple[int, int]]:
    """Part a row of costs into neighbours that together cost at most `budget`, at least one each."""
    parts: list[tuple[int, int]] = []
    done = np.concatenate(([0], np.cumsum(work)))
    start = 0
    while start < len(work):
        end = int(np.searchsorted(done, done[start] + budget, "right")) - 1
        end = max(start + 1, end)
        parts.append((start, end))
        start = end
    return parts


def _keys(values: Hashes, low: np.uint64, bits: int) -> Indices:
    return ((values >> low) & np.uint64((1 << bits) - 1)).astype(np.int64)


def _flips(bits: int, most: int) -> Indices:
    """Return the numbers of so many bits of which at most `most` are set."""
    return np.array(
        [
            sum(1 << bit for bit in chosen)
            for count in range(most + 1)
            for chosen in combinations(range(bits), count)
        ],
        dtype=np.int64,
    )


def _cost(hashes: int, parts: int, radius: int) -> float:
    """Return how many comparisons a hash costs among so many random ones."""
    bits = BITS // parts
    flips = sum(comb(bits, count) for count in range(radius // parts + 1))
    return min(parts, radius + 1) * flips * (_LOOK_UP + hashes / (1 << bits))
