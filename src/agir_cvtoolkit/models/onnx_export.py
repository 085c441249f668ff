"""Models as ONNX files, which run without torch and on other devices.

The input ``pixels`` is float32 (N, 3, height, width), RGB, 0..255: normalisation is inside. N is free; height and
width are those that the model was trained on. A segmentation model gives ``probabilities`` (N, classes, height, width),
a pose model ``places`` and ``hidden`` (N, joints, height / 4, width / 4), which `heatmap_decoding.decode` reads. The
card lies in the file's metadata under ``agir_cvtoolkit.card``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from agir_cvtoolkit.errors import MissingExtraError
from agir_cvtoolkit.runs import atomic_path

from .card import ModelCard
from .checkpoint import load_checkpoint
from .heatmap import GRID_STRIDE, place_probabilities

CARD_KEY = "agir_cvtoolkit.card"
OPSET = 18
INPUT = "pixels"
OUTPUTS = {"segmentation": ("probabilities",), "pose": ("places", "hidden")}


class Served(nn.Module):
    """A network from pixels 0..255 to probabilities: what leaves the house."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        """Take a network in evaluation mode and its card."""
        super().__init__()
        self.network = network.eval()
        self.kind = card.kind
        height, width = card.tile_size
        self.grid = card.architecture.classes, height // GRID_STRIDE, width // GRID_STRIDE
        self.register_buffer("mean", torch.tensor(card.normalization.mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(card.normalization.std).reshape(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the outputs that the module's text names, for float32 RGB pixels (N, 3, height, width), 0..255."""
        logits = self.network((pixels - self.mean) / self.std)
        return place_probabilities(logits, self.grid) if self.kind == "pose" else torch.softmax(logits, dim=1)


def export_onnx(checkpoint: Path, path: Path) -> ModelCard:
    """Write a checkpoint as ONNX, whole or not at all.

    Args:
        checkpoint: of this package, of either kind.
        path: usually ``model/best.onnx``.

    Returns:
        The card, as it lies in the file.

    Raises:
        CheckpointError: no checkpoint of this package.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    network, card = load_checkpoint(checkpoint)
    try:
        import onnx
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it and says so only in passing
    except ImportError as error:
        raise MissingExtraError("Writing ONNX models", "onnx") from error
    height, width = card.tile_size
    sample = torch.zeros(2, 3, height, width)
    names = OUTPUTS[card.kind]
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            Served(network, card),
            (sample,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(names),
            dynamic_shapes={INPUT: {0: torch.export.Dim("n", min=1, max=1024)}},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter made no model")
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, json.dumps(card.to_json_object())
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        onnx.save_model(model, str(temporary))
    return card


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints and warns of what concerns nobody here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
