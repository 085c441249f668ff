"""Near-duplicates among many hashes: exact, and fast enough for some 100,000."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._buckets import Buckets, Indices
from .leaders import near_leaders

_BUDGET = 1 << 21
_AT_ONCE = 1 << 13


def near_groups(hashes: Sequence[int], radius: int) -> list[int]:
    """Group hashes: two are together when at most `radius` bits differ, and so are those joined by others.

    Args:
        hashes: of 64 bits, in any order.
        radius: 0 joins equal ones only; at most 63.

    Returns:
        For each hash the index of the first one of its group.

    Exact, in memory that does not grow with the number of pairs. See `leaders` for groups that are not joined by others.
    """
    values, first, back = np.unique(np.array(hashes, dtype=np.uint64), return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    # Numbered by their first place, so that the lowest number of a group is its first hash.
    values, first = values[order], first[order]
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    parent = np.arange(len(values))
    if radius > 0:
        # Most pairs are within groups that are found quickly; what joins these is looked for afterwards.
        parent = near_leaders(values, radius)
        buckets = Buckets(values, radius)
        start = 0
        while start < len(values):
            rest = slice(start, start + _AT_ONCE)
            work = buckets.work(values[rest], (parent[rest], parent))
            end = start + max(1, int(np.searchsorted(np.cumsum(work), _BUDGET, "right")))
            query, other = buckets.near(values[start:end], (parent[start:end], parent))
            parent = _joined(parent, query + start, other)
            start = end
    found: list[int] = first[parent][number[back.reshape(-1)]].tolist()
    return found


def _joined(parent: Indices, one: Indices, other: Indices) -> Indices:
    """Join the groups of pairs: each root points to the lowest one it is paired with, until nothing changes.

    Args:
        parent: the lowest number of each group.
        one: numbers, and
        other: numbers they are near to.
    """
    while True:
        a, b = parent[one], parent[other]
        apart = a != b
        if not apart.any():
            return parent
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            shorter = parent[parent]
            if np.array_equal(shorter, parent):
                break
            parent = shorter
