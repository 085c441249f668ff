"""Pictures of a training: its curves, how sure the model is, and the tiles that it does worst on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.reporting.class_sheet import ClassRow, class_sheet
from agir_cvtoolkit.reporting.reliability import reliability_diagram
from agir_cvtoolkit.reporting.training_curves import training_curves

if TYPE_CHECKING:
    from agir_cvtoolkit.training.dataset import PreparedDataset
    from agir_cvtoolkit.training.history import Epoch

    from ._evaluation import ModelScores

CURVES, RELIABILITY, WORST = "curves.png", "reliability.png", "worst.png"


def draw_curves(folder: Path, history: Sequence[Epoch], classes: Sequence[str]) -> None:
    """Draw losses and scores over the epochs into ``curves.png``."""
    if not history:
        return
    losses = {"train": [e.train_loss for e in history], "val": [e.val_loss for e in history]}
    scores = {"train IoU": [e.train_iou for e in history], "val IoU": [e.val_iou for e in history]}
    for number, name in enumerate(classes[1:], start=1):
        if len(classes) > 2:
            scores[name] = [_of(e.val_iou_by_class, number) for e in history]
    training_curves(folder / CURVES, losses, scores)


def draw_scores(folder: Path, scores: ModelScores, dataset: PreparedDataset, device: str) -> None:
    """Draw ``reliability.png`` and ``worst.png``.

    Args:
        folder: where to.
        scores: of the model, on a split of the data set.
        dataset: that its tiles belong to.
        device: as of the group ``seg_inference``.
    """
    from agir_cvtoolkit.inference.torch_predictor import open_torch

    from ._segmentation_evaluation import load_tiles

    if scores.reliability is not None:
        reliability_diagram(
            folder / RELIABILITY,
            **asdict(scores.reliability),
            title=f"{scores.name}: ECE {scores.reliability.ece:.3f}",
        )
    predictor = open_torch(scores.path, device)
    rows = []
    for name, figure in scores.worst:
        images, labels = load_tiles(dataset, [name])
        said = predictor.predict_tiles(images)[0].argmax(axis=0).astype(labels.dtype)
        rows.append(ClassRow(name, images[0], labels[0], said, figure))
    names = [c.name for c in dataset.classes]
    class_sheet(
        rows,
        names,
        folder / WORST,
        title=f"{scores.name}: the worst tiles, with the share of pixels that are wrong",
    )


def _of(values: Sequence[float | None], number: int) -> float:
    value = values[number] if number < len(values) else None
    return float("nan") if value is None else value
