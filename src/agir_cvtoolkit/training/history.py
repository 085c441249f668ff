"""What happened epoch by epoch, as values and as ``history.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from agir_cvtoolkit.runs import write_text


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes:
        number: from 1.
        train_iou, train_dice: on the varied training tiles, while the weights were changing.
        val_mean_iou: the background included; `val_iou` and `val_dice` are means without it.
        val_iou_by_class: background first; None for a class that does not occur.
        learning_rate: of the decoder at its end.
    """

    number: int
    train_loss: float
    train_iou: float
    train_dice: float
    val_loss: float
    val_iou: float
    val_dice: float
    learning_rate: float
    seconds: float
    val_mean_iou: float = 0.0
    val_iou_by_class: tuple[float | None, ...] = ()

    def figures(self, classes: Sequence[str]) -> dict[str, float]:
        """Return all numbers by name, those of classes as ``val_iou.<class>``."""
        found = {name: value for name, value in asdict(self).items() if isinstance(value, int | float)}
        named = zip(classes, self.val_iou_by_class, strict=False)
        return found | {f"val_iou.{name}": iou for name, iou in named if iou is not None}


def write_history(path: Path, history: Sequence[Epoch], classes: Sequence[str]) -> None:
    """Write one line per epoch, whole or not at all."""
    text = io.StringIO()
    names = [f.name for f in fields(Epoch) if f.name != "val_iou_by_class"]
    names += [f"val_iou.{name}" for name in classes]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: round(v, 6) for k, v in epoch.figures(classes).items()} for epoch in history)
    write_text(path, text.getvalue())
