"""Hashes in buckets by their parts: pairs that are near, found without comparing all with all."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .hashing import BITS

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]


class Buckets:
    """Hashes, sorted by each of their `radius` + 1 parts.

    Two hashes that differ in at most r of 64 bits agree in at least one of r + 1 parts (Norouzi, Punjani and Fleet,
    "Fast Search in Hamming Space with Multi-Index Hashing", 2012): only hashes that share a part are compared.
    """

    def __init__(self, values: Hashes, radius: int) -> None:
        edges = [round(part * BITS / (radius + 1)) for part in range(radius + 2)]
        self._values = values
        self._radius = radius
        self._parts = [(np.uint64(low), np.uint64((1 << (high - low)) - 1)) for low, high in pairwise(edges)]
        self._orders: list[Indices] = []
        self._keys: list[Hashes] = []
        for low, mask in self._parts:
            keys = (values >> low) & mask
            order = np.argsort(keys, kind="stable")
            self._orders.append(order)
            self._keys.append(keys[order])

    def work(self, queries: Hashes) -> Indices:
        """Return how many comparisons each query costs."""
        total = np.zeros(len(queries), dtype=np.int64)
        for keys, wanted in zip(self._keys, self._wanted(queries), strict=True):
            total += np.searchsorted(keys, wanted, "right") - np.searchsorted(keys, wanted, "left")
        return total

    def near(self, queries: Hashes) -> tuple[Indices, Indices]:
        """Return the pairs (index of a query, index of a hash) that differ in at most `radius` bits; some come twice."""
        found: list[tuple[Indices, Indices]] = []
        for order, keys, wanted in zip(self._orders, self._keys, self._wanted(queries), strict=True):
            left = np.searchsorted(keys, wanted, "left")
            counts = np.searchsorted(keys, wanted, "right") - left
            query = np.repeat(np.arange(len(queries)), counts)
            within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
            held = order[np.repeat(left, counts) + within]
            close = bit_counts(queries[query] ^ self._values[held]) <= self._radius
            found.append((query[close], held[close]))
        return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])

    def _wanted(self, queries: Hashes) -> list[Hashes]:
        return [(queries >> low) & mask for low, mask in self._parts]


def bit_counts(values: Hashes) -> Hashes:
    """Count the set bits of each value (Warren, "Hacker's Delight", 2002, figure 5-2)."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values).astype(np.uint64)
    pairs, fours, bytes_ = (
        np.uint64(n) for n in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    counted = values - ((values >> np.uint64(1)) & pairs)
    counted = (counted & fours) + ((counted >> np.uint64(2)) & fours)
    counted = (counted + (counted >> np.uint64(4))) & bytes_
    with np.errstate(over="ignore"):
        total: Hashes = (counted * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return total


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
