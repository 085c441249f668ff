"""Checkpoints: tensors and JSON-able values, loaded without running anything that a file says.

A file is what ``torch.save`` makes of ``{"format", "format_version", "card", "state_dict"}``;
``card.json`` beside it repeats the card for readers without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from agir_cvtoolkit.errors import CheckpointError, ConfigError
from agir_cvtoolkit.runs import atomic_path, write_json

from .card import CARD_NAME, HF, ArchSpec, ModelCard
from .foreign import describe_foreign
from .plain import load_plain
from .pyramid import Encoder
from .registry import build

FORMATS = {"segmentation": "agir-cvtoolkit/segmentation", "pose": "agir-cvtoolkit/pose"}
FORMAT = FORMATS["segmentation"]
FORMAT_VERSION = 1

_TRAIN_AGAIN = "Copy the file again from where it was trained, or train again: agir-cvtoolkit train"
_OTHERS = {
    "segmentation": "Predict poses with agir-cvtoolkit infer-pose, or give a model that agir-cvtoolkit train made.",
    "pose": "Predict masks with agir-cvtoolkit infer-seg, or give a model that agir-cvtoolkit retrain made.",
}
_UPGRADE = "Upgrade: pip install --upgrade 'agir-cvtoolkit[train]'"


def weights_version(model: nn.Module) -> str:
    """Return the first twelve hex digits of the SHA-256 over names, types, shapes and bytes of tensors."""
    return weights_digest({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()})


def save_checkpoint(path: Path, model: nn.Module, card: ModelCard) -> ModelCard:
    """Write a checkpoint, and its card beside it, each whole or not at all.

    Args:
        path: usually ``model/best.pth``.
        model: built by `registry.build` from ``card.architecture``.
        card: its `version` is replaced by that of the weights.

    Returns:
        The card as written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    card = replace(card, version=weights_digest(state), architecture=_portable(card.architecture, model))
    content = {
        "format": FORMATS[card.kind],
        "format_version": FORMAT_VERSION,
        "card": card.to_json_object(),
        "state_dict": state,
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)
    write_json(path.with_name(CARD_NAME), card.to_json_object())
    return card


def load_checkpoint(path: Path, kind: str | None = None) -> tuple[nn.Module, ModelCard]:
    """Load a checkpoint of this package: the network in evaluation mode on the CPU, and its card.

    Nothing in the file is executed, whatever it holds.

    Args:
        path: usually ``model/best.pth``.
        kind: ``segmentation`` or ``pose`` where the caller can use no other.

    Raises:
        CheckpointError: missing, damaged, of another tool, kind or architecture; the text says what to do.
    """
    card, state = _opened(path, kind)
    return _assembled(path, card, state), card


def checkpoint_card(path: Path, kind: str | None = None) -> ModelCard:
    """Return the card inside a checkpoint of this package, without building the network.

    Args:
        path: usually ``model/best.pth``.
        kind: as for `load_checkpoint`.

    Raises:
        CheckpointError: missing, damaged, of another tool or kind, or with weights that are not the card's.
    """
    return _opened(path, kind)[0]


def _opened(path: Path, kind: str | None) -> tuple[ModelCard, dict[str, Tensor]]:
    content = _read(path, kind)
    version = content.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"checkpoint {path} has format version {version}, this program reads up to {FORMAT_VERSION}",
            _UPGRADE,
        )
    card = ModelCard.from_json_object(content.get("card"), f"the card in checkpoint {path}")
    if content.get("format") != FORMATS[card.kind]:
        raise CheckpointError(f"the card in checkpoint {path} is of another kind of model", _TRAIN_AGAIN)
    if kind is not None and card.kind != kind:
        raise CheckpointError(f"checkpoint {path} is a {card.kind} model, not a {kind} model", _OTHERS[kind])
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError(f"checkpoint {path} holds no weights", _TRAIN_AGAIN)
    if weights_digest(state) != card.version:
        raise CheckpointError(f"the weights in checkpoint {path} are not those of its card", _TRAIN_AGAIN)
    return card, state


def _portable(spec: ArchSpec, model: nn.Module) -> ArchSpec:
    """Return what rebuilds a network on a machine that has not the folder of its backbone."""
    encoder = getattr(model, "encoder", None)
    if not isinstance(encoder, Encoder) or encoder.description is None or not spec.encoder.startswith(HF):
        return spec
    name = HF + Path(spec.encoder.removeprefix(HF)).name
    return replace(spec, encoder=name, encoder_config=encoder.description)


def _assembled(path: Path, card: ModelCard, state: dict[str, Tensor]) -> nn.Module:
    spec = replace(card.architecture, encoder_weights=None)
    if spec.encoder.startswith(HF) and spec.encoder_config is None:
        raise CheckpointError(f"checkpoint {path} does not describe its encoder {spec.encoder}", _TRAIN_AGAIN)
    try:
        # First without memory: a card may name any size.
        with torch.device("meta"):
            sketch = build(spec, card.kind)
        _check_shapes(sketch.state_dict(), state)
        model = build(spec, card.kind)
        model.load_state_dict(state)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {path} cannot be used: {error.problem}", _UPGRADE) from error
    except (RuntimeError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"the weights in checkpoint {path} do not fit its architecture"
            f" {card.architecture.name}/{card.architecture.encoder}: {first}",
            _TRAIN_AGAIN,
        ) from error
    return model.eval()


def _check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for name, tensor in expected.items():
        if name not in found:
            raise ValueError(f"tensor {name} is missing")
        if found[name].shape != tensor.shape:
            raise ValueError(f"tensor {name} is {tuple(found[name].shape)}, not {tuple(tensor.shape)}")
    surplus = sorted(set(found) - set(expected))
    if surplus:
        raise ValueError(f"{len(surplus)} tensors have no place, such as {surplus[0]}")


def _read(path: Path, kind: str | None) -> dict[str, object]:
    if not path.is_file():
        key = "pose_inference.model" if kind == "pose" else "seg_inference.model.ckpt_path"
        raise CheckpointError(
            f"checkpoint {path} does not exist",
            "Name a trained model: agir-cvtoolkit models list"
            if kind is None
            else f"Set {key} to a trained model, such as outputs/runs/<run>/model/best.pth",
        )
    try:
        content = load_plain(path)
    except ValueError as error:
        raise _refused(path, None) from error
    if not isinstance(content, dict) or content.get("format") not in FORMATS.values():
        raise _refused(path, content)
    return content


def _refused(path: Path, content: object) -> CheckpointError:
    what, next_step = describe_foreign(path, content)
    return CheckpointError(f"checkpoint {path} {what}", next_step)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Return the first twelve hex digits of the SHA-256 over names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
