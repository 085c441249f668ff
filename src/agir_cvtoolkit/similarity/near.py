"""Near-duplicates among many hashes: exact, and fast enough for some 100,000."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .hashing import BITS

_BLOCK = 1 << 15
Hashes = NDArray[np.uint64]


def near_groups(hashes: Sequence[int], radius: int) -> list[int]:
    """Group hashes: two are together when at most `radius` bits differ, and so are those joined by others.

    Args:
        hashes: of 64 bits, in any order.
        radius: 0 joins equal ones only; at most 63.

    Returns:
        For each hash the index of the first one of its group.

    Exact: two hashes that differ in at most r of 64 bits agree in at least one of r + 1 parts (Norouzi, Punjani
    and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012), so only hashes that share a part
    are compared.
    """
    values, first, back = np.unique(np.array(hashes, dtype=np.uint64), return_index=True, return_inverse=True)
    parent = list(range(len(values)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in _near_pairs(values, radius):
        a, b = root(one), root(other)
        # The root of a group is the value that comes first among the hashes.
        if first[a] > first[b]:
            a, b = b, a
        parent[b] = a
    heads = [int(first[root(index)]) for index in range(len(values))]
    return [heads[index] for index in back.reshape(-1).tolist()]


def _near_pairs(values: Hashes, radius: int) -> Iterator[tuple[int, int]]:
    if radius <= 0:
        return
    edges = [round(part * BITS / (radius + 1)) for part in range(radius + 2)]
    for low, high in pairwise(edges):
        part = (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.diff(part[order])) + 1
        for bucket in np.split(order, starts):
            yield from _close_in(values, bucket, radius)


def _close_in(values: Hashes, bucket: NDArray[np.intp], radius: int) -> Iterator[tuple[int, int]]:
    held = values[bucket]
    rows = max(1, _BLOCK // max(1, len(bucket)))
    for top in range(0, len(bucket), rows):
        block = held[top : top + rows]
        apart = _bit_counts(block[:, None] ^ held[None, top:])
        one, other = np.nonzero(np.triu(apart <= radius, k=1))
        yield from zip(bucket[one + top].tolist(), bucket[other + top].tolist(), strict=True)


def _bit_counts(values: Hashes) -> Hashes:
    """Count the set bits of each value (Warren, "Hacker's Delight", 2002, figure 5-2)."""
    pairs, fours, bytes_ = (
        np.uint64(n) for n in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    counted = values - ((values >> np.uint64(1)) & pairs)
    counted = (counted & fours) + ((counted >> np.uint64(2)) & fours)
    counted = (counted + (counted >> np.uint64(4))) & bytes_
    with np.errstate(over="ignore"):
        total: Hashes = (counted * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return total
