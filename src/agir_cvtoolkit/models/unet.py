"""A U-Net (Ronneberger et al. 2015) whose decoder is light enough for two CPU cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from .encoders import LiteEncoder

STRIDE = 32
_FULL_SIZE_CHANNELS = 8


class _ConvNorm(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class _Up(nn.Module):
    """Doubles a map, joins it with the encoder's of that size and mixes both."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        # Reducing before doubling costs a quarter of reducing after it.
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.mix = nn.Sequential(_ConvNorm(outputs + skip, outputs), _ConvNorm(outputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest")
        mixed: Tensor = self.mix(torch.cat([x, skip], dim=1))
        return mixed


class UNet(nn.Module):
    """Encoder, five doubling steps with skip connections, one logit per class and pixel.

    A thin branch at full size brings the colour of single pixels to the last step, so that edges follow
    leaves and not the grid of stride 2.
    """

    def __init__(self, encoder: LiteEncoder, decoder_channels: tuple[int, ...], classes: int) -> None:
        """Join an encoder of five levels with a decoder of five widths.

        Raises:
            ValueError: `decoder_channels` has not five entries.
        """
        super().__init__()
        if len(decoder_channels) != len(encoder.channels):
            raise ValueError(
                f"decoder_channels has {len(decoder_channels)} entries, not {len(encoder.channels)}"
            )
        self.encoder = encoder
        self.full_size = _ConvNorm(3, _FULL_SIZE_CHANNELS)
        skips = [*reversed(encoder.channels[:-1]), _FULL_SIZE_CHANNELS]
        inputs = [encoder.channels[-1], *decoder_channels[:-1]]
        self.steps = nn.ModuleList(
            _Up(i, s, o) for i, s, o in zip(inputs, skips, decoder_channels, strict=True)
        )
        self.head = nn.Conv2d(decoder_channels[-1], classes, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of shape (B, classes, H, W) for normalised pixels (B, 3, H, W) of any size."""
        height, width = pixels.shape[-2:]
        bottom, right = -height % STRIDE, -width % STRIDE
        if bottom or right:
            pixels = F.pad(pixels, (0, right, 0, bottom), mode="replicate")
        maps = self.encoder(pixels)
        x = maps.pop()
        for step in self.steps:
            x = step(x, maps.pop() if maps else self.full_size(pixels))
        logits: Tensor = self.head(x)
        return logits[..., :height, :width]
