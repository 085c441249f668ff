"""Models for Apple devices: ML programs for iOS 15, macOS 12 and later.

The input ``image`` is an RGB picture of the size that the model was trained on; the outputs are those of
`onnx_export`, for one picture at a time, in half precision inside. The card lies in the model's metadata under
``agir_cvtoolkit.card``. Conversion works everywhere; only macOS can run the result, so here it is converted and its
description checked, no more.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agir_cvtoolkit.errors import CheckpointError, MissingExtraError, UsageError
from agir_cvtoolkit.runs import atomic_path

from .card import ModelCard
from .checkpoint import load_checkpoint
from .onnx_export import CARD_KEY, OUTPUTS
from .served import Served

INPUT = "image"
PACKAGE = ".mlpackage"


@dataclass(frozen=True)
class CoremlModel:
    """What a Core ML model says of itself.

    Attributes:
        card: of the model.
        image_size: width and height of its input.
        outputs: shape of each output by name.
    """

    card: ModelCard
    image_size: tuple[int, int]
    outputs: dict[str, tuple[int, ...]]


def export_coreml(checkpoint: Path, path: Path) -> CoremlModel:
    """Convert a checkpoint to Core ML and write it, whole or not at all.

    Args:
        checkpoint: of this package, of either kind.
        path: ends in ``.mlpackage`` (a folder, as Xcode takes it) or ``.mlpackage.zip`` (one file, for devices that
            fetch it).

    Returns:
        The model's description, read back from what was converted.

    Raises:
        CheckpointError: no checkpoint of this package, or the conversion lost an output.
        MissingExtraError: coremltools is not installed.
        UsageError: another ending.
    """
    zipped = path.name.endswith(f"{PACKAGE}.zip")
    if not zipped and path.suffix != PACKAGE:
        raise UsageError(f"{path} names no Core ML model", f"Let it end in {PACKAGE} or {PACKAGE}.zip.")
    network, card = load_checkpoint(checkpoint)
    with _quiet():
        try:
            import coremltools
        except ImportError as error:
            raise MissingExtraError("Writing Core ML models", "coreml") from error
        converted = _converted(coremltools, Served(network, card), card)
        described = _described(converted, card)
        with tempfile.TemporaryDirectory(prefix="coreml-") as temporary:
            package = Path(temporary) / f"{path.name.removesuffix('.zip').removesuffix(PACKAGE)}{PACKAGE}"
            converted.save(str(package))
            _zip(package, path) if zipped else _place(package, path)
    return described


def _converted(coremltools: Any, served: Served, card: ModelCard) -> Any:
    height, width = card.tile_size
    sample = torch.zeros(1, 3, height, width)
    with torch.no_grad():
        traced = torch.jit.trace(served.eval(), sample, check_trace=False)  # type: ignore[no-untyped-call]
    model = coremltools.convert(
        traced,
        inputs=[
            coremltools.ImageType(
                name=INPUT, shape=tuple(sample.shape), color_layout=coremltools.colorlayout.RGB
            )
        ],
        outputs=[coremltools.TensorType(name=name) for name in OUTPUTS[card.kind]],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS15,
    )
    model.short_description = f"{card.kind} model {card.identity}"
    model.version = card.version
    model.user_defined_metadata[CARD_KEY] = json.dumps(card.to_json_object())
    return model


def _described(model: Any, card: ModelCard) -> CoremlModel:
    description = model.get_spec().description
    images = {entry.name: entry.type.imageType for entry in description.input}
    outputs = {
        entry.name: tuple(int(side) for side in entry.type.multiArrayType.shape)
        for entry in description.output
    }
    if set(images) != {INPUT} or set(outputs) != set(OUTPUTS[card.kind]):
        raise CheckpointError(
            f"the Core ML model of {card.identity} has inputs {sorted(images)} and outputs {sorted(outputs)}",
            "Install the coremltools that the extra names: pip install 'agir-cvtoolkit[coreml]'",
        )
    image = images[INPUT]
    return CoremlModel(card, (int(image.width), int(image.height)), outputs)


def _zip(package: Path, path: Path) -> None:
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for file in sorted(package.rglob("*")):
            if file.is_file():
                # Without the time of day, so that the same model makes the same archive.
                entry = zipfile.ZipInfo(file.relative_to(package.parent).as_posix())
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())


def _place(package: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    for leftover in (beside, path):
        if leftover.is_dir():
            shutil.rmtree(leftover)
    shutil.copytree(package, beside)
    beside.rename(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """The converter prints, logs and draws bars of what concerns nobody here."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
