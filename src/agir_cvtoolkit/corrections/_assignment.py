"""The best one-to-one pairing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def cheapest(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Assign every row another column so that the sum of costs is least.

    Shortest augmenting paths with potentials (Kuhn 1955; Jonker & Volgenant 1987), O(rows² · columns).

    Args:
        costs: float64 of shape (rows, columns), finite, with at least as many columns as rows.

    Returns:
        int64 of shape (rows,): the column of each row. Among equal sums the choice depends on the order of
        rows and columns alone.
    """
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.full(columns + 1, rows)  # the last column and the last row stand for "none"
    for row in range(rows):
        row_of[columns] = row
        column = columns
        least = np.full(columns, np.inf)
        came_from = np.full(columns, columns)
        done = np.zeros(columns + 1, dtype=np.bool_)
        while row_of[column] != rows:
            done[column] = True
            at = row_of[column]
            reduced = costs[at] - row_price[at] - column_price[:columns]
            better = ~done[:columns] & (reduced < least)
            least[better] = reduced[better]
            came_from[better] = column
            following = int(np.argmin(np.where(done[:columns], np.inf, least)))
            step = least[following]
            row_price[row_of[done]] += step
            column_price[done] -= step
            least[~done[:columns]] -= step
            column = following
        while column != columns:
            previous = int(came_from[column])
            row_of[column] = row_of[previous]
            column = previous
    found = np.empty(rows, dtype=np.int64)
    for column in range(columns):
        if row_of[column] != rows:
            found[row_of[column]] = column
    return found


def best_pairs(weights: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Return the one-to-one pairs with the largest sum of weights.

    Args:
        weights: of the pairs (first, second) that are possible, all positive.

    Returns:
        The pairs, ascending.
    """
    found: list[tuple[int, int]] = []
    for pairs in _islands(sorted(weights)):
        first = sorted({pair[0] for pair in pairs})
        second = sorted({pair[1] for pair in pairs})
        gains = np.zeros((len(first), len(second)))
        for i, j in pairs:
            gains[first.index(i), second.index(j)] = weights[i, j]
        turned = len(first) > len(second)
        chosen = cheapest(-gains.T if turned else -gains)
        for row, column in enumerate(chosen.tolist()):
            at = (column, row) if turned else (row, column)
            if gains[at] > 0:
                found.append((first[at[0]], second[at[1]]))
    return sorted(found)


def _islands(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Split pairs into groups that share no member, so that each is solved by itself."""
    parent: dict[tuple[str, int], tuple[str, int]] = {}

    def root(node: tuple[str, int]) -> tuple[str, int]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for i, j in pairs:
        parent[root(("first", i))] = root(("second", j))
    groups: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for i, j in pairs:
        groups.setdefault(root(("first", i)), []).append((i, j))
    return list(groups.values())
