"""Points that fall apart by the ways between them."""

from __future__ import annotations

from collections.abc import Sequence

from ._drawn import Mark, way

APART = 1.5
"""Animals are apart where the way from one to the other is so many times the longest way within one."""


def clusters_of(marks: Sequence[Mark], count: int) -> list[list[Mark]] | None:
    """Split points where the ways between them are longest; None where they are not clearly longer than others.

    The parts are those of single linkage: the shortest tree through all points without its longest edges.
    """
    edges = _shortest_tree(marks)
    edges.sort(reverse=True)
    cut, kept = edges[: count - 1], edges[count - 1 :]
    if len(cut) < count - 1 or (kept and cut[-1][0] < APART * kept[0][0]):
        return None
    part = list(range(len(marks)))
    for _, i, j in kept:
        old, new = part[j], part[i]
        part = [new if own == old else own for own in part]
    return [
        [mark for mark, own in zip(marks, part, strict=True) if own == one] for one in dict.fromkeys(part)
    ]


def _shortest_tree(marks: Sequence[Mark]) -> list[tuple[float, int, int]]:
    """Return the edges of the shortest tree through all points (Prim 1957)."""
    if not marks:
        return []
    nearest = {j: (way(marks[0], marks[j]), 0) for j in range(1, len(marks))}
    edges = []
    while nearest:
        j = min(nearest, key=lambda one: nearest[one])
        length, i = nearest.pop(j)
        edges.append((length, i, j))
        for k, known in nearest.items():
            nearest[k] = min(known, (way(marks[j], marks[k]), j))
    return edges
