"""What is kept of every epoch: the best weights, a file to continue from, the history."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from agir_cvtoolkit.config._training import EarlyStop, Train
from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.checkpoint import save_checkpoint
from agir_cvtoolkit.models.plain import load_plain
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.runs import atomic_path

from .history import write_history
from .learner import SegmentationLearner, state_in
from .scores import Scores
from .segmentation import BEST, HISTORY, LAST
from .surroundings import LOUD


class Keeper(Checkpoint):
    """Keeps the best epoch and the resume file, and ends training that no longer improves."""

    def __init__(self, out_dir: Path, card: ModelCard) -> None:
        self._out_dir = out_dir
        self._card = card

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in another process of the training, where Lightning would speak."""
        self.__dict__.update(state)
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.ERROR)
        warnings.simplefilter("ignore")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what the epoch has brought."""
        if not isinstance(pl_module, SegmentationLearner) or pl_module.newest is None:
            return
        newest, stop = pl_module.newest, pl_module.settings.early_stop
        least = pl_module.best.iou + stop.min_delta if pl_module.best else -1.0
        better = newest.iou > least
        if better:
            pl_module.best, pl_module.best_epoch = newest, pl_module.current_epoch + 1
        if trainer.is_global_zero:
            self._write(trainer, pl_module, newest if better else None)
        trainer.should_stop = _patience_is_over(stop, len(pl_module.history), pl_module.best_epoch)
        with atomic_path(self._out_dir / LAST) if trainer.is_global_zero else nullcontext(Path()) as path:
            # All processes take part; the first one writes.
            trainer.save_checkpoint(path)

    def _write(self, trainer: Trainer, learner: SegmentationLearner, best: Scores | None) -> None:
        classes = self._card.classes
        if best is not None:
            card = replace(self._card, metrics=figures_of("val", best, classes))
            save_checkpoint(self._out_dir / BEST, learner.network, card)
        write_history(self._out_dir / HISTORY, learner.history, classes)
        epoch = learner.history[-1]
        for tracker in trainer.loggers:
            tracker.log_metrics(epoch.figures(classes), step=epoch.number)
            tracker.save()


class Ticker(Callback):
    """Tells a progress bar of every batch."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def on_train_batch_end(self, *_: object) -> None:
        """One step."""
        self._bar.advance()

    def on_validation_batch_end(self, *_: object) -> None:
        """One step."""
        self._bar.advance()


def state_of(last: Path) -> Mapping[str, Any]:
    """Return what a resume file says of its training; nothing where there is none or it is torn."""
    if not last.is_file():
        return {}
    try:
        content = load_plain(last)
    except ValueError:
        return {}
    return state_in(content) if isinstance(content, dict) else {}


def has_stopped(state: Mapping[str, Any], settings: Train) -> bool:
    """Tell whether a training ended early and was killed before all was written down."""
    return _patience_is_over(settings.early_stop, len(state["history"]), int(state["best_epoch"]))


def _patience_is_over(stop: EarlyStop, epochs: int, best_epoch: int) -> bool:
    return stop.patience is not None and epochs - best_epoch >= stop.patience


def figures_of(side: str, scores: Scores, classes: tuple[str, ...]) -> dict[str, float]:
    """Return scores as they stand on a card, by name behind their side."""
    found = {
        f"{side}_iou": scores.iou,
        f"{side}_dice": scores.dice,
        f"{side}_mean_iou": scores.mean_iou,
    }
    for name, iou, dice in zip(classes, scores.iou_by_class, scores.dice_by_class, strict=True):
        if iou is not None and dice is not None:
            found |= {f"{side}_iou.{name}": iou, f"{side}_dice.{name}": dice}
    return found
