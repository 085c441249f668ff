"""What every encoder is: a pyramid of feature maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Turns normalised pixels into feature maps, the finest first.

    Attributes:
        channels: of the maps. Heads for four levels take the last four, usually those at strides 4, 8, 16 and 32; all
            maps of a plain vision transformer have one size.
        divisor: input height and width must be multiples of it.
        coarsest_stride: of the last map.
        description: what rebuilds the encoder without the folder that it came from, or None where its name suffices.
    """

    channels: tuple[int, ...]
    divisor: int = 32
    coarsest_stride: int = 32
    description: Mapping[str, Any] | None = None

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return the maps of normalised pixels (B, 3, H, W)."""
        raise TypeError(f"{type(self).__name__} says not how it sees")

    def keep_fine(self) -> None:
        """Let the coarsest map be one step finer, where the encoder can (atrous convolution)."""

    def norms(self) -> Iterator[nn.BatchNorm2d]:
        """Yield the layers whose statistics training would change."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                yield module


def decoder_widths(given: tuple[int, ...], usual: tuple[int, ...]) -> tuple[int, ...]:
    """Return the widths of a decoder, the usual ones where none are given.

    Raises:
        ValueError: there are more or fewer than usual.
    """
    if given and len(given) != len(usual):
        raise ValueError(f"decoder_channels has {len(given)} entries, not {len(usual)}")
    return given or usual


def padded(pixels: Tensor, divisor: int) -> Tensor:
    """Return pixels (B, C, H, W) whose height and width were filled up to multiples by repeating the edge."""
    bottom, right = -pixels.shape[-2] % divisor, -pixels.shape[-1] % divisor
    if bottom or right:
        return nn.functional.pad(pixels, (0, right, 0, bottom), mode="replicate")
    return pixels


class ConvNorm(nn.Sequential):
    """A convolution of 3 by 3 (or 1 by 1), batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def resized(maps: Tensor, like: Tensor, mode: str) -> Tensor:
    """Return maps (B, C, h, w) in the height and width of another tensor; ``nearest`` or ``bilinear``."""
    size = like.shape[-2:]
    if mode == "nearest":
        return nn.functional.interpolate(maps, size=size, mode="nearest")
    return nn.functional.interpolate(maps, size=size, mode=mode, align_corners=False)


def joined(maps: list[Tensor]) -> Tensor:
    """Return maps of one size, channel after channel."""
    return torch.cat(maps, dim=1)
