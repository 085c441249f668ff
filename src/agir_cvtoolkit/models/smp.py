"""Checkpoints of segmentation-models-pytorch, as AgIR-CVToolkit trains them, where that library is installed.

A checkpoint says neither its architecture nor its encoder; both are found in the names and shapes of its tensors where
they can be, and asked for where not.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agir_cvtoolkit.errors import CheckpointError, ConfigError, MissingExtraError, did_you_mean

from .card import ArchSpec, ModelCard, PixelNorm
from .checkpoint import weights_digest
from .inert import RefusedFileError, load_inert

_AGIR_NORM = PixelNorm((105.57, 101.3115, 78.285), (41.922, 36.7455, 37.689))
"""What AgIR-CVToolkit subtracts and divides by, on 0..255."""
_ARCHITECTURES = ("unet", "deeplabv3plus", "segformer")
_HEAD = "segmentation_head.0.weight"
_RESNETS: dict[tuple[tuple[int, ...], bool], str] = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}
_MITS: dict[tuple[int, ...], str] = {
    (2, 2, 2, 2): "mit_b1",
    (3, 4, 6, 3): "mit_b2",
    (3, 4, 18, 3): "mit_b3",
    (3, 8, 27, 3): "mit_b4",
    (3, 6, 40, 3): "mit_b5",
}
_AGAIN = "Copy it again from where it was trained."


@dataclass(frozen=True)
class SmpOptions:
    """What a checkpoint does not say of itself; None for what its tensors tell.

    Attributes:
        arch: ``unet``, ``deeplabv3plus`` or ``segformer``.
        encoder_name: as segmentation-models-pytorch calls it.
        classes: names; the first is the background. A network with one output has two.
        class_ids: mask value of each class, 0 for the background.
        mean, std: of the normalisation, on pixels of 0..1.
    """

    arch: str | None = None
    encoder_name: str | None = None
    classes: Sequence[str] | None = None
    class_ids: Sequence[int] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SmpOptions:
        """Take them from the configuration.

        Raises:
            ConfigError: an unknown one.
        """
        known = [f.name for f in fields(cls)]
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"seg_inference.model.options.{name} is unknown for smp: checkpoints",
                    f"{did_you_mean(name, known)} There are {', '.join(known)}.".strip(),
                )
        return cls(**options)


def open_smp(path: Path, options: Mapping[str, Any]) -> tuple[nn.Module, ModelCard]:
    """Open a checkpoint: a Lightning one, or a plain state dict.

    Args:
        path: of the file.
        options: see `SmpOptions`.

    Returns:
        A network that maps normalised pixels to logits (B, classes, H, W), at least two classes, and a card for it.

    Raises:
        CheckpointError: missing, damaged, of another tool, refused, or of another architecture.
        ConfigError: options that are unknown, missing or wrong.
        MissingExtraError: segmentation-models-pytorch is not installed, or does not import here.
    """
    wanted = SmpOptions.of(options)
    state = _weights(path)
    arch = wanted.arch.lower() if wanted.arch else _architecture(state)
    encoder = wanted.encoder_name or _encoder(state)
    for key, value, known in (
        ("arch", arch, ", ".join(_ARCHITECTURES)),
        ("encoder_name", encoder, "resnet34, mit_b0 …"),
    ):
        if value is None:
            raise ConfigError(
                f"the tensors of {path} do not tell its {key}",
                f"Add -o 'seg_inference.model.options={{{key}: …}}' ({known})",
            )
    outputs = int(state[_HEAD].shape[0])
    network = _built(str(arch), str(encoder), outputs)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"the weights in {path} are not those of {arch} over {encoder}: {last}",
            "Name the right ones by seg_inference.model.options (arch, encoder_name).",
        ) from error
    card = _card(path, wanted, ArchSpec(f"smp_{arch}", str(encoder), max(2, outputs)), weights_digest(state))
    return (_WithBackground(network) if outputs == 1 else network).eval(), card


class _WithBackground(nn.Module):
    """Two logits of one: their softmax is the sigmoid of the one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(pixels)
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


