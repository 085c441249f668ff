"""From a trained pose model to the one in service: its files, its copy, its place in the store."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agir_cvtoolkit.captures import PublishedModel
from agir_cvtoolkit.errors import AgirError, MissingExtraError
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import atomic_path

from ._models import promoted_path

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore
    from agir_cvtoolkit.models.card import ModelCard

_log = logging.getLogger("agir_cvtoolkit.stages.retrain")

ONNX, COREML = "best.onnx", "best.mlpackage.zip"
Wish = Literal["auto", "always", "never"]


def export_model(checkpoint: Path, settings: Settings) -> tuple[Item, ...]:
    """Write a model in the other forms that are wished for, beside it, where they are not there yet.

    Returns:
        The forms that could not be written, with the reason; not those whose extra is not installed.

    Raises:
        MissingExtraError: a form is wished for always, and its extra is not installed.
    """
    wishes: tuple[tuple[str, Wish, Callable[[Path, Path], object]], ...] = (
        (ONNX, settings.retrain.onnx, _onnx),
        (COREML, settings.retrain.coreml, _coreml),
    )
    items = []
    for name, wish, write in wishes:
        target = checkpoint.with_name(name)
        if wish == "never" or target.exists():
            continue
        try:
            write(checkpoint, target)
        except MissingExtraError:
            if wish == "always":
                raise
        except Exception as error:  # exporters raise anything, and the model itself is fine without them
            if wish == "always":
                raise
            said = error.problem if isinstance(error, AgirError) else f"{type(error).__name__}: {error}"
            items.append(Item(name, "failed", said))
            _log.warning("%s was not written: %s", name, said)
    return tuple(items)


def put_in_place(checkpoint: Path, card: ModelCard, out_root: Path) -> Path:
    """Copy a model with its other forms to ``models/<version>/`` of the workspace, where no training writes.

    Args:
        checkpoint: as it was trained.
        card: that goes with it, with its figures on the test set.
        out_root: the folder of all runs.

    Returns:
        The copy.
    """
    from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint

    path = promoted_path(out_root, card.version)
    network, _ = load_checkpoint(checkpoint)
    save_checkpoint(path, network, card)
    for name in (ONNX, COREML):
        source, target = checkpoint.with_name(name), path.with_name(name)
        if not source.exists() or source == target:
            continue
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    return path


def files_of(checkpoint: Path) -> dict[str, Path]:
    """Return the files of a model in service by kind, those that there are."""
    from agir_cvtoolkit.models.card import CARD_NAME

    names = {"pth": checkpoint.name, "card": CARD_NAME, "onnx": ONNX, "coreml": COREML}
    found = {kind: checkpoint.with_name(name) for kind, name in names.items()}
    return {kind: path for kind, path in found.items() if path.is_file()}


def publish_model(store: CaptureStore, checkpoint: Path, card: ModelCard, trigger_id: str) -> PublishedModel:
    """Publish a model in service, so that devices can fetch it; once, however often it is asked for.

    Raises:
        RemoteError: the store cannot be reached or refuses; the model before stays the current one.
    """
    current = store.current_model()
    if current is not None and current.version == card.version:
        return current
    model = PublishedModel(
        version=card.version,
        schema=card.schema.name if card.schema is not None else "",
        made=datetime.now(UTC),
        metrics={name: value for name, value in card.metrics.items() if "." not in name},
        trigger_id=trigger_id,
    )
    return store.publish(replace(model, current=True), files_of(checkpoint))


def _onnx(checkpoint: Path, target: Path) -> None:
    from agir_cvtoolkit.models.libraries import require_torch

    require_torch("Writing ONNX models")
    from agir_cvtoolkit.models.onnx_export import export_onnx

    export_onnx(checkpoint, target)


def _coreml(checkpoint: Path, target: Path) -> None:
    from agir_cvtoolkit.models.coreml_export import export_coreml

    export_coreml(checkpoint, target)
