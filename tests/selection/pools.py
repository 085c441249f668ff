"""Small pools for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Pool


def unit_rows(rng: np.random.Generator, count: int, dimensions: int = 8) -> NDArray[np.float32]:
    """Return rows of length 1, float32 of shape (count, dimensions)."""
    rows = rng.normal(size=(count, dimensions)).astype(np.float32)
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def pool_of(count: int, seed: int = 0, *, doubles: float = 0.0) -> Pool:
    """Return pictures with everything that a pool can have; a share of them is a near-duplicate of another."""
    rng = np.random.default_rng(seed)
    embeddings, hashes = unit_rows(rng, count), rng.integers(0, 1 << 63, count, dtype=np.uint64)
    for index in range(count):
        if index and rng.random() < doubles:
            other = int(rng.integers(index))
            hashes[index] = hashes[other] ^ np.uint64(1 << int(rng.integers(64)))
            embeddings[index] = embeddings[other]
    return Pool(
        ids=[f"r{index:05d}" for index in range(count)],
        scores={name: rng.random(count).astype(np.float32) for name in ("uncertainty", "margin")},
        embeddings=embeddings,
        hashes=hashes,
        contents=[f"{hash_:x}" for hash_ in hashes.tolist()],
        strata=[("barley", "oats", "rye")[index % 3] for index in range(count)],
        classes={"vetch": (rng.random(count) < 0.2).astype(np.float32) * 0.5},
    )
