"""``train``: a model from the run's data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import DATA_SET, Run
from agir_cvtoolkit.training.dataset import STATS, open_dataset
from agir_cvtoolkit.training.segmentation import TrainResult, fit, training_key

from ._call import Call
from ._models import record_retired, record_trained
from .preprocess import preprocess

STAGE = "train"
OUTPUTS = ("model",)
"""What the stage owns in a run; it moves to ``history/`` when another data set or configuration is trained."""


@dataclass(frozen=True)
class TrainStageResult:
    """What ``train`` made.

    Attributes:
        best_checkpoint: epoch with the best IoU on the validation split, as ``model/best.pth``.
        best_val_iou, best_val_dice: means over the foreground classes.
        state: ``trained``, ``continued`` after a kill, or ``unchanged``.
        items: records that did not reach the data set.
    """

    run_id: str
    best_checkpoint: Path
    card_path: Path
    model: str
    version: str
    epochs_completed: int
    best_epoch: int
    best_val_iou: float
    best_val_dice: float
    train_samples: int
    val_samples: int
    state: str
    warning: str
    items: tuple[Item, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where records did not reach the data set."""
        return 1 if self.items else 0


def train(call: Call | None = None) -> TrainStageResult:
    """Train a model on the run's data set, preprocessing first.

    The same data set and settings are not trained twice; a training that was killed is continued.

    Raises:
        NoRunError: there is neither a data set nor finished work from CVAT.
        MissingExtraError: torch or Lightning is not installed.
        DataError: the data set cannot be trained on.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    if call.dry_run:
        return _planned(run, settings, _preprocessed(run, settings, call))
    with call.work(run, STAGE), run.lock(DATA_SET):
        items = _preprocessed(run, settings, call)
        dataset = open_dataset(run.path("dataset"))
        key = training_key(dataset.fingerprint, settings.train)
        stage_pass = run.begin(STAGE, key, OUTPUTS)
        record_retired(run, settings.io.ledger_url, settings.io.out_root)
        call.record_config(run, STAGE, settings, settings.dump("train", "preprocess", "io"))
        found = fit(run.path("dataset"), run.path("model"), settings.train, call.progress)
        samples = {side: len(tiles) for side, tiles in dataset.splits.items()}
        result = _result(run, found, samples, items)
        _write_metrics(run, result, found, stage_pass.number)
        run.finish(stage_pass)
        with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
            record_trained(ledger, run, settings.io.out_root, found.card)
    return result


def _preprocessed(run: Run, settings: Settings, call: Call) -> tuple[Item, ...]:
    there = run.path("dataset", STATS).is_file()
    if not settings.train.auto_preprocess and there:
        return ()
    try:
        return preprocess(call).items
    except NoRunError:
        if there:
            return ()
        raise


def _planned(run: Run, settings: Settings, items: tuple[Item, ...]) -> TrainStageResult:
    name = f"{settings.train.model.arch_name}-{settings.train.model.encoder_name}"
    best, card = run.path("model", "best.pth"), run.path("model", "card.json")
    return TrainStageResult(
        run.run_id, best, card, name, "", 0, 0, 0.0, 0.0, 0, 0, "planned", "", items, dry_run=True
    )


def _result(
    run: Run, found: TrainResult, samples: dict[str, int], items: tuple[Item, ...]
) -> TrainStageResult:
    return TrainStageResult(
        run_id=run.run_id,
        best_checkpoint=found.best_path,
        card_path=found.card_path,
        model=found.card.name,
        version=found.card.version,
        epochs_completed=found.epochs,
        best_epoch=found.best_epoch,
        best_val_iou=found.best_val_iou,
        best_val_dice=found.best_val_dice,
        train_samples=samples["train"],
        val_samples=samples["val"],
        state=found.state,
        warning=found.warning,
        items=items,
    )


def _write_metrics(run: Run, result: TrainStageResult, found: TrainResult, number: int) -> None:
    content = asdict(result)
    for name in ("run_id", "dry_run"):
        content.pop(name)
    content["epochs"] = [asdict(epoch) for epoch in found.history]
    run.write_metrics(STAGE, content, number=number)
