"""A U-Net (Ronneberger et al. 2015) whose decoder is light enough for two CPU cores."""

from __future__ import annotations

from torch import Tensor, nn

from .pyramid import ConvNorm, Encoder, decoder_widths, joined, padded, resized

_FULL_SIZE_CHANNELS = 8
_WIDTHS = (64, 48, 32, 24)
_LAST_WIDTH = 16


class _Up(nn.Module):
    """Enlarges a map to the encoder's next finer one, joins the two and mixes them."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        # Reducing before enlarging costs a quarter of reducing after it.
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.mix = nn.Sequential(ConvNorm(outputs + skip, outputs), ConvNorm(outputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        mixed: Tensor = self.mix(joined([resized(self.reduce(x), skip, "nearest"), skip]))
        return mixed


class UNet(nn.Module):
    """Encoder, one enlarging step for each of its levels with skip connections, one logit per class and pixel.

    A thin branch at full size brings the colour of single pixels to the last step, so that edges follow
    leaves and not the grid of stride 2.
    """

    def __init__(self, encoder: Encoder, widths: tuple[int, ...], classes: int) -> None:
        """Join an encoder with a decoder.

        Args:
            encoder: of any number of levels.
            widths: of the steps, from the coarsest; empty for 64, 48, 32, 24 and 16 (of four levels without the 24).
            classes: number of logits.

        Raises:
            ValueError: there are not as many widths as levels.
        """
        super().__init__()
        levels = len(encoder.channels)
        widths = decoder_widths(widths, (*_WIDTHS[: levels - 1], _LAST_WIDTH))
        self.encoder = encoder
        self.full_size = ConvNorm(3, _FULL_SIZE_CHANNELS)
        skips = [*reversed(encoder.channels[:-1]), _FULL_SIZE_CHANNELS]
        inputs = [encoder.channels[-1], *widths[:-1]]
        self.steps = nn.ModuleList(_Up(i, s, o) for i, s, o in zip(inputs, skips, widths, strict=True))
        self.head = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of shape (B, classes, H, W) for normalised pixels (B, 3, H, W) of any size."""
        height, width = pixels.shape[-2:]
        pixels = padded(pixels, self.encoder.divisor)
        maps = self.encoder(pixels)
        x = maps.pop()
        for step in self.steps:
            x = step(x, maps.pop() if maps else self.full_size(pixels))
        logits: Tensor = self.head(x)
        return logits[..., :height, :width]
