"""The run of Lightning's trainer: seeded, quiet, continued after a kill."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch.utils.data import DataLoader

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.errors import ConfigError, InterruptedByUser, UsageError
from agir_cvtoolkit.models.card import CARD_NAME, ModelCard, TrainedOn
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.models.encoders import pixel_norm
from agir_cvtoolkit.models.plain import load_plain
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.progress import Bar, Progress
from agir_cvtoolkit.runs import atomic_path, discard

from .batches import Batch, loader
from .dataset import PreparedDataset
from .history import Epoch, write_history
from .learner import SegmentationLearner, fingerprint_in
from .scores import Scores
from .segmentation import BEST, HISTORY, LAST, architecture

_QUIET = ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_utilities", "pytorch_lightning")
_MAX_WORKERS = 8


@dataclass(frozen=True)
class Outcome:
    """A finished training."""

    card: ModelCard
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    continued: bool


def run_training(
    dataset: PreparedDataset, out_dir: Path, settings: Train, key: str, progress: Progress
) -> Outcome:
    """Train, keep the best epoch as ``best.pth``, and score it on the test split.

    Raises:
        ConfigError: unknown architecture or encoder, or a device that is not there.
        InterruptedByUser: Ctrl-C.
        UsageError: the device ran out of memory.
    """
    device = chosen_device(settings.device)
    on_gpu = device.type == "cuda"
    workers = settings.num_workers if settings.num_workers is not None else _workers(on_gpu)
    loaders = {
        side: loader(dataset, side, settings, training=side == "train", on_gpu=on_gpu, workers=workers)
        for side in ("train", "val", "test")
        if dataset.splits[side]
    }
    last = out_dir / LAST
    continued = _continues(last, key)
    if not continued:
        for name in (BEST, CARD_NAME, LAST, HISTORY):
            discard(out_dir / name)
    with _seeded(settings.seed), _quiet():
        learner = _learner(dataset, settings, len(loaders["train"]), key)
        keeper = _Keeper(out_dir, _card(dataset, settings))
        steps = settings.max_epochs * (len(loaders["train"]) + len(loaders["val"]))
        with progress.bar("train", steps) as bar:
            trainer = _trainer(device, settings.max_epochs, [keeper, _Ticker(bar)])
            _fitted(trainer, learner, loaders, last if continued else None)
        card = _with_test_scores(out_dir, settings, loaders.get("test"), device, key)
    history = tuple(learner.history)
    return Outcome(card, history, learner.best_epoch, len(history) < settings.max_epochs, continued)


def chosen_device(wanted: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:<number>``.

    Raises:
        ConfigError: there is no such device.
    """
    if wanted == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (
        not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()
    ):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise ConfigError(
            f"train.device is {wanted}, but PyTorch sees {count} GPUs",
            "Set train.device=auto or train.device=cpu",
        )
    return device


def _workers(on_gpu: bool) -> int:
    return min(_MAX_WORKERS, os.cpu_count() or 1) if on_gpu else 0


def _learner(dataset: PreparedDataset, settings: Train, batches: int, key: str) -> SegmentationLearner:
    spec = architecture(settings, len(dataset.classes))
    network = build(spec)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return SegmentationLearner(
        network, spec.classes, pixel_norm(spec), settings, batches * settings.max_epochs, key
    )


def _card(dataset: PreparedDataset, settings: Train) -> ModelCard:
    spec = architecture(settings, len(dataset.classes))
    return ModelCard(
        name=spec.title,
        version="",
        architecture=spec,
        classes=tuple(c.name for c in dataset.classes),
        class_ids=dataset.class_ids,
        tile_size=dataset.tile_size,
        normalization=pixel_norm(spec),
        trained_on=TrainedOn(
            dataset=dataset.fingerprint,
            pictures=dataset.pictures,
            splits={side: len(names) for side, names in dataset.splits.items()},
            scale=dataset.scale,
            max_side=dataset.max_side,
            warning=dataset.warning,
        ),
        configuration=settings.model_dump(mode="json"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        package_version=__version__,
    )


def _trainer(device: torch.device, epochs: int, callbacks: list[Callback]) -> Trainer:
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=epochs,
        callbacks=callbacks,
        deterministic=True,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _fitted(
    trainer: Trainer, learner: LightningModule, loaders: Mapping[str, DataLoader[Batch]], resume: Path | None
) -> None:
    try:
        # Lightning turns Ctrl-C into SystemExit; it is an interruption like any other.
        trainer.fit(
            learner,
            loaders["train"],
            loaders["val"],
            ckpt_path=str(resume) if resume else None,
            weights_only=True,
        )
    except (KeyboardInterrupt, SystemExit) as error:
        raise InterruptedByUser("training was interrupted", "Start it again to continue.") from error
    except torch.OutOfMemoryError as error:
        raise UsageError("the GPU ran out of memory", "Lower train.batch_size or preprocess.size") from error


def _continues(last: Path, key: str) -> bool:
    if not last.is_file():
        return False
    try:
        content = load_plain(last)
    except ValueError:
        return False
    return isinstance(content, dict) and fingerprint_in(content) == key


class _Keeper(Checkpoint):
    """Keeps the best epoch and the resume file, and ends training that no longer improves."""

    def __init__(self, out_dir: Path, card: ModelCard) -> None:
        self._out_dir = out_dir
        self._card = card

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, SegmentationLearner) or pl_module.newest is None:
            return
        newest, stop = pl_module.newest, pl_module.settings.early_stop
        least = pl_module.best.iou + stop.min_delta if pl_module.best else -1.0
        if newest.iou > least:
            pl_module.best, pl_module.best_epoch = newest, pl_module.current_epoch + 1
            card = replace(self._card, metrics=_metrics("val", newest, self._card.classes))
            save_checkpoint(self._out_dir / BEST, pl_module.network, card)
        write_history(self._out_dir / HISTORY, pl_module.history)
        if stop.patience is not None and len(pl_module.history) - pl_module.best_epoch >= stop.patience:
            trainer.should_stop = True
        with atomic_path(self._out_dir / LAST) as temporary:
            trainer.save_checkpoint(temporary)


class _Ticker(Callback):
    """Tells a progress bar of every batch."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def on_train_batch_end(self, *_: object) -> None:
        self._bar.advance()

    def on_validation_batch_end(self, *_: object) -> None:
        self._bar.advance()


def _metrics(side: str, scores: Scores, classes: tuple[str, ...]) -> dict[str, float]:
    found = {f"{side}_iou": scores.iou, f"{side}_dice": scores.dice}
    for name, iou in zip(classes, scores.iou_by_class, strict=True):
        if iou is not None:
            found[f"{side}_iou.{name}"] = iou
    return found


def _with_test_scores(
    out_dir: Path, settings: Train, test: DataLoader[Batch] | None, device: torch.device, key: str
) -> ModelCard:
    network, card = load_checkpoint(out_dir / BEST)
    if test is None:
        return card
    learner = (
        SegmentationLearner(network, len(card.classes), card.normalization, settings, 1, key)
        .to(device)
        .eval()
    )
    scores = learner.score(test)
    return save_checkpoint(
        out_dir / BEST,
        network,
        replace(card, metrics={**card.metrics, **_metrics("test", scores, card.classes)}),
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    exact = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(exact)


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _QUIET]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
