"""DeepLabV3+ (Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution"), with light separable heads."""

from __future__ import annotations

from torch import Tensor, nn

from .pyramid import ConvNorm, Encoder, decoder_widths, joined, padded, resized

_WIDTHS = (128, 32)
_REACHES = (6, 12, 18)
_FINE_STRIDE = 16


class _SeparableConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, reach: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=reach, dilation=reach, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class _Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: one map looked at from several distances, and as a whole."""

    def __init__(self, inputs: int, outputs: int, reaches: tuple[int, ...]) -> None:
        super().__init__()
        self.looks = nn.ModuleList(
            [ConvNorm(inputs, outputs, 1), *(_SeparableConv(inputs, outputs, reach) for reach in reaches)]
        )
        # No normalisation here: a batch of one has one value per channel.
        self.whole = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))
        self.mix = ConvNorm((len(self.looks) + 1) * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        looks = [look(x) for look in self.looks]
        whole = self.whole(x.mean(dim=(2, 3), keepdim=True)).expand_as(looks[0])
        mixed: Tensor = self.mix(joined([*looks, whole]))
        return mixed


class DeepLabV3Plus(nn.Module):
    """Encoder with atrous last stage where it can have one, pyramid pooling, and a decoder at stride 4."""

    def __init__(self, encoder: Encoder, widths: tuple[int, ...], classes: int) -> None:
        """Join an encoder with the head.

        Args:
            encoder: of four levels or more.
            widths: of the pyramid and of the fine map's reduction; empty for 128 and 32.
            classes: number of logits.

        Raises:
            ValueError: `widths` has neither two entries nor none.
        """
        super().__init__()
        wide, fine = decoder_widths(widths, _WIDTHS)
        encoder.keep_fine()
        self.encoder = encoder
        far = encoder.coarsest_stride > _FINE_STRIDE
        reaches = tuple(reach // 2 for reach in _REACHES) if far else _REACHES
        self.pyramid = _Pyramid(encoder.channels[-1], wide, reaches)
        self.fine = ConvNorm(encoder.channels[-4], fine, 1)
        self.mix = nn.Sequential(_SeparableConv(wide + fine, wide), _SeparableConv(wide, wide))
        self.head = nn.Conv2d(wide, classes, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of shape (B, classes, H, W) for normalised pixels (B, 3, H, W) of any size."""
        height, width = pixels.shape[-2:]
        pixels = padded(pixels, self.encoder.divisor)
        maps = self.encoder(pixels)
        fine = self.fine(maps[-4])
        coarse = resized(self.pyramid(maps[-1]), fine, "bilinear")
        logits = resized(self.head(self.mix(joined([coarse, fine]))), pixels, "bilinear")
        return logits[..., :height, :width]
