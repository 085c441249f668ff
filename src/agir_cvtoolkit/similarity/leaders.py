"""One of each group of near-duplicates, the first in a given order; and what is near to something known."""

from __future__ import annotations

import numpy as np

from ._buckets import Buckets, Hashes, Indices, stretches

_BUDGET = 1 << 21


def near_leaders(hashes: Hashes, radius: int) -> Indices:
    """Tell for each hash which earlier one stands for it.

    In their order, a hash leads unless it differs in at most `radius` bits from a leader before it; then it follows
    the first such leader. So no two leaders are near each other and every follower is near its leader: unlike in
    groups of neighbours of neighbours, a long film is not one group.

    Args:
        hashes: uint64 of shape (n,), the one to keep first.
        radius: 0 joins equal ones only; at most 63.

    Returns:
        int64 of shape (n,): of each the index of its leader, of a leader its own.

    Exact, in memory that does not grow with the number of pairs.
    """
    _, first, back = np.unique(hashes, return_index=True, return_inverse=True)
    place = np.argsort(first, kind="stable")
    rank = np.empty_like(place)
    rank[place] = np.arange(len(place))
    leaders = _leaders(hashes[first[place]], radius) if radius > 0 else np.arange(len(place))
    found: Indices = first[place][leaders][rank[back.reshape(-1)]]
    return found


def near_known(hashes: Hashes, known: Hashes, radius: int) -> Indices:
    """Return of each hash the index of a known one that differs in at most `radius` bits, -1 where there is none.

    Args:
        hashes: uint64 of shape (n,).
        known: uint64 of shape (k,).
        radius: 0..63.
    """
    found = np.full(len(hashes), -1, dtype=np.int64)
    if not len(known):
        return found
    buckets = Buckets(known, radius)
    for start, end in stretches(buckets.work(hashes), _BUDGET):
        query, held = buckets.near(hashes[start:end])
        # Written backwards, the nearest in the known's order wins.
        order = np.argsort(-held, kind="stable")
        found[start + query[order]] = held[order]
    return found


def _leaders(values: Hashes, radius: int) -> Indices:
    leader = np.full(len(values), -1, dtype=np.int64)
    waiting = np.arange(len(values))
    while len(waiting):
        # Built anew over those that are left, when half of them have been settled.
        held = waiting
        buckets = Buckets(values[held], radius)
        work = buckets.work(values[held])
        at = 0
        while at < len(held):
            at = _next_stretch(values, held, work, at, leader, buckets)
            if 2 * at < len(held) and 2 * np.count_nonzero(leader[held[at:]] < 0) < len(held) - at:
                break
        waiting = held[at:][leader[held[at:]] < 0]
    return leader


def _next_stretch(
    values: Hashes, held: Indices, work: Indices, at: int, leader: Indices, buckets: Buckets
) -> int:
    end = at + max(1, int(np.searchsorted(np.cumsum(work[at : at + (1 << 14)]), _BUDGET, "right")))
    block = np.flatnonzero(leader[held[at:end]] < 0) + at
    query, other = buckets.near(values[held[block]])
    one = block[query]
    later = other > one
    one, other = one[later], other[later]
    order = np.argsort(one, kind="stable")
    one, other = one[order], other[order]
    heads, starts = np.unique(one, return_index=True)
    for head, followers in zip(heads.tolist(), np.split(other, starts)[1:], strict=True):
        if leader[held[head]] < 0:
            free = followers[leader[held[followers]] < 0]
            leader[held[free]] = held[head]
    alone = block[leader[held[block]] < 0]
    leader[held[alone]] = held[alone]
    return end
