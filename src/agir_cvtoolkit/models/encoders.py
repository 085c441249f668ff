"""Encoders by name; nothing is downloaded for any of them."""

from __future__ import annotations

from pathlib import Path

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from .card import HF, ArchSpec, PixelNorm
from .pyramid import Encoder

LITE = "efficientnet_lite0"
IMAGENET_NORM = PixelNorm((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and standard deviation of ImageNet's pixels, as most published backbones expect them."""
_MIX_TRANSFORMERS = tuple(f"mit_b{size}" for size in range(6))
ENCODERS = (LITE, *_MIX_TRANSFORMERS)


def build_encoder(spec: ArchSpec) -> Encoder:
    """Build the encoder of an architecture.

    Args:
        spec: its encoder is ``efficientnet_lite0``, ``mit_b0`` to ``mit_b5`` (random weights only) or ``hf:<folder>``.

    Raises:
        ConfigError: there is no such encoder, or no such weights.
        CheckpointError: the folder holds no backbone that can be used.
        MissingExtraError: the encoder's package is not installed.
    """
    if spec.encoder == LITE:
        from .lite_encoder import LiteEncoder

        return LiteEncoder(spec.encoder_weights)
    if spec.encoder.startswith(HF):
        from .hf_backbone import BackboneEncoder, read_backbone

        if spec.encoder_config is not None:
            return BackboneEncoder(spec.encoder_config)
        return read_backbone(Path(spec.encoder.removeprefix(HF)), pretrained=spec.encoder_weights is not None)
    if spec.encoder in _MIX_TRANSFORMERS:
        from .hf_backbone import BackboneEncoder, mix_transformer

        if spec.encoder_weights is not None:
            raise ConfigError(
                f"no package brings the ImageNet weights of {spec.encoder}",
                "Set train.model.encoder_weights=null, or train.model.encoder_name=hf:<folder> with a published"
                " backbone in it.",
            )
        return BackboneEncoder(mix_transformer(spec.encoder))
    near = did_you_mean(spec.encoder, ENCODERS)
    raise ConfigError(
        f"encoder '{spec.encoder}' is unknown",
        f"{near} Set train.model.encoder_name to one of: {', '.join(ENCODERS)}, hf:<folder>".strip(),
    )


def pixel_norm(spec: ArchSpec) -> PixelNorm:
    """Return how pixels enter a network with this encoder, as its pretraining had it."""
    if spec.encoder == LITE:
        return PixelNorm()
    if spec.encoder.startswith(HF) and spec.encoder_config is None:
        from .hf_backbone import read_norm

        return read_norm(Path(spec.encoder.removeprefix(HF))) or IMAGENET_NORM
    return IMAGENET_NORM
