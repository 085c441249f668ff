"""The all-MLP head of SegFormer (Xie et al. 2021, "Simple and Efficient Design for Semantic Segmentation")."""

from __future__ import annotations

from torch import Tensor, nn

from .pyramid import ConvNorm, Encoder, decoder_widths, joined, padded, resized

_WIDTH = 128
_DROPPED = 0.1


class SegFormer(nn.Module):
    """Encoder, one linear layer for each of its last four levels, all brought to the finest of them and mixed.

    With a mix transformer as encoder this is the published network; any other encoder does as well.
    """

    def __init__(self, encoder: Encoder, widths: tuple[int, ...], classes: int) -> None:
        """Join an encoder with the head.

        Args:
            encoder: of four levels or more.
            widths: one, that of the head; empty for 128.
            classes: number of logits.

        Raises:
            ValueError: `widths` has more than one entry.
        """
        super().__init__()
        (width,) = decoder_widths(widths, (_WIDTH,))
        self.encoder = encoder
        self.levels = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in encoder.channels[-4:])
        self.mix = ConvNorm(4 * width, width, 1)
        self.drop = nn.Dropout2d(_DROPPED)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of shape (B, classes, H, W) for normalised pixels (B, 3, H, W) of any size."""
        height, width = pixels.shape[-2:]
        pixels = padded(pixels, self.encoder.divisor)
        maps = self.encoder(pixels)[-4:]
        brought = [
            resized(level(one), maps[0], "bilinear") for level, one in zip(self.levels, maps, strict=True)
        ]
        logits = resized(self.head(self.drop(self.mix(joined(brought)))), pixels, "bilinear")
        return logits[..., :height, :width]
