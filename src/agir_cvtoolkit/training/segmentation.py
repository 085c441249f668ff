"""Training of a segmentation network: a data set in, ``best.pth`` and ``card.json`` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.errors import CheckpointError, DataError
from agir_cvtoolkit.models.card import CARD_NAME, ArchSpec, ModelCard, encoder_name, read_card
from agir_cvtoolkit.models.libraries import require_lightning
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.runs import discard, fingerprint, read_json_object, write_json

from .dataset import open_dataset
from .history import Epoch
from .nodes import call_the_others, wait_for_the_first

if TYPE_CHECKING:
    from .dataset import PreparedDataset

BEST, LAST, HISTORY, FINISHED = "best.pth", "last.ckpt", "history.csv", "training.json"
_REVISION = 3


@dataclass(frozen=True)
class TrainResult:
    """What `fit` made.

    Attributes:
        best_path: checkpoint of the epoch with the best IoU on val.
        card_path: its card.
        card: what it says; its metrics hold val and, where there is a test split, test scores.
        epochs: that were trained.
        best_epoch: from 1.
        best_val_iou, best_val_dice: means over the foreground classes, counted over all of val.
        history: epoch by epoch.
        stopped_early: ended by ``train.early_stop`` before ``train.max_epochs``.
        state: ``trained``, ``continued`` after an earlier kill, or ``unchanged``: nothing was left to do.
        warning: of the data set, or empty.
    """

    best_path: Path
    card_path: Path
    card: ModelCard
    epochs: int
    best_epoch: int
    best_val_iou: float
    best_val_dice: float
    history: tuple[Epoch, ...]
    stopped_early: bool
    state: str
    warning: str = ""


def check_settings(dataset_dir: Path, out_dir: Path, settings: Train) -> None:
    """Refuse before anything is touched what `fit` would refuse.

    Raises:
        MissingExtraError, ConfigError, DataError: as `fit` does.
    """
    dataset = open_dataset(dataset_dir)
    if _finished(out_dir, training_key(dataset.fingerprint, settings), dataset) is None:
        require_lightning("Training")
        from .trainer import check_training

        check_training(dataset, settings)


def fit(dataset_dir: Path, out_dir: Path, settings: Train, progress: Progress | None = None) -> TrainResult:
    """Train a network, or continue a training that was killed, or find that it is finished already.

    The same data set, settings and device give the same weights, interrupted in between or not.

    Args:
        dataset_dir: made by `preprocess.prepare`.
        out_dir: usually ``model/`` of a run; gets ``best.pth``, ``card.json``, ``history.csv`` and, while
            training, ``last.ckpt``.
        settings: the group ``train``.
        progress: told batch by batch.

    Raises:
        MissingExtraError: torch, Lightning or the encoder's package is not installed.
        ConfigError: unknown architecture or encoder, or a device that is not there.
        DataError: no data set, a damaged one, or a training that diverged.
        InterruptedByUser: Ctrl-C; the next call continues.
    """
    dataset = open_dataset(dataset_dir)
    key = training_key(dataset.fingerprint, settings)
    earlier = _finished(out_dir, key, dataset)
    if earlier is not None:
        if settings.nodes > 1:
            call_the_others(out_dir, key, continued=False, finished=True)
        return earlier
    require_lightning("Training")
    from .trainer import run_training

    outcome = run_training(dataset, out_dir, settings, key, progress or Silent())
    content = {
        "fingerprint": key,
        "version": outcome.card.version,
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "history": [asdict(epoch) for epoch in outcome.history],
    }
    write_json(out_dir / FINISHED, content)
    discard(out_dir / LAST)
    state = "continued" if outcome.continued else "trained"
    return _result(out_dir, outcome.card, content, state, dataset.warning)


def follow(dataset_dir: Path, out_dir: Path, settings: Train) -> None:
    """Compute in a training on several machines that the first process leads; returns when it has ended.

    Raises:
        DataError: this machine has another configuration than the first one.
    """
    require_lightning("Training")
    from .trainer import compute_along

    start = wait_for_the_first(out_dir)
    if start.finished:
        return
    dataset = open_dataset(dataset_dir)
    if training_key(dataset.fingerprint, settings) != start.key:
        raise DataError(
            "this process trains with another data set or other settings than the first one",
            "Start the same command on every machine, on the same files.",
        )
    compute_along(dataset, out_dir, settings, start.key, continued=start.continued)


def training_key(dataset: str, settings: Train) -> str:
    """Return what a training is known by: the data set's fingerprint and the settings that shape the model."""
    return fingerprint(
        _REVISION, dataset, settings.model_dump(mode="json", exclude={"num_workers", "tracking"})
    )


def architecture(settings: Train, classes: int) -> ArchSpec:
    """Return the network that the settings ask for; names compare without case."""
    model = settings.model
    return ArchSpec(
        name=model.arch_name.lower(),
        encoder=encoder_name(model.encoder_name),
        classes=classes,
        encoder_weights=model.encoder_weights,
    )


def _finished(out_dir: Path, key: str, dataset: PreparedDataset) -> TrainResult | None:
    try:
        content = read_json_object(out_dir / FINISHED)
        if content.get("fingerprint") != key or not (out_dir / BEST).is_file():
            return None
        card = read_card(out_dir / CARD_NAME)
        if card.version != content.get("version"):
            return None
        return _result(out_dir, card, content, "unchanged", dataset.warning)
    except (CheckpointError, DataError, KeyError, TypeError):
        return None


def _result(
    out_dir: Path, card: ModelCard, content: Mapping[str, Any], state: str, warning: str
) -> TrainResult:
    history = tuple(Epoch(**values) for values in content["history"])
    return TrainResult(
        best_path=out_dir / BEST,
        card_path=out_dir / CARD_NAME,
        card=card,
        epochs=len(history),
        best_epoch=int(content["best_epoch"]),
        best_val_iou=card.metrics["val_iou"],
        best_val_dice=card.metrics["val_dice"],
        history=history,
        stopped_early=bool(content["stopped_early"]),
        state=state,
        warning=warning,
    )
