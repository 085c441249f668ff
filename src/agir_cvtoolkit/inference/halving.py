"""Batches that do not fit into memory, halved until they do."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from agir_cvtoolkit.errors import UsageError

from .predictor import RGB, Probabilities, TilePredictor

_log = logging.getLogger(__name__)


class Halving:
    """A tile predictor that halves a batch for which memory is lacking, and remembers what fitted.

    A tile's result does not depend on its batch, so halving changes the speed and nothing else.
    """

    def __init__(self, predictor: TilePredictor) -> None:
        """Take the predictor that may raise MemoryError."""
        self._predictor = predictor
        self._most: int | None = None

    @property
    def name(self) -> str:
        """As of the predictor."""
        return self._predictor.name

    @property
    def classes(self) -> tuple[str, ...]:
        """As of the predictor."""
        return self._predictor.classes

    @property
    def class_ids(self) -> tuple[int, ...]:
        """As of the predictor."""
        return self._predictor.class_ids

    @property
    def needs_tiles(self) -> Literal[True]:
        """True."""
        return True

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """As of the predictor."""
        return self._predictor.working_size(size)

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
                return self._predictor.predict_tiles(batch)
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
