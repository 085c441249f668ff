"""A heat-map network for poses: where each joint is, whether it is there at all, and whether something hides it.

For every joint the network gives one logit per cell of a grid. A softmax over all cells *and* one bin for "absent",
whose logit is always 0, makes probabilities of them: cells far below 0 everywhere mean that the joint is absent.
A second map per joint says whether the joint, if it lies in a cell, is hidden. Decoding is in `heatmap_decoding`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from .card import ArchSpec
from .encoders import build_encoder
from .heatmap_decoding import GRID_STRIDE
from .pyramid import ConvNorm, Encoder

_EMPTY = -8.0
"""Where logits start: all cells together weigh about as much as the bin for absent joints."""


class _Up(nn.Module):
    """Doubles a map and mixes it with the encoder's of that size."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip = nn.Conv2d(skip, outputs, 1, bias=False)
        self.mix = nn.Sequential(ConvNorm(2 * outputs, outputs), ConvNorm(outputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest")
        mixed: Tensor = self.mix(torch.cat([x, self.skip(skip)], dim=1))
        return mixed


class HeatmapHead(nn.Module):
    """Three doubling steps from stride 32 to stride 4, with skip connections."""

    def __init__(self, channels: Sequence[int], widths: Sequence[int], joints: int) -> None:
        """Build the head.

        Args:
            channels: of the encoder's maps at strides 4, 8, 16 and 32.
            widths: of the three steps, from stride 16 to stride 4.
            joints: number of joints.

        Raises:
            ValueError: `widths` has not three entries.
        """
        super().__init__()
        if len(widths) != len(channels) - 1:
            raise ValueError(f"a heat-map head has {len(channels) - 1} widths, not {len(widths)}")
        skips = list(reversed(channels[:-1]))
        inputs = [channels[-1], *widths[:-1]]
        self.steps = nn.ModuleList(_Up(i, s, o) for i, s, o in zip(inputs, skips, widths, strict=True))
        self.out = nn.Conv2d(widths[-1], 2 * joints, 1)
        bias = self.out.bias
        if bias is not None:
            nn.init.constant_(bias[:joints], _EMPTY)
            nn.init.zeros_(bias[joints:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, 2 * joints, H/4, W/4) for the encoder's maps at strides 4, 8, 16 and 32."""
        remaining = list(maps)
        x = remaining.pop()
        for step in self.steps:
            x = step(x, remaining.pop())
        logits: Tensor = self.out(x)
        return logits


class HeatmapNet(nn.Module):
    """Encoder and head.

    Attributes:
        joints: number of joints.
    """

    def __init__(self, encoder: Encoder, widths: Sequence[int], joints: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = HeatmapHead(encoder.channels[-4:], widths, joints)
        self.joints = joints

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Return the encoder's maps at strides 4, 8, 16 and 32 of normalised pixels (B, 3, H, W)."""
        maps: list[Tensor] = self.encoder(pixels)
        return maps[-4:]

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits for normalised pixels.

        Args:
            pixels: (B, 3, H, W), H and W multiples of 32.

        Returns:
            (B, 2 * joints, H / 4, W / 4): first the place logits of all joints, then their hidden logits.
        """
        logits: Tensor = self.head(self.features(pixels))
        return logits


def build_heatmap(spec: ArchSpec) -> HeatmapNet:
    """Build a heat-map network; ``spec.classes`` is the number of joints, ``decoder_channels`` the three widths.

    Raises:
        ConfigError: the encoder or its weights are unknown.
        MissingExtraError: the encoder's package is not installed.
    """
    return HeatmapNet(build_encoder(spec), spec.decoder_channels, spec.classes)


def log_places(place_logits: Tensor) -> Tensor:
    """Return log probabilities (B, joints, cells + 1) of the cells, row by row, and of "absent", which is last.

    Args:
        place_logits: (B, joints, h, w).
    """
    flat = place_logits.flatten(2)
    return F.log_softmax(torch.cat([flat, torch.zeros_like(flat[..., :1])], dim=2), dim=2)


def place_probabilities(logits: Tensor, grid: tuple[int, int, int] | None = None) -> tuple[Tensor, Tensor]:
    """Return the probabilities of place and of being hidden, each (B, joints, h, w), of a network's logits.

    The places of one joint sum to the probability that it is there.

    Args:
        logits: (B, 2 * joints, h, w).
        grid: joints, h and w where they must be known beforehand, as for exported models.
    """
    joints, height, width = grid or (logits.shape[1] // 2, logits.shape[2], logits.shape[3])
    places = log_places(logits[:, :joints])[..., :-1].exp()
    return places.reshape(-1, joints, height, width), torch.sigmoid(logits[:, joints:])


def heatmap_loss(logits: Tensor, places: Tensor, hidden: Tensor, hidden_weight: float = 0.2) -> Tensor:
    """Cross-entropy of places plus, for joints that are there, binary cross-entropy of being hidden.

    Args:
        logits: (B, 2 * joints, h, w).
        places: targets (B, joints, h * w + 1), summing to 1 over the last axis; the last bin is "absent".
        hidden: 1 for hidden joints, 0 for others, (B, joints).
        hidden_weight: of the second term.
    """
    joints = logits.shape[1] // 2
    entropy = -(places * log_places(logits[:, :joints])).sum(dim=2).mean()
    cells = places[..., :-1]
    at = (logits[:, joints:].flatten(2) * cells).sum(dim=2)
    there = cells.sum(dim=2)
    each = F.binary_cross_entropy_with_logits(at, hidden, reduction="none")
    return entropy + hidden_weight * (each * there).sum() / there.sum().clamp(min=1.0)


__all__ = [
    "GRID_STRIDE",
    "HeatmapHead",
    "HeatmapNet",
    "build_heatmap",
    "heatmap_loss",
    "log_places",
    "place_probabilities",
]
