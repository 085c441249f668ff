"""Architectures by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from .card import ArchSpec
from .deeplab import DeepLabV3Plus
from .encoders import build_encoder
from .fpn import FeaturePyramid
from .heatmap import build_heatmap
from .pyramid import Encoder
from .segformer import SegFormer
from .unet import UNet

_HEADS: dict[str, Callable[[Encoder, tuple[int, ...], int], nn.Module]] = {
    "unet": UNet,
    "fpn": FeaturePyramid,
    "deeplabv3plus": DeepLabV3Plus,
    "segformer": SegFormer,
}


def _segmentation(spec: ArchSpec) -> nn.Module:
    return _HEADS[spec.name](build_encoder(spec), spec.decoder_channels, spec.classes)


ARCHITECTURES: dict[str, Callable[[ArchSpec], nn.Module]] = dict.fromkeys(_HEADS, _segmentation)
"""Networks for segmentation."""
POSE_ARCHITECTURES: dict[str, Callable[[ArchSpec], nn.Module]] = {"heatmap": build_heatmap}


def build(architecture: ArchSpec, kind: str = "segmentation") -> nn.Module:
    """Build a network that maps normalised pixels (B, 3, H, W) to logits.

    Those of segmentation networks have shape (B, classes, H, W), for any H and W; those of ``heatmap`` are described
    in `heatmap.HeatmapNet`.

    Args:
        architecture: what to build.
        kind: of the model, ``segmentation`` or ``pose``.

    Raises:
        ConfigError: the architecture, the encoder or its weights are unknown.
        MissingExtraError: the encoder's package is not installed.
    """
    known = POSE_ARCHITECTURES if kind == "pose" else ARCHITECTURES
    if architecture.name not in known:
        near = did_you_mean(architecture.name, known)
        raise ConfigError(
            f"architecture '{architecture.name}' is unknown",
            f"{near} Set train.model.arch_name to one of: {', '.join(known)}".strip(),
        )
    return known[architecture.name](architecture)