def _weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} does not exist", "Check seg_inference.model.ckpt_path.")
    try:
        content = load_inert(path)
    except RefusedFileError as error:
        raise CheckpointError(
            f"checkpoint {path} is refused: {error}; nothing of it was executed", "Do not use it."
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"checkpoint {path} is damaged or truncated, or no PyTorch file at all", _AGAIN
        ) from error
    inner = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(inner, dict):
        raise CheckpointError(f"checkpoint {path} holds no weights", _AGAIN)
    state = {
        str(name).removeprefix("model."): tensor.detach()
        for name, tensor in inner.items()
        if isinstance(tensor, Tensor)
    }
    if _HEAD not in state or not any(name.startswith("encoder.") for name in state):
        raise CheckpointError(
            f"checkpoint {path} holds no model of segmentation-models-pytorch",
            "Models of this package are opened without the smp: before their path.",
        )
    return {
        name: tensor
        for name, tensor in state.items()
        if name.startswith(("encoder.", "decoder.", "segmentation_head."))
    }


def _architecture(state: Mapping[str, Tensor]) -> str | None:
    marks = {"decoder.blocks.": "unet", "decoder.aspp.": "deeplabv3plus", "decoder.mlp_stage": "segformer"}
    return next((name for mark, name in marks.items() if any(key.startswith(mark) for key in state)), None)


def _encoder(state: Mapping[str, Tensor]) -> str | None:
    if "encoder.patch_embed1.proj.weight" in state:
        depths = tuple(_count(state, rf"encoder\.block{level}\.(\d+)\.") for level in range(1, 5))
        small = state["encoder.patch_embed1.proj.weight"].shape[0] == 32
        return "mit_b0" if small and depths == (2, 2, 2, 2) else _MITS.get(depths)
    depths = tuple(_count(state, rf"encoder\.layer{level}\.(\d+)\.") for level in range(1, 5))
    return _RESNETS.get((depths, "encoder.layer1.0.conv3.weight" in state)) if all(depths) else None


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for match in (re.match(pattern, name) for name in state) if match})


def _built(arch: str, encoder: str, outputs: int) -> nn.Module:
    if arch not in _ARCHITECTURES:
        raise ConfigError(
            f"architecture '{arch}' is not opened",
            f"{did_you_mean(arch, _ARCHITECTURES)} There are {', '.join(_ARCHITECTURES)}.",
        )
    try:
        library = importlib.import_module("segmentation_models_pytorch")
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        # It imports torchvision, which ends in a RuntimeError where it does not fit to torch.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingExtraError(f"A checkpoint of segmentation-models-pytorch ({first})", "smp") from error
    try:
        built: nn.Module = library.create_model(
            arch, encoder_name=encoder, encoder_weights=None, in_channels=3, classes=outputs
        )
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"segmentation-models-pytorch makes no {arch} over '{encoder}'",
            "Correct seg_inference.model.options.encoder_name.",
        ) from error
    return built


def _card(path: Path, options: SmpOptions, spec: ArchSpec, version: str) -> ModelCard:
    plant_or_not = spec.classes == 2
    names = options.classes or (
        ("background", "plant")
        if plant_or_not
        else ("background", *(f"class_{number}" for number in range(1, spec.classes)))
    )
    ids = options.class_ids or ((0, 255) if plant_or_not and options.classes is None else range(spec.classes))
    norm = _norm(options)
    content = ModelCard(
        spec.title, version, spec, tuple(names), tuple(ids), normalization=norm
    ).to_json_object()
    try:
        return ModelCard.from_json_object(content, f"what seg_inference.model.options say of {path}")
    except CheckpointError as error:
        raise ConfigError(error.problem, "Correct seg_inference.model.options.") from error


def _norm(options: SmpOptions) -> PixelNorm:
    if options.mean is None and options.std is None:
        return _AGIR_NORM
    if options.mean is None or options.std is None or len(options.mean) != 3 or len(options.std) != 3:
        raise ConfigError(
            "seg_inference.model.options.mean and std go together, three numbers each", "Give both."
        )
    scaled = [tuple(255 * float(value) for value in values) for values in (options.mean, options.std)]
    (red, green, blue), (wide, broad, deep) = scaled
    return PixelNorm((red, green, blue), (wide, broad, deep))
