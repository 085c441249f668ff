"""What a strategy is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Known, Pool

Order = NDArray[np.int64]


@runtime_checkable
class Strategy(Protocol):
    """Puts the units of a pool in an order. What must not be chosen, quotas and the control slice are not its concern.

    Attributes:
        needs: of ``score``, ``embeddings`` and ``classes``; without these it is not called.
        says: why a unit was chosen, in words for its annotator.
    """

    @property
    def needs(self) -> frozenset[str]:
        """What the pool must have."""

    @property
    def says(self) -> str:
        """Why a unit was chosen."""

    def rank(
        self, pool: Pool, scores: NDArray[np.float32], known: Known, wanted: int, rng: np.random.Generator
    ) -> Order:
        """Return indices of the pool in the order of choice, each at most once.

        Fewer than `wanted` may be returned, but at least one where the pool has any; when some of them cannot be taken
        (quotas), it is called again with those that are left and with what was taken among `known`.

        Args:
            pool: n units, sorted by id; embeddings are float32 or float16 rows of length 1.
            scores: float32 of shape (n,), larger is worth more; 0 throughout where the strategy needs none.
            known: what is labelled, in flight or chosen already.
            wanted: how many will be taken.
            rng: the only source of chance.
        """
