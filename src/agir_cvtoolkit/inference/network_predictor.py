"""What predictors with a trained network have in common, whatever computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np

from agir_cvtoolkit.errors import CheckpointError
from agir_cvtoolkit.models.card import ModelCard

from .predictor import RGB, Probabilities


class NetworkPredictor(ABC):
    """Predicts tiles with a network that a card describes.

    A tile's result does not depend, to the last bit, on the batch that it comes in: tiles are computed in groups of one
    fixed size, the last of which is filled up.

    Attributes:
        card: of the model.
    """

    def __init__(self, card: ModelCard) -> None:
        """Take the card of a segmentation model."""
        self.card = card

    @property
    def name(self) -> str:
        """Name and version of the weights, such as ``unet-efficientnet_lite0@0123456789ab``."""
        return self.card.identity

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; the first is the background."""
        return self.card.classes

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Mask value of each class, 0 for the background."""
        return self.card.class_ids

    @property
    def needs_tiles(self) -> Literal[True]:
        """True."""
        return True

    @property
    def tile_size(self) -> tuple[int, int]:
        """Height and width in pixels that it was trained on, by the card."""
        return self.card.tile_size

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return width and height at which a picture of `size` should be predicted: the training's scale."""
        return self.card.trained_on.working_size(size)

    def predict_tiles(self, batch: RGB) -> Probabilities:
        """Predict a batch.

        Args:
            batch: uint8 RGB of shape (n, height, width, 3).

        Returns:
            float32 of shape (n, classes, height, width), summing to 1 over the classes.

        Raises:
            CheckpointError: the model takes tiles of another size, or gives another number of classes.
            MemoryError: not even one tile fits into memory.
        """
        count, height, width, _ = batch.shape
        self._check_size(height, width)
        found = np.empty((count, len(self.classes), height, width), dtype=np.float32)
        done = 0
        while done < count:
            group = self._group(height, width)
            part = batch[done : done + group]
            computed = self._computed(_filled(part, group))
            if computed is None:
                continue
            if computed.shape[1:] != found.shape[1:]:
                raise CheckpointError(
                    f"model {self.name} gives {computed.shape[1:]} where {found.shape[1:]} is right",
                    "Check the number of classes.",
                )
            found[done : done + len(part)] = computed[: len(part)]
            done += len(part)
        return found

    @abstractmethod
    def _computed(self, tiles: RGB) -> Probabilities | None:
        """Return the probabilities of a group; None where it did not fit and a smaller group shall be tried."""

    def _group(self, height: int, width: int) -> int:
        """Return how many tiles are computed at once."""
        del height, width
        return 1

    def _check_size(self, height: int, width: int) -> None:
        """Refuse tiles that the network cannot take; most take any."""
        del height, width


def _filled(tiles: RGB, count: int) -> RGB:
    missing = count - len(tiles)
    return tiles if missing == 0 else np.pad(tiles, ((0, missing), (0, 0), (0, 0), (0, 0)))
