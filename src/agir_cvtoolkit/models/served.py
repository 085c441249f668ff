"""A network as it is used: from pixels to probabilities, its normalisation inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .card import ModelCard
from .heatmap import GRID_STRIDE, place_probabilities


class Served(nn.Module):
    """A network from pixels 0..255 to probabilities: what predicts here, and what leaves the house."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        """Take a network in evaluation mode and its card."""
        super().__init__()
        self.network = network.eval()
        self.kind = card.kind
        height, width = card.tile_size
        self.grid = card.architecture.classes, height // GRID_STRIDE, width // GRID_STRIDE
        self.register_buffer("mean", torch.tensor(card.normalization.mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(card.normalization.std).reshape(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return probabilities for RGB pixels (N, 3, height, width), 0..255, of any type.

        Returns:
            float32 (N, classes, height, width), summing to 1 over the classes; of a pose model ``places`` and
            ``hidden`` of `heatmap.place_probabilities`.
        """
        # The quotient takes the place of the difference: one picture in memory less.
        logits = self.network(torch.sub(pixels.float(), self.mean).div_(self.std)).float()
        return place_probabilities(logits, self.grid) if self.kind == "pose" else torch.softmax(logits, dim=1)
