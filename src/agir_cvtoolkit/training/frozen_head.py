"""The head over frozen maps: every level brought to one width where it is, added up at the finest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name


class ColumnHead(nn.Module):
    """Two or three layers over the column of features above each cell (hypercolumns, Hariharan et al. 2015).

    A linear layer over a column of upsampled maps is the sum of the upsampled results of linear layers over each map, so
    that nothing wide is ever computed at the finest size; and single cells can be learned from without the rest.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, width: int, outputs: int) -> None:
        """Build a head with random weights.

        Args:
            mean, std: of the features, float32 of shape (features,).
            width: of the hidden layers.
            outputs: of the last one.
        """
        super().__init__()
        self.first = nn.Linear(len(mean), width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, outputs)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def columns(self, x: Tensor) -> Tensor:
        """Return outputs (n, outputs) for columns of features (n, features)."""
        return self._rest(self.first((x - self.mean) / self.std))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return outputs (B, outputs, h, w) for maps (B, channels, ., .), h and w those of the largest of them."""
        weight = self.first.weight / self.std
        bias = self.first.bias - (weight * self.mean).sum(dim=1)
        size = max((level.shape[-2:] for level in maps), key=lambda one: one[0] * one[1])
        total = maps[0].new_zeros(())
        start = 0
        for level in maps:
            part = F.conv2d(level, weight[:, start : start + level.shape[1], None, None])
            total = total + (part if part.shape[-2:] == size else resized(part, size))
            start += level.shape[1]
        return self._rest((total + bias[:, None, None]).movedim(1, -1)).movedim(-1, 1)

    def _rest(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(F.relu(self.second(F.relu(x))))
        return found


class Averaged:
    """The mean of a network's weights over the steps of its training (Izmailov et al. 2018, arXiv 1803.05407)."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._sums = [torch.zeros_like(p) for p in network.parameters()]
        self._count = 0

    def add(self) -> None:
        """Count the weights as they are now."""
        for held, p in zip(self._sums, self._network.parameters(), strict=True):
            held.add_(p.detach())
        self._count += 1

    def take(self) -> None:
        """Give the network the mean of what was counted."""
        with torch.no_grad():
            for held, p in zip(self._sums, self._network.parameters(), strict=True):
                p.copy_(held / self._count)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps (B, C, h, w) in another height and width."""
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


@contextmanager
def chance(seed: int) -> Iterator[torch.Generator]:
    """Draw weights by a seed, and leave the drawing of others as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: how sums are parted among several changes their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
