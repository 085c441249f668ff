"""What a network drops at random while it learns, drawn for each sample by seed, epoch and place in the epoch's order.

So it is the same however a batch is shared among processes or parted in steps, and after a kill. The layers are dropout
(Srivastava et al. 2014), dropout of channels (Tompson et al. 2015) and stochastic depth (Huang et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


class Draws:
    """Random numbers of the samples of a batch, in the order in which its layers ask for them."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int, int]] = []
        self._generators: list[torch.Generator] = []

    def begin(self, seed: int, epoch: int, places: Sequence[int]) -> None:
        """Begin a batch.

        Args:
            seed: of the training.
            epoch: from 0.
            places: of the batch's samples, in order, among those that all processes see in the epoch, from 0.
        """
        self._keys = [(seed, epoch, place) for place in places]
        self._generators = []

    def kept(self, values: Tensor, shape: tuple[int, ...], share: float) -> Tensor:
        """Return values (B, …) of which a share is dropped, the rest as much larger.

        Args:
            values: as many samples as were begun with.
            shape: of what is drawn for each sample; stretched over its values.
            share: in [0, 1].
        """
        if not self._generators:
            self._generators = [_generator(key, values.device) for key in self._keys]
        drawn = torch.stack([torch.rand(shape, generator=g, device=values.device) for g in self._generators])
        scale = 1 / (1 - share) if share < 1 else 0.0
        return values * ((drawn >= share) * scale).to(values.dtype)

    def __getstate__(self) -> dict[str, object]:
        """Generators stay in their process."""
        return {"_keys": self._keys, "_generators": []}


def drawn_by_place(network: nn.Module) -> Draws:
    """Let all layers of a network that drop at random draw by place; weights and their names stay.

    What a layer drops inside of a function, as the attention of some backbones does when it is configured to, is not
    reached.

    Returns:
        What is to be told of each batch that the network learns from.
    """
    draws = Draws()
    for module in network.modules():
        if type(module) in _LAYERS:
            module.__class__ = _LAYERS[type(module)]
        elif type(module).__name__.endswith("DropPath") and hasattr(module, "drop_prob"):
            module.__class__ = DrawnPath
        if isinstance(module, DrawnDropout | DrawnDropout2d | DrawnPath):
            module.draws = draws
    return draws


class DrawnDropout(nn.Dropout):
    """Drops single values."""

    draws: Draws

    def forward(self, values: Tensor) -> Tensor:
        """Drop of (B, …)."""
        if not self.training or self.p == 0:
            return values
        return self.draws.kept(values, tuple(values.shape[1:]), self.p)


class DrawnDropout2d(nn.Dropout2d):
    """Drops whole channels."""

    draws: Draws

    def forward(self, values: Tensor) -> Tensor:
        """Drop of (B, C, H, W)."""
        if not self.training or self.p == 0:
            return values
        return self.draws.kept(values, (values.shape[1], 1, 1), self.p)


class DrawnPath(nn.Module):
    """Drops all that a block adds to a sample."""

    draws: Draws
    drop_prob: float | None

    def forward(self, values: Tensor) -> Tensor:
        """Drop of (B, …)."""
        if not self.training or not self.drop_prob:
            return values
        return self.draws.kept(values, (1,) * (values.ndim - 1), self.drop_prob)


_LAYERS: dict[type[nn.Module], type[nn.Module]] = {nn.Dropout: DrawnDropout, nn.Dropout2d: DrawnDropout2d}


def _generator(key: tuple[int, int, int], device: torch.device) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) >> 1)
