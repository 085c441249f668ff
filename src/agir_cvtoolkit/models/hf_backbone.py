"""Backbones of Hugging Face's transformers from a local folder, as encoders.

Weights are read from safetensors files alone, and no code that lies in a folder is run. What rebuilds the network, its
configuration as plain values, goes into the checkpoint, so that the folder is needed for training only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agir_cvtoolkit.errors import CheckpointError, ConfigError, MissingExtraError

from .card import PixelNorm
from .pyramid import Encoder

_SEGFORMER = "segformer"
_NOT_OURS = (
    "auto_map",
    "attn_implementation",
    "dtype",
    "torch_dtype",
    "transformers_version",
    "architectures",
)
"""Keys that name code, or that say how and not what."""
_LEVELS = 4
_MOST_BYTES = 1 << 20
_MOSTLY = 0.25
"""Share of tensors that a folder may lack: norms that only the backbone has."""
_DEPTHS = {
    "mit_b0": (2, 2, 2, 2),
    "mit_b1": (2, 2, 2, 2),
    "mit_b2": (3, 4, 6, 3),
    "mit_b3": (3, 4, 18, 3),
    "mit_b4": (3, 8, 27, 3),
    "mit_b5": (3, 6, 40, 3),
}


class BackboneEncoder(Encoder):
    """Any backbone that transformers' ``AutoBackbone`` knows, or a SegFormer's mix transformer.

    Hierarchical backbones give their last four stages; plain vision transformers four layers, spread evenly.
    """

    def __init__(self, description: Mapping[str, Any], backbone: nn.Module | None = None) -> None:
        """Build the network, or take it.

        Args:
            description: of its configuration, with ``model_type``.
            backbone: built from it already; None for random weights.

        Raises:
            CheckpointError: transformers makes no backbone of it.
            MissingExtraError: transformers is not installed.
        """
        super().__init__()
        transformers = _transformers()
        self.description = plain(description)
        config = _config(transformers, self.description)
        network: Any = backbone or _built(transformers, config)
        self.backbone: nn.Module = network
        self._mix = config.model_type == _SEGFORMER
        self.channels = tuple(
            int(width) for width in (config.hidden_sizes if self._mix else network.channels)
        )
        self.divisor, self.coarsest_stride = _strides(config)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what another process has sent: transformers 5 knows by instance what a network can record."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        try:
            from transformers.utils import output_capturing
        except ImportError:
            return
        known: Any = getattr(output_capturing, "_CAN_RECORD_REGISTRY", {})
        for module in self.modules():
            if hasattr(module, "_can_record_outputs"):
                known[module] = module._can_record_outputs

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return four maps of normalised pixels (B, 3, H, W); H and W are multiples of `divisor`."""
        if self._mix:
            return list(self.backbone(pixels, output_hidden_states=True).hidden_states)
        return list(self.backbone(pixels).feature_maps)


def mix_transformer(name: str) -> dict[str, Any]:
    """Return the description of ``mit_b0`` to ``mit_b5`` (Xie et al. 2021, table 6)."""
    widths = (32, 64, 160, 256) if name == "mit_b0" else (64, 128, 320, 512)
    return {"model_type": _SEGFORMER, "hidden_sizes": list(widths), "depths": list(_DEPTHS[name])}


