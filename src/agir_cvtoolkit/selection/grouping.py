"""Groups of embeddings that are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Floats

from .spread import Vector, rows

_SAMPLE = 20_000
_ROUNDS = 10
_ROWS = 4096


def groups_of(embeddings: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Part rows into groups around `count` centres and return the group of each.

    k-means on the sphere (Dhillon and Modha 2001), started as by Arthur and Vassilvitskii, "k-means++" (2007); centres
    are found on at most 20,000 rows drawn at random. Groups may stay empty.

    Args:
        embeddings: of shape (n, d), rows of length 1; n is at least 1.
        count: at least 1; more than n is n.
        rng: the source of chance.
    """
    drawn = np.sort(rng.permutation(len(embeddings))[:_SAMPLE])
    sample = rows(embeddings, drawn)
    centres = _started(sample, min(count, len(sample)), rng)
    for _ in range(_ROUNDS):
        near = _nearest(sample, centres)
        order = np.argsort(near, kind="stable")
        held, starts = np.unique(near[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        moved = centres.copy()
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        moved[held] = np.where(lengths > 0, sums / np.maximum(lengths, np.float32(1e-12)), centres[held])
        if np.allclose(moved, centres, atol=1e-4):
            break
        centres = moved
    return _nearest(embeddings, centres)


def _started(sample: Vector, count: int, rng: np.random.Generator) -> Vector:
    chosen = [int(rng.integers(len(sample)))]
    apart = np.maximum(0, 1 - sample @ sample[chosen[0]]).astype(np.float64)
    while len(chosen) < count:
        total = apart.sum()
        if total <= 1e-9:
            break
        chosen.append(
            int(np.searchsorted(np.cumsum(apart), rng.random() * total, "right").clip(0, len(apart) - 1))
        )
        np.minimum(apart, np.maximum(0, 1 - sample @ sample[chosen[-1]]), out=apart)
    return sample[chosen].copy()


def _nearest(embeddings: Floats, centres: Vector) -> NDArray[np.int64]:
    blocks = [
        np.argmax(rows(embeddings, slice(top, top + _ROWS)) @ centres.T, axis=1)
        for top in range(0, len(embeddings), _ROWS)
    ]
    return np.concatenate(blocks)
