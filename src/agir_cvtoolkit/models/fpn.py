"""A feature pyramid (Lin et al. 2017, "Feature Pyramid Networks for Object Detection") with a head for masks.

The lightest of the heads: of one width, separable, and at the encoder's finest stride. Behind a frozen encoder it
trains in minutes on two CPU cores.
"""

from __future__ import annotations

from torch import Tensor, nn

from .pyramid import Encoder, decoder_widths, padded, resized

_WIDTH = 32
_COLOUR_WIDTH = 8
_DROPPED = 0.1


class _Mix(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )


class FeaturePyramid(nn.Module):
    """Encoder, its levels brought to one width and added from the coarsest to the finest.

    The colour of single pixels adds to the logits at full size, so that edges follow leaves and not the finest map.
    """

    def __init__(self, encoder: Encoder, widths: tuple[int, ...], classes: int) -> None:
        """Join an encoder with the head.

        Args:
            encoder: of any number of levels.
            widths: one, that of the head; empty for 32.
            classes: number of logits.

        Raises:
            ValueError: `widths` has more than one entry.
        """
        super().__init__()
        (width,) = decoder_widths(widths, (_WIDTH,))
        self.encoder = encoder
        self.levels = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in encoder.channels)
        self.mixes = nn.ModuleList(_Mix(width) for _ in encoder.channels)
        self.drop = nn.Dropout2d(_DROPPED)
        self.head = nn.Conv2d(width, classes, 1)
        self.colour = nn.Sequential(
            nn.Conv2d(3, _COLOUR_WIDTH, 1), nn.ReLU(inplace=True), nn.Conv2d(_COLOUR_WIDTH, classes, 1)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of shape (B, classes, H, W) for normalised pixels (B, 3, H, W) of any size."""
        height, width = pixels.shape[-2:]
        pixels = padded(pixels, self.encoder.divisor)
        *finer, coarsest = [
            level(found) for level, found in zip(self.levels, self.encoder(pixels), strict=True)
        ]
        *mixes, first = self.mixes
        x = first(coarsest)
        for here, mix in zip(reversed(finer), reversed(mixes), strict=True):
            x = mix(here + resized(x, here, "nearest"))
        logits: Tensor = resized(self.head(self.drop(x)), pixels, "bilinear") + self.colour(pixels)
        return logits[..., :height, :width]
