"""Batches that do not fit into memory, halved until they do."""

from __future__ import annotations

import logging

import numpy as np

from agir_cvtoolkit.errors import UsageError

from .around import AroundTiles
from .predictor import RGB, Probabilities, TilePredictor

_log = logging.getLogger(__name__)


class Halving(AroundTiles):
    """A tile predictor that halves a batch for which memory is lacking, and remembers what fitted.

    A tile's result does not depend on its batch, so halving changes the speed and nothing else.
    """

    def __init__(self, predictor: TilePredictor) -> None:
        """Take the predictor that may raise MemoryError."""
        super().__init__(predictor)
        self._most: int | None = None

    def predict_tiles(self, batch: RGB) -> Probabilities:
        """Predict a batch, in parts where all of it does not fit.

        Args:
            batch: uint8 RGB of shape (n, height, width, 3).

        Returns:
            float32 of shape (n, classes, height, width).

        Raises:
            UsageError: not even one tile fits.
        """
        if self._most is None or len(batch) <= self._most:
            try:
                return self._inner.predict_tiles(batch)
            except MemoryError as error:
                if len(batch) <= 1:
                    raise UsageError(
                        f"memory is lacking for one tile of {batch.shape[2]}x{batch.shape[1]} pixels",
                        "Lower seg_inference.tile.height and tile.width, or set seg_inference.device=cpu",
                    ) from error
                self._most = len(batch) // 2
                _log.warning(
                    "Memory is lacking for %d tiles at once; going on with %d", len(batch), self._most
                )
        step = self._most
        parts = [self.predict_tiles(batch[start : start + step]) for start in range(0, len(batch), step)]
        return np.concatenate(parts)
