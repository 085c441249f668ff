"""Near pairs found by comparing all with all: among hashes that crowd in the same buckets nothing is faster."""

from __future__ import annotations

import numpy as np

from ._buckets import Hashes, Indices, bit_counts

_CELLS = 1 << 15
"""Compared at once: so many fit into a processor's cache."""


def all_near(queries: Hashes, values: Hashes, radius: int) -> tuple[Indices, Indices]:
    """Return the pairs (index of a query, index of a value) that differ in at most `radius` bits.

    Args:
        queries: uint64 of shape (q,).
        values: uint64 of shape (n,).
        radius: 0..63.
    """
    found: list[tuple[Indices, Indices]] = [(np.empty(0, dtype=np.int64),) * 2]
    for left in range(0, len(values), _CELLS):
        part = values[left : left + _CELLS]
        rows = _CELLS // len(part)
        for top in range(0, len(queries), rows):
            close = bit_counts(queries[top : top + rows, None] ^ part[None, :]) <= radius
            query, value = np.divmod(np.flatnonzero(close), len(part))
            found.append((query + top, value + left))
    return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])
