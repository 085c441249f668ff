"""The run of Lightning's trainer: seeded, quiet, continued after a kill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from torch import distributed
from torch.utils.data import DataLoader, Dataset

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.models.card import CARD_NAME, ModelCard, TrainedOn
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.runs import discard, git_commit

from .batches import Batch, Tiles, in_order, loader, tiles_of
from .dataset import PreparedDataset
from .fitting import chosen_device, chosen_precision, fit_all, trainer_for
from .history import Epoch
from .keeping import Keeper, Ticker, figures_of, has_stopped, state_of
from .learner import SegmentationLearner
from .losses import loss_weights
from .nodes import call_the_others, dismiss
from .normalization import norm_of
from .remembered import FOLDER, batches_to_remember, remember
from .segmentation import BEST, HISTORY, LAST, architecture
from .shared import share_norms
from .surroundings import disk_errors, quiet, seeded
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
    chosen_precision(settings.precision, on_gpu=device.type == "cuda")
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
    if continued and has_stopped(state_of(out_dir / LAST), settings):
        return
    sides = {side: _tiles(dataset, side, settings) for side in ("train", "val")}
    steps = -(-len(sides["train"]) // settings.batch_size) * settings.max_epochs
    learner = _learner(dataset, settings, steps, key)
    loaders = _loaders(learner.to(device), sides, settings, out_dir, key, progress)
    batches = settings.max_epochs * sum(len(batches) for batches in loaders.values())
    alone = settings.processes * settings.nodes == 1
    with progress.bar("train", batches) as bar:
        callbacks: list[Callback] = [Keeper(out_dir, card), *([Ticker(bar)] if alone else [])]
        loggers = trackers(settings, out_dir, card.name) if leads else []
        trainer = trainer_for(device, settings, callbacks, loggers)
        try:
            fit_all(trainer, learner, loaders, out_dir / LAST if continued else None)
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
        replace(card, metrics={**card.metrics, **figures_of("test", scores, card.classes)}),
    )
