"""Near-duplicates among many hashes: exact, and fast enough for some 100,000."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._all_pairs import all_near
from ._buckets import Buckets, Hashes, Indices, bit_counts
from .hashing import BITS

_BUDGET = 1 << 21
_AT_ONCE = 1 << 13
_ALL_AT_ONCE = 1 << 10
_GATHER = 16
"""What a hash out of a bucket costs, in comparisons of neighbouring ones."""
_TURNS, _AHEAD = 16, 4


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
    if radius > 0 and len(values):
        parent = _rest_joined(values, radius, _quickly_joined(values, radius))
    found: list[int] = first[parent][number[back.reshape(-1)]].tolist()
    return found


def _quickly_joined(values: Hashes, radius: int) -> Indices:
    """Join some of those that are near: of their sorted order, by every part of their bits, the neighbours."""
    parent = np.arange(len(values))
    for turn in range(0, BITS, BITS // _TURNS):
        low, high = np.uint64(turn), np.uint64((BITS - turn) % BITS)
        order = np.argsort((values << low) | (values >> high))
        turned = values[order]
        for ahead in range(1, _AHEAD + 1):
            close = bit_counts(turned[ahead:] ^ turned[:-ahead]) <= radius
            parent = _joined(parent, order[ahead:][close], order[:-ahead][close])
    return parent


def _rest_joined(values: Hashes, radius: int, parent: Indices) -> Indices:
    """Join all that are near.

    Of two that are near and not together, one at least is outside the largest group: only these are looked for, and
    who was looked for need not be found again.
    """
    buckets = Buckets(values, radius)
    left = np.arange(len(values))
    at_once = _AT_ONCE
    while True:
        groups = parent[left]
        sizes = np.bincount(groups)
        outside = np.flatnonzero(groups != sizes.argmax())
        if not len(outside):
            return parent
        small = outside[sizes[groups[outside]] < _ALL_AT_ONCE]
        # A large group by itself, so that it need not be compared with its own.
        own = -1 if len(small) else groups[outside[0]]
        outside = (small if len(small) else outside[groups[outside] == own])[:at_once]
        work = buckets.work(values[left[outside]], (groups[outside], parent))
        crowded = work * _GATHER > len(left)
        if 2 * np.count_nonzero(crowded) > len(outside):
            done = outside[crowded][:_ALL_AT_ONCE]
            others = left[groups != own]
            query, other = all_near(values[left[done]], values[others], radius)
            other = others[other]
        else:
            end = max(1, int(np.searchsorted(np.cumsum(work[~crowded]), _BUDGET, "right")))
            done = outside[~crowded][:end]
            query, other = buckets.near(values[left[done]], (groups[done], parent))
        parent = _joined(parent, left[done][query], other)
        left = np.delete(left, done)
        at_once = min(_AT_ONCE, 2 * max(_ALL_AT_ONCE, len(done)))


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
