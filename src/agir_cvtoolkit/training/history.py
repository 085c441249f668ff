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


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Write one line per epoch, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: round(v, 6) for k, v in asdict(epoch).items()} for epoch in history)
    write_text(path, text.getvalue())
