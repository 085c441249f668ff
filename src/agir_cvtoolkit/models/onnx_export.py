"""Models as ONNX files, which run without torch and on other devices.

The input ``pixels`` is float32 (N, 3, height, width), RGB, 0..255: normalisation is inside. N is free. A segmentation
model takes any height and width that are multiples of ``agir_cvtoolkit.tile_step`` (in the file's metadata) and gives
``probabilities`` (N, classes, height, width); a pose model takes the size that it was trained on and gives ``places`` and
``hidden`` (N, joints, height / 4, width / 4), which `heatmap_decoding.decode` reads. The card lies in the metadata under
``agir_cvtoolkit.card``.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agir_cvtoolkit.errors import CheckpointError, MissingExtraError
from agir_cvtoolkit.runs import atomic_path

from .card import ModelCard
from .checkpoint import load_checkpoint
from .pyramid import Encoder
from .served import Served

CARD_KEY = "agir_cvtoolkit.card"
STEP_KEY = "agir_cvtoolkit.tile_step"
OPSET = 18
INPUT = "pixels"
_STEP = 32
_MOST = 1024
_CLOSE = 1e-4
OUTPUTS = {"segmentation": ("probabilities",), "pose": ("places", "hidden")}


def export_onnx(checkpoint: Path, path: Path) -> ModelCard:
    """Write a checkpoint as ONNX, whole or not at all.

    Args:
        checkpoint: of this package, of either kind.
        path: usually ``model/best.onnx``.

    Returns:
        The card, as it lies in the file.

    Raises:
        CheckpointError: no checkpoint of this package, or one whose ONNX model would not say the same.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    network, card = load_checkpoint(checkpoint)
    try:
        import onnx
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it and says so only in passing
    except ImportError as error:
        raise MissingExtraError("Writing ONNX models", "onnx") from error
    served = Served(network, card)
    step = _step(network) if card.kind == "segmentation" else None
    model = _written(served, card, step)
    _describe(model, CARD_KEY, json.dumps(card.to_json_object()))
    if step is not None:
        _describe(model, STEP_KEY, str(step))
    onnx.checker.check_model(model)
    check_agreement(model, served, card, step)
    with atomic_path(path) as temporary:
        onnx.save_model(model, str(temporary))
    return card


def _written(served: Served, card: ModelCard, step: int | None) -> Any:
    count = torch.export.Dim("n", min=1, max=_MOST)
    if step is None:
        sample, free = torch.zeros(2, 3, *card.tile_size), {0: count}
    else:
        sample = torch.zeros(2, 3, 2 * step, 3 * step)
        rows, columns = (torch.export.Dim(name, min=1, max=_MOST) for name in ("rows", "columns"))
        free = {0: count, 2: step * rows, 3: step * columns}
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                served,
                (sample,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS[card.kind]),
                dynamic_shapes={"pixels": free},
                verbose=False,
            )
    except Exception as error:
        # What a backbone from outside does that the exporter cannot write has no class of its own.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"model {card.identity} cannot be written as ONNX: {first}", "Predict with its best.pth."
        ) from error
    if program is None:
        raise CheckpointError(
            f"model {card.identity} cannot be written as ONNX", "Predict with its best.pth."
        )
    return program.model_proto


def _step(network: nn.Module) -> int:
    encoder = network.get_submodule("encoder")
    return math.lcm(_STEP, encoder.divisor) if isinstance(encoder, Encoder) else _STEP


def _describe(model: Any, key: str, value: str) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = key, value


def check_agreement(model: Any, served: Served, card: ModelCard, step: int | None) -> None:
    """Run a model by ONNX Runtime, where that is installed, and by PyTorch, in another size than it was written in.

    Args:
        model: of ONNX.
        served: what was written.
        card: of the model.
        step: sides are multiples of it; None for the size on the card.

    Raises:
        CheckpointError: the probabilities differ by more than 1e-4.
    """
    try:
        import onnxruntime
    except ImportError:
        return
    height, width = card.tile_size if step is None else (step, 2 * step)
    ramp = torch.arange(3 * height * width, dtype=torch.float32).reshape(1, 3, height, width)
    pixels = (ramp * 7.3) % 256
    with torch.inference_mode():
        expected = served(pixels)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {INPUT: pixels.numpy()})
    for ours, theirs in zip(expected if isinstance(expected, tuple) else (expected,), found, strict=True):
        apart = float((ours - torch.from_numpy(theirs)).abs().max())
        if not apart <= _CLOSE:
            raise CheckpointError(
                f"model {card.identity} as ONNX differs from PyTorch by {apart:.2g}",
                "Predict with its best.pth.",
            )


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
