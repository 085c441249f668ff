"""The run of Lightning's trainer: seeded, quiet, continued after a kill."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import distributed
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader, Dataset

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.config._training import EarlyStop, Train
from agir_cvtoolkit.errors import ConfigError, DataError, InterruptedByUser, UsageError
from agir_cvtoolkit.models.card import CARD_NAME, ModelCard, TrainedOn
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.models.plain import load_plain
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.progress import Bar, Progress, Silent
from agir_cvtoolkit.runs import atomic_path, discard, git_commit

from .batches import Batch, Tiles, in_order, loader, tiles_of
from .dataset import PreparedDataset
from .history import Epoch, write_history
from .learner import SegmentationLearner, state_in
from .losses import loss_weights
from .nodes import call_the_others, dismiss
from .normalization import norm_of
from .remembered import FOLDER, batches_to_remember, remember
from .scores import Scores
from .segmentation import BEST, HISTORY, LAST, architecture
from .shared import share_norms
from .surroundings import LOUD, disk_errors, quiet, seeded
from .tracking import TENSORBOARD, check_trackers, trackers

_MAX_WORKERS = 8


@dataclass(frozen=True)
class Outcome:
    """A finished training."""

    card: ModelCard
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    continued: bool


def check_training(dataset: PreparedDataset, settings: Train) -> None:
    """Refuse settings that this data set or this machine cannot be trained with.

    Raises:
        ConfigError: unknown architecture or encoder, weights for other classes, or a device that is not there.
        MissingExtraError: the encoder's package, or one of ``train.tracking``, is not installed.
    """
    device = chosen_device(settings.device, settings.processes)
    _precision(settings.precision, on_gpu=device.type == "cuda")
    check_trackers(settings)
    loss_weights(settings.loss, dataset.class_weights)
    build(architecture(settings, len(dataset.classes)))


def run_training(
    dataset: PreparedDataset, out_dir: Path, settings: Train, key: str, progress: Progress
) -> Outcome:
    """Train, keep the best epoch as ``best.pth``, and score it on the test split.

    Raises:
        ConfigError: unknown architecture or encoder, or a device that is not there.
        DataError: the disk is full.
        InterruptedByUser: Ctrl-C.
        MissingExtraError: a package of ``train.tracking`` is not installed.
        UsageError: the device ran out of memory.
    """
    device = chosen_device(settings.device, settings.processes)
    last = out_dir / LAST
    continued = state_of(last).get("fingerprint") == key
    if not continued:
        for name in (BEST, CARD_NAME, LAST, HISTORY, TENSORBOARD):
            discard(out_dir / name)
    with seeded(settings.seed), quiet(), disk_errors():
        card = _card(dataset, settings)
        if settings.nodes > 1:
            call_the_others(out_dir, key, continued=continued)
        _trained(dataset, out_dir, settings, key, progress, card, device, continued=continued)
        dismiss(out_dir)
        discard(out_dir / FOLDER)
        card = _with_test_scores(dataset, out_dir, settings, device, key)
    state = state_of(last)
    history = tuple(Epoch(**values) for values in state["history"])
    return Outcome(card, history, int(state["best_epoch"]), len(history) < settings.max_epochs, continued)


def compute_along(
    dataset: PreparedDataset, out_dir: Path, settings: Train, key: str, *, continued: bool
) -> None:
    """Take part in a training that another process leads; nothing is written."""
    device = chosen_device(settings.device, settings.processes)
    with seeded(settings.seed), quiet():
        card = _card(dataset, settings)
        _trained(dataset, out_dir, settings, key, Silent(), card, device, continued=continued, leads=False)


def _trained(
    dataset: PreparedDataset,
    out_dir: Path,
    settings: Train,
    key: str,
    progress: Progress,
    card: ModelCard,
    device: torch.device,
    *,
    continued: bool,
    leads: bool = True,
) -> None:
    if continued and _has_stopped(state_of(out_dir / LAST), settings):
        return
    sides = {side: _tiles(dataset, side, settings) for side in ("train", "val")}
    steps = -(-len(sides["train"]) // settings.batch_size) * settings.max_epochs
    learner = _learner(dataset, settings, steps, key)
    loaders = _loaders(learner.to(device), sides, settings, out_dir, key, progress)
    batches = settings.max_epochs * sum(len(batches) for batches in loaders.values())
    alone = settings.processes * settings.nodes == 1
    with progress.bar("train", batches) as bar:
        callbacks: list[Callback] = [_Keeper(out_dir, card), *([_Ticker(bar)] if alone else [])]
        loggers = trackers(settings, out_dir, card.name) if leads else []
        trainer = _trainer(device, settings, callbacks, loggers)
        try:
            _fitted(trainer, learner, loaders, out_dir / LAST if continued else None)
        finally:
            if distributed.is_available() and distributed.is_initialized():
                distributed.destroy_process_group()


def _tiles(dataset: PreparedDataset, side: str, settings: Train) -> Tiles:
    return tiles_of(dataset, side, settings, training=side == "train")


def _loaders(
    learner: SegmentationLearner,
    sides: Mapping[str, Tiles],
    settings: Train,
    out_dir: Path,
    key: str,
    progress: Progress,
) -> dict[str, DataLoader[Batch]]:
    on_gpu = learner.device.type == "cuda"
    workers = settings.num_workers if settings.num_workers is not None else _workers(on_gpu)
    varied = min(settings.model.remembered_variations, settings.max_epochs)
    if not settings.use_data_augmentation:
        varied = min(varied, 1)
    shown: Mapping[str, Dataset[Batch]] = sides
    if settings.model.encoder_freeze and varied and settings.nodes == 1:
        encoder = learner.network.get_submodule("encoder")
        counts = {"train": varied, "val": 1}
        steps = sum(batches_to_remember(tiles, counts[side]) for side, tiles in sides.items())
        with progress.bar("remember", steps) as bar:
            shown = {
                side: remember(
                    encoder, learner.normalise, tiles, counts[side], out_dir / FOLDER / side, key, bar
                )
                for side, tiles in sides.items()
            }
    return {
        side: loader(
            shown[side], len(tiles), settings, training=side == "train", on_gpu=on_gpu, workers=workers
        )
        for side, tiles in sides.items()
    }


def chosen_device(wanted: str, processes: int = 1) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:<number>``, with several processes the first one.

    Raises:
        ConfigError: there is no such device, or there are fewer GPUs than processes.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        wanted = "cuda" if count else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and max((device.index or 0) + 1, processes) > count:
        asked = f"train.device is {wanted}" if processes == 1 else f"train.processes is {processes}"
        raise ConfigError(
            f"{asked}, but PyTorch sees {count} GPUs", "Set train.device=auto or train.device=cpu"
        )
    return device


def _workers(on_gpu: bool) -> int:
    return min(_MAX_WORKERS, os.cpu_count() or 1) if on_gpu else 0


def _learner(dataset: PreparedDataset, settings: Train, steps: int, key: str) -> SegmentationLearner:
    spec = architecture(settings, len(dataset.classes))
    network = build(spec)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.processes * settings.nodes > 1:
        share_norms(network)
    weights = loss_weights(settings.loss, dataset.class_weights)
    return SegmentationLearner(
        network, spec.classes, norm_of(dataset, settings, spec), settings, steps, key, weights
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
        normalization=norm_of(dataset, settings, spec),
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
        commit=git_commit() or "",
    )


def _trainer(
    device: torch.device, settings: Train, callbacks: list[Callback], loggers: list[Logger]
) -> Trainer:
    on_gpu = device.type == "cuda"
    several = settings.processes * settings.nodes > 1
    processes: int | list[int] = [device.index or 0] if on_gpu and not several else settings.processes
    return Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=processes,
        num_nodes=settings.nodes,
        strategy=_strategy(settings) if several else "auto",
        precision=_precision(settings.precision, on_gpu=on_gpu),
        gradient_clip_val=settings.optimizer.clip_norm,
        max_epochs=settings.max_epochs,
        callbacks=callbacks,
        logger=loggers,
        deterministic=True,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _strategy(settings: Train) -> Strategy:
    # Of a network with a frozen encoder most weights take no part.
    held = settings.model.encoder_freeze or settings.model.encoder_freeze_epochs > 0
    start: Literal["popen", "spawn"] = "popen" if settings.nodes > 1 else "spawn"
    return DDPStrategy(start_method=start, find_unused_parameters=held)


def _precision(wanted: str, *, on_gpu: bool) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    if wanted == "auto":
        return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    if wanted == "16-mixed" and not on_gpu:
        raise ConfigError(
            "train.precision 16-mixed needs a GPU", "Set train.precision=bf16-mixed or train.precision=32"
        )
    return "16-mixed" if wanted == "16-mixed" else "bf16-mixed" if wanted == "bf16-mixed" else "32-true"


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
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(f"a process of the training failed: {last}", "Start it again to continue.") from error


def state_of(last: Path) -> Mapping[str, Any]:
    """Return what a resume file says of its training; nothing where there is none or it is torn."""
    if not last.is_file():
        return {}
    try:
        content = load_plain(last)
    except ValueError:
        return {}
    return state_in(content) if isinstance(content, dict) else {}


def _has_stopped(state: Mapping[str, Any], settings: Train) -> bool:
    """Tell whether a training ended early and was killed before all was written down."""
    return _patience_is_over(settings.early_stop, len(state["history"]), int(state["best_epoch"]))


def _patience_is_over(stop: EarlyStop, epochs: int, best_epoch: int) -> bool:
    return stop.patience is not None and epochs - best_epoch >= stop.patience


class _Keeper(Checkpoint):
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
            card = replace(self._card, metrics=_metrics("val", best, classes))
            save_checkpoint(self._out_dir / BEST, learner.network, card)
        write_history(self._out_dir / HISTORY, learner.history, classes)
        epoch = learner.history[-1]
        for tracker in trainer.loggers:
            tracker.log_metrics(epoch.figures(classes), step=epoch.number)
            tracker.save()


class _Ticker(Callback):
    """Tells a progress bar of every batch."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def on_train_batch_end(self, *_: object) -> None:
        self._bar.advance()

    def on_validation_batch_end(self, *_: object) -> None:
        self._bar.advance()


def _metrics(side: str, scores: Scores, classes: tuple[str, ...]) -> dict[str, float]:
    found = {
        f"{side}_iou": scores.iou,
        f"{side}_dice": scores.dice,
        f"{side}_mean_iou": scores.mean_iou,
    }
    for name, iou, dice in zip(classes, scores.iou_by_class, scores.dice_by_class, strict=True):
        if iou is not None and dice is not None:
            found |= {f"{side}_iou.{name}": iou, f"{side}_dice.{name}": dice}
    return found


def _with_test_scores(
    dataset: PreparedDataset, out_dir: Path, settings: Train, device: torch.device, key: str
) -> ModelCard:
    network, card = load_checkpoint(out_dir / BEST)
    if not dataset.splits["test"]:
        return card
    tiles = tiles_of(dataset, "test", settings, training=False)
    learner = (
        SegmentationLearner(network, len(card.classes), card.normalization, settings, 1, key)
        .to(device)
        .eval()
    )
    scores = learner.score(DataLoader(tiles, settings.batch_size, sampler=in_order(len(tiles))))
    return save_checkpoint(
        out_dir / BEST,
        network,
        replace(card, metrics={**card.metrics, **_metrics("test", scores, card.classes)}),
    )