def read_backbone(folder: Path, *, pretrained: bool) -> BackboneEncoder:
    """Build the backbone that a folder describes.

    Args:
        folder: holds ``config.json`` and, for its weights, ``*.safetensors``.
        pretrained: False for random weights.

    Raises:
        ConfigError: there is no such folder.
        CheckpointError: it holds no backbone that can be used, or none of its weights as safetensors.
        MissingExtraError: transformers is not installed.
    """
    description = _described(folder)
    if not pretrained:
        return _tried(BackboneEncoder(description), folder)
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"folder {folder} holds no weights as safetensors",
            "Save them so: model.save_pretrained(folder), or set train.model.encoder_weights=null for random ones.",
        )
    transformers = _transformers()
    config = _config(transformers, description)
    with torch.device("meta"):
        kind: Any = type(_built(transformers, config))
    with _as_checkpoint_error(str(folder)), _quiet(transformers):
        backbone, found = kind.from_pretrained(
            str(folder),
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    missing, whole = len(found["missing_keys"]), len(backbone.state_dict())
    if missing > _MOSTLY * whole:
        raise CheckpointError(
            f"folder {folder} holds {whole - missing} of the {whole} tensors of its backbone",
            "Give the folder of the model that its config.json describes.",
        )
    return _tried(BackboneEncoder(description, backbone), folder)


def _tried(encoder: BackboneEncoder, folder: Path) -> BackboneEncoder:
    """Let it see a picture: some backbones take one size only, or say other widths than they give."""
    with _as_checkpoint_error(str(folder)), torch.inference_mode():
        maps = encoder.eval()(torch.zeros(1, 3, 4 * encoder.divisor, 6 * encoder.divisor))
        widths = tuple(one.shape[1] for one in maps)
        if widths != encoder.channels or not all(one.ndim == 4 for one in maps):
            raise ValueError(f"it gives maps of {widths} channels, not {encoder.channels}")
    return encoder.train()


def read_norm(folder: Path) -> PixelNorm | None:
    """Return the normalisation in a folder's ``preprocessor_config.json``, or None where it names none.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    content = _json_object(path)
    mean, std = content.get("image_mean"), content.get("image_std")
    if mean is None or std is None:
        return None
    try:
        red, green, blue = (255 * float(value) for value in mean)
        wide, broad, deep = (255 * float(value) for value in std)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} names no mean and deviation of three channels", "Correct it."
        ) from error
    return PixelNorm((red, green, blue), (wide, broad, deep))


def plain(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as JSON-able values, without keys that name code."""
    content: dict[str, Any] = json.loads(json.dumps(dict(description)))
    return {key: value for key, value in content.items() if key not in _NOT_OURS and not key.startswith("_")}


def _described(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ConfigError(
            f"folder {folder} holds no config.json",
            "Set train.model.encoder_name=hf:<folder> to a folder that save_pretrained wrote.",
        )
    content = _json_object(path)
    if "backbone_config" in content and isinstance(content["backbone_config"], dict):
        raise CheckpointError(
            f"{path} describes a whole model around a backbone",
            "Save its backbone alone: model.backbone.save_pretrained(folder)",
        )
    return plain(content)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError("no object")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", "Copy the folder again.") from error
    return content


def _config(transformers: Any, description: Mapping[str, Any]) -> Any:
    values = dict(description)
    kind = values.pop("model_type", None)
    with _as_checkpoint_error(f"model type {kind!r}"):
        values = {key: value for key, value in values.items() if key not in {"out_features", "out_indices"}}
        config = transformers.AutoConfig.for_model(kind, **values)
        if kind != _SEGFORMER:
            config.out_indices = _spread(config)
    return config


def _built(transformers: Any, config: Any) -> nn.Module:
    with _as_checkpoint_error(f"model type {config.model_type!r}"):
        network: nn.Module = (
            transformers.SegformerModel(config)
            if config.model_type == _SEGFORMER
            else transformers.AutoBackbone.from_config(config, trust_remote_code=False)
        )
    return network


def _spread(config: Any) -> list[int]:
    """Return four stages: the last ones, or of a plain vision transformer every quarter of its layers."""
    names = config.stage_names
    first = 1 if names[0] == "stem" else 0
    stages = list(range(first, len(names)))
    if _is_plain(config):
        return [stages[max(0, round(len(stages) * share / _LEVELS) - 1)] for share in range(1, _LEVELS + 1)]
    return stages[-_LEVELS:]


def _is_plain(config: Any) -> bool:
    return isinstance(getattr(config, "patch_size", None), int) and not any(
        hasattr(config, name) for name in ("depths", "hidden_sizes")
    )


def _strides(config: Any) -> tuple[int, int]:
    if _is_plain(config):
        return int(config.patch_size), int(config.patch_size)
    first = getattr(config, "patch_size", 4)
    return math.lcm(32, first if isinstance(first, int) else 4), 32


def _transformers() -> Any:
    try:
        import transformers
    except (ImportError, RuntimeError) as error:
        # A torchvision that does not fit to torch ends in a RuntimeError while transformers looks for it.
        raise MissingExtraError("Backbones of Hugging Face", "hf") from error
    return transformers


@contextmanager
def _as_checkpoint_error(subject: str) -> Iterator[None]:
    try:
        yield
    except (MissingExtraError, CheckpointError):
        raise
    except MemoryError as error:
        raise CheckpointError(
            f"{subject} is too large for this machine", "Take a smaller backbone."
        ) from error
    except Exception as error:
        # transformers and safetensors raise what they meet; every cause means the same to the reader.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{subject} makes no backbone: {first}",
            "Take a model that transformers' AutoBackbone knows, such as dinov2, convnext, swin, resnet, or a segformer.",
        ) from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Reading weights draws bars and warns of the classifier that a backbone has not."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
