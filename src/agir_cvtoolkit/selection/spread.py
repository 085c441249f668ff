"""Distances between embeddings, and picks that lie far from each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Floats, Pool
from agir_cvtoolkit.errors import ConfigError

Vector = NDArray[np.float32]
_ROWS = 4096


def embeddings_of(pool: Pool) -> Floats:
    """Return the embeddings of a pool.

    Raises:
        ConfigError: it has none.
    """
    if pool.embeddings is None:
        raise ConfigError(
            "a pool without embeddings cannot be spread", "Make embeddings, or use another strategy."
        )
    return pool.embeddings


def rows(embeddings: Floats, indices: NDArray[np.int64] | slice) -> Vector:
    """Return rows as float32, read from where they lie."""
    return np.asarray(embeddings[indices], dtype=np.float32)


def distances_to(embeddings: Floats, centres: Floats | None) -> Vector:
    """Return each row's cosine distance to its nearest centre, in [0, 2]; 2 where there are no centres.

    Args:
        embeddings: of shape (n, d), rows of length 1.
        centres: of shape (k, d), rows of length 1.
    """
    found = np.full(len(embeddings), 2.0, dtype=np.float32)
    if centres is None or not len(centres):
        return found
    for top in range(0, len(embeddings), _ROWS):
        block = rows(embeddings, slice(top, top + _ROWS))
        for left in range(0, len(centres), _ROWS):
            near = (block @ rows(centres, slice(left, left + _ROWS)).T).max(axis=1)
            held = found[top : top + _ROWS]
            np.minimum(held, np.maximum(0, 1 - near), out=held)
    return found


def farthest_first(
    embeddings: Floats, weights: Vector | None, known: Floats | None, wanted: int
) -> NDArray[np.int64]:
    """Choose rows one by one, each the one whose (weighted) distance to all chosen and known ones is largest.

    The greedy k-center of T. Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985), used for
    active learning by O. Sener and S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach"
    (ICLR 2018): at most twice the covering radius of the best choice. Of equals the first row is taken.

    Args:
        embeddings: of shape (n, d), rows of length 1.
        weights: float32 of shape (n,), not negative; None for all alike.
        known: of shape (k, d): what is covered already.
        wanted: how many at most.

    Returns:
        indices in the order of choice, `wanted` or all.
    """
    # Above 0, so that a weight of 0 does not make the nearest and the farthest alike.
    heavy = None if weights is None else np.maximum(weights, np.float32(1e-6))
    return best_apart(
        embeddings, lambda apart, at: apart if heavy is None else apart * heavy[at], known, wanted
    )


def best_apart(
    embeddings: Floats,
    worth: Callable[[Vector, NDArray[np.int64] | slice], Vector],
    known: Floats | None,
    wanted: int,
) -> NDArray[np.int64]:
    """Choose rows one by one, each the one that is worth most at its distance to all chosen and known ones.

    A distance only ever falls, and worth with it, so that what it was once is a bound: only rows whose bound is among
    the largest are compared anew, many with many at once (M. Minoux, "Accelerated greedy algorithms", 1978). The result
    is that of comparing all.

    Args:
        embeddings: of shape (n, d), rows of length 1; a few thousand of them are read at a time.
        worth: given distances, float32 of shape (m,), and which rows they are of: what these rows are worth, 0 or more,
            and never more at a smaller distance.
        known: of shape (k, d): what is covered already.
        wanted: how many at most.

    Returns:
        indices in the order of choice, `wanted` or all.
    """
    count = len(embeddings)
    apart = distances_to(embeddings, known)
    bounds = worth(apart, slice(None)).astype(np.float32)
    compared = np.zeros(count, dtype=np.int64)
    centres = np.empty((min(wanted, count), embeddings.shape[1]), dtype=np.float32)
    chosen: list[int] = []
    while len(chosen) < len(centres):
        # Of the first choice every distance is known: of equals the first row is taken.
        block, outside = _largest(bounds) if chosen else (np.array([int(np.argmax(bounds))]), -np.inf)
        held, near = rows(embeddings, block), apart[block]
        taken = bounds[block] < 0
        fresh = centres[int(compared[block].min()) : len(chosen)]
        if len(fresh):
            near = np.minimum(near, np.maximum(0, 1 - (held @ fresh.T).max(axis=1)))
        own = np.where(taken, -1, worth(near, block))
        while len(chosen) < len(centres):
            best = int(np.argmax(own))
            if own[best] < max(outside, 0):
                break
            centres[len(chosen)] = held[best]
            chosen.append(int(block[best]))
            taken[best] = True
            near = np.minimum(near, np.maximum(0, 1 - held @ held[best]))
            # Below all worth: never again.
            own = np.where(taken, -1, worth(near, block))
        apart[block], bounds[block], compared[block] = near, own, len(chosen)
    return np.array(chosen, dtype=np.int64)


def _largest(worth: Vector) -> tuple[NDArray[np.int64], float]:
    """Return the places of the largest values, ascending, and the largest of the others."""
    if len(worth) <= _ROWS:
        return np.arange(len(worth)), -np.inf
    cut = len(worth) - _ROWS
    order = np.argpartition(worth, [cut - 1, cut])
    return np.sort(order[cut:]), float(worth[order[cut - 1]])
