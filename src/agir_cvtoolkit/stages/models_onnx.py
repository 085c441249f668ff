"""``models onnx``: a model as a file that runs without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.errors import NoRunError

from ._call import Call
from ._models import trained_path

ONNX = "best.onnx"


@dataclass(frozen=True)
class ModelExported:
    """A model and the file that it was written to, or in a dry run would be.

    Attributes:
        version, name: of the model.
        path: the ONNX file.
    """

    version: str
    name: str
    path: Path
    dry_run: bool


def models_onnx(
    checkpoint: Path | None = None, call: Call | None = None, *, out: Path | None = None
) -> ModelExported:
    """Write a checkpoint as ONNX, after its answers were compared with those of PyTorch.

    Args:
        checkpoint: of our own ``train`` or ``retrain``; None takes the run's ``model/best.pth``.
        call: with the run.
        out: the file to write; None is ``best.onnx`` beside the checkpoint.

    Raises:
        NoRunError: the run has no trained model.
        CheckpointError: the file is no checkpoint of ours, or its ONNX model would not say the same.
        MissingExtraError: torch, onnx or onnxscript is not installed.
    """
    from agir_cvtoolkit.models.libraries import require_torch

    require_torch("Writing ONNX models")
    from agir_cvtoolkit.models.checkpoint import load_checkpoint
    from agir_cvtoolkit.models.onnx_export import export_onnx

    call = call or Call()
    if checkpoint is None:
        run = call.open_run(call.settings())
        checkpoint = trained_path(run)
        if not checkpoint.is_file():
            raise NoRunError(f"run {run.run_id} has no model/best.pth", "Train first: agir-cvtoolkit train")
    target = (out or checkpoint.with_name(ONNX)).resolve()
    card = load_checkpoint(checkpoint)[1] if call.dry_run else export_onnx(checkpoint, target)
    return ModelExported(card.version, card.name, target, call.dry_run)
