"""Which predictor a configuration asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError, UsageError

from .excess_green import ExcessGreen
from .predictor import Predictor

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference


def open_predictor(settings: SegInference, champion: Path | None = None) -> Predictor:
    """Open the predictor that the settings name.

    Args:
        settings: without a checkpoint and without a predictor it is ``excess_green``.
        champion: checkpoint of the promoted model, for ``model.predictor=champion``.

    Raises:
        ConfigError: settings that contradict each other, or a checkpoint that does not exist.
        UsageError: no model has been promoted yet.
        CheckpointError: not a checkpoint of this package.
        MissingExtraError: torch is not installed.
    """
    checkpoint = checkpoint_of(settings, champion)
    if checkpoint is None:
        return ExcessGreen()
    from .torch_predictor import open_torch

    return open_torch(checkpoint, settings.device)


def checkpoint_of(settings: SegInference, champion: Path | None = None) -> Path | None:
    """Return the checkpoint that the settings ask for, or None for excess green.

    Raises:
        ConfigError: settings that contradict each other, or a checkpoint that does not exist.
        UsageError: no model has been promoted yet.
    """
    name, given = settings.model.predictor, settings.model.ckpt_path
    if name == "excess_green" or (name is None and given is None):
        if given is not None:
            raise ConfigError(
                "seg_inference.model.predictor=excess_green takes no ckpt_path",
                "Leave one of the two out.",
            )
        return None
    if name == "champion":
        if given is not None:
            raise ConfigError(
                "seg_inference.model.predictor=champion takes no ckpt_path", "Leave one of the two out."
            )
        if champion is None:
            raise UsageError("no model has been promoted yet", "Promote one: agir-cvtoolkit promote")
        return _existing(champion)
    if given is None:
        raise ConfigError(
            "seg_inference.model.predictor=torch needs seg_inference.model.ckpt_path",
            "Add -o seg_inference.model.ckpt_path=outputs/runs/<run>/model/best.pth",
        )
    return _existing(Path(given))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(
            f"the checkpoint {path} does not exist",
            "Check seg_inference.model.ckpt_path, or train one: agir-cvtoolkit train",
        )
    return path
