"""The units of a pool in the order of their ids, and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Floats, Known, Pool
from agir_cvtoolkit.errors import DataError

Positions = NDArray[np.int64]
_T = TypeVar("_T")


class Units:
    """A pool, sorted by id, whose embeddings stay where they lie.

    Attributes:
        pool: sorted; without embeddings.
        records: number of each unit's record, from 0 in the order of their first units; int64 of shape (n,).
        first: position of each record's first unit.
        spread: what units are compared by: embeddings, or the bits of the hashes in their stead; None for neither.

    Raises:
        DataError: an id comes twice, or a column has another length.
    """

    def __init__(self, pool: Pool) -> None:
        _check(pool)
        self._order = np.array(sorted(range(len(pool)), key=pool.ids.__getitem__), dtype=np.int64)
        self._embeddings = pool.embeddings
        self.pool = _taken(replace(pool, embeddings=None), self._order)
        names = self.pool.ids if self.pool.records is None else self.pool.records
        numbers: dict[str, int] = {}
        self.records = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
        _, self.first = np.unique(self.records, return_index=True)
        self.has_embeddings = pool.embeddings is not None

    def embeddings(self, positions: Positions) -> Floats | None:
        """Return the embeddings of some units, or the bits of their hashes where there are none."""
        if self._embeddings is not None:
            return self._embeddings[self._order[positions]]
        return None if self.pool.hashes is None else bits_as_embeddings(self.pool.hashes[positions])

    def row(self, position: int) -> NDArray[np.float32]:
        """Return the embedding of one unit."""
        held = self.embeddings(np.array([position], dtype=np.int64))
        return np.empty(0, dtype=np.float32) if held is None else held[0].astype(np.float32)

    def part(self, positions: Positions) -> Pool:
        """Return some of the units as a pool of their own."""
        return replace(_taken(self.pool, positions), embeddings=self.embeddings(positions))

    def known_embeddings(self, known: Known) -> Floats | None:
        """Return the known embeddings in the form that `embeddings` gives."""
        if self.has_embeddings:
            return known.embeddings
        return None if known.hashes is None else bits_as_embeddings(known.hashes)


def bits_as_embeddings(hashes: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return rows of 64 values of length 1 whose cosine distance is 1/32 of the bits in which two hashes differ."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    return (bits.astype(np.float32) * 2 - 1) / np.float32(8)


def _taken(pool: Pool, positions: Positions) -> Pool:
    listed = positions.tolist()

    def few(values: Sequence[_T] | None) -> list[_T] | None:
        return None if values is None else [values[position] for position in listed]

    return Pool(
        ids=[pool.ids[position] for position in listed],
        records=few(pool.records),
        regions=few(pool.regions),
        scores={name: values[positions] for name, values in pool.scores.items()},
        hashes=None if pool.hashes is None else pool.hashes[positions],
        contents=few(pool.contents),
        strata=few(pool.strata),
        classes={name: values[positions] for name, values in pool.classes.items()},
        costs=None if pool.costs is None else pool.costs[positions],
    )


def _check(pool: Pool) -> None:
    if len(set(pool.ids)) != len(pool):
        raise DataError("the pool has an id twice", "Every unit needs an id of its own.")
    columns = {
        "records": pool.records, "regions": pool.regions, "embeddings": pool.embeddings, "hashes": pool.hashes,
        "contents": pool.contents, "strata": pool.strata, "costs": pool.costs, **pool.scores, **pool.classes,
    }  # fmt: skip
    for name, column in columns.items():
        if column is not None and len(column) != len(pool):
            raise DataError(
                f"the pool has {len(pool)} units, but {len(column)} of {name}", "Give one for each unit."
            )
