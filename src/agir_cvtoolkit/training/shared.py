"""What several processes of one training share, so that they train as one would."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def summed(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes of a training, through which slopes go back; alone: itself."""
    if not _several():
        return values
    found: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return found


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *slopes: Tensor) -> Tensor:
        total = slopes[0].clone()
        distributed.all_reduce(total)
        return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy 2015) by the statistics of all processes' pixels, on CPUs too.

    PyTorch's own synchronised layer works on GPUs only. Every process must see equally many pixels.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if not (self.training and _several()):
            return super().forward(values)
        wide = values.float()
        count = wide.numel() // wide.shape[1] * distributed.get_world_size()
        total, squares = summed(torch.stack([wide.sum(dim=(0, 2, 3)), wide.square().sum(dim=(0, 2, 3))]))
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        self._remember(mean.detach(), variance.detach() * count / max(1, count - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        shape = (1, -1, 1, 1)
        shifted: Tensor = wide * scale.reshape(shape) + (self.bias - mean * scale).reshape(shape)
        return shifted.to(values.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_norms(network: nn.Module) -> None:
    """Let every batch normalisation of a network go over all processes; weights and their names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
