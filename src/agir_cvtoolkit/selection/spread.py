"""Distances between embeddings, and picks that lie far from each other."""

from __future__ import annotations

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
    apart = distances_to(embeddings, known)
    held = rows(embeddings, slice(None))
    # Above 0, so that what was chosen (-1) stays below what is left.
    heavy = None if weights is None else np.maximum(weights, np.float32(1e-6))
    chosen: list[int] = []
    for _ in range(min(wanted, len(held))):
        worth = apart if heavy is None else apart * heavy
        best = int(np.argmax(worth))
        chosen.append(best)
        np.minimum(apart, np.maximum(0, 1 - held @ held[best]), out=apart)
        apart[best] = -1
    return np.array(chosen, dtype=np.int64)
