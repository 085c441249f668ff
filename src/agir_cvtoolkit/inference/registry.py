"""Which predictor a configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.config._inference import COLOUR_INDICES
from agir_cvtoolkit.errors import CheckpointError, ConfigError, UsageError
from agir_cvtoolkit.models.libraries import require_torch

from .colour_predictor import DEFAULT_INDEX, ColourPredictor
from .ensemble import TileEnsemble, ensemble_of
from .predictor import Predictor

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference

    from .onnx_predictor import OnnxPredictor
    from .torch_predictor import TorchPredictor

SMP = "smp:"
"""Before the path of a checkpoint of segmentation-models-pytorch."""


@dataclass(frozen=True)
class Champion:
    """The promoted model: where the ledger says that it lies, and the version of its weights."""

    path: Path
    version: str


def open_predictor(settings: SegInference, champion: Champion | None = None) -> Predictor:
    """Open the predictor that the settings name, and beside it those of ``model.ensemble``.

    Args:
        settings: without a checkpoint and without a predictor it is ``excess_green``.
        champion: for ``model.predictor=champion``.

    Raises:
        ConfigError: settings that contradict each other, or a checkpoint that does not exist.
        UsageError: no model has been promoted yet.
        CheckpointError: not a checkpoint of this package, or not the one that was promoted.
        MissingExtraError: torch, or what else it needs, is not installed.
    """
    first = _open_first(settings, champion)
    return ensemble_of(first, [_open_other(name, settings) for name in settings.model.ensemble])


def computed_by_torch(predictor: Predictor) -> bool:
    """Whether a GPU, where there is one, computes a predictor's results."""
    from .torch_predictor import TorchPredictor

    first = predictor.first if isinstance(predictor, TileEnsemble) else predictor
    return isinstance(first, TorchPredictor)


def _open_other(name: str, settings: SegInference) -> Predictor:
    """Open a predictor that stands beside the first: a colour index or a checkpoint."""
    asked = {"predictor": name} if name in COLOUR_INDICES else {"predictor": None, "ckpt_path": name}
    model = settings.model.model_copy(update={"ckpt_path": None, "ensemble": (), **asked})
    return _open_first(settings.model_copy(update={"model": model}), None)


def _open_first(settings: SegInference, champion: Champion | None) -> Predictor:
    model = settings.model
    if model.predictor is not None and ":" in model.predictor:
        return _plugin(settings)
    checkpoint = checkpoint_of(settings, champion)
    if checkpoint is None:
        return ColourPredictor(model.predictor or DEFAULT_INDEX, model.index_threshold)
    predictor: TorchPredictor | OnnxPredictor
    if model.ckpt_path is not None and model.ckpt_path.startswith(SMP):
        predictor = _open_smp(checkpoint, settings)
    elif model.options:
        raise ConfigError(
            "seg_inference.model.options are for predictors of your own and smp: checkpoints",
            "Remove them: a checkpoint of this package says everything of itself.",
        )
    elif checkpoint.suffix.lower() == ".onnx":
        from .onnx_predictor import OnnxPredictor

        predictor = OnnxPredictor.open(checkpoint)
    else:
        from .torch_predictor import open_torch

        predictor = open_torch(checkpoint, settings.device, settings.precision)
    if settings.model.predictor == "champion" and champion is not None:
        found = predictor.card.version
        if found != champion.version:
            raise CheckpointError(
                f"{checkpoint} holds model {found}, but model {champion.version} was promoted",
                "Promote the one that shall predict: agir-cvtoolkit promote path/to/best.pth",
            )
    return predictor


def checkpoint_of(settings: SegInference, champion: Champion | None = None) -> Path | None:
    """Return the checkpoint that the settings ask for, or None for a colour index.

    Raises:
        ConfigError: settings that contradict each other, or a checkpoint that does not exist.
        UsageError: no model has been promoted yet.
        CheckpointError: the file of the promoted one has vanished.
    """
    name, given = settings.model.predictor, settings.model.ckpt_path
    if name not in {None, "torch"} and given is not None:
        raise ConfigError(
            f"seg_inference.model.predictor={name} takes no ckpt_path", "Leave one of the two out."
        )
    if name in COLOUR_INDICES or (name is None and given is None):
        return None
    if name == "champion":
        if champion is None:
            raise UsageError("no model has been promoted yet", "Promote one: agir-cvtoolkit promote")
        if not champion.path.is_file():
            raise CheckpointError(
                f"the champion {champion.version} is no longer at {champion.path}",
                "Copy the file back, or promote a model again: agir-cvtoolkit promote path/to/best.pth",
            )
        return champion.path
    if given is None:
        raise ConfigError(
            "seg_inference.model.predictor=torch needs seg_inference.model.ckpt_path",
            "Add -o seg_inference.model.ckpt_path=outputs/runs/<run>/model/best.pth",
        )
    return _existing(Path(given.removeprefix(SMP)))


def _plugin(settings: SegInference) -> Predictor:
    if settings.model.ckpt_path is not None:
        raise ConfigError(
            f"seg_inference.model.predictor={settings.model.predictor} takes no ckpt_path",
            "Give its weights by seg_inference.model.options.",
        )
    from .plugins import load_plugin

    return load_plugin(str(settings.model.predictor), settings.model.options)


def _open_smp(path: Path, settings: SegInference) -> TorchPredictor:
    require_torch("A checkpoint of segmentation-models-pytorch")
    from agir_cvtoolkit.models.devices import device_for
    from agir_cvtoolkit.models.smp import open_smp

    from .torch_predictor import TorchPredictor

    network, card = open_smp(path, settings.model.options)
    return TorchPredictor(
        network, card, device_for(settings.device, "seg_inference.device"), settings.precision
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(
            f"the checkpoint {path} does not exist",
            "Check seg_inference.model.ckpt_path, or train one: agir-cvtoolkit train",
        )
    return path
