"""``train``: a model from the run's data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import DATA_SET, Run
from agir_cvtoolkit.training.dataset import STATS, open_dataset
from agir_cvtoolkit.training.nodes import rank
from agir_cvtoolkit.training.segmentation import TrainResult, check_settings, fit, follow, training_key

from ._call import Call
from ._models import record_retired, record_trained
from ._training_pictures import WORST, draw_curves, draw_scores
from .preprocess import preprocess

STAGE = "train"
PICTURES = "pictures"
"""Folder in ``model/`` with the curves, the reliability diagram and the worst tiles."""
OUTPUTS = ("model",)
"""What the stage owns in a run; it moves to ``history/`` when another data set or configuration is trained."""


@dataclass(frozen=True)
class TrainStageResult:
    """What ``train`` made.

    Attributes:
        best_checkpoint: epoch with the best IoU on the validation split, as ``model/best.pth``.
        best_val_iou, best_val_dice: means over the foreground classes.
        state: ``trained``, ``continued`` after a kill, or ``unchanged``; ``followed`` where another machine led it.
        items: records that did not reach the data set.
        figures: on the validation split, such as ``val_boundary_f1.crop`` and ``val_ece``.
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
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)

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
    if settings.train.nodes > 1 and rank() > 0:
        follow(run.path("dataset"), run.path("model"), settings.train)
        return replace(_planned(run, settings, ()), state="followed", dry_run=False)
    with call.work(run, STAGE), run.lock(DATA_SET):
        items = _preprocessed(run, settings, call)
        dataset = open_dataset(run.path("dataset"))
        check_settings(run.path("dataset"), run.path("model"), settings.train)
        key = training_key(dataset.fingerprint, settings.train)
        stage_pass = run.begin(STAGE, key, OUTPUTS)
        record_retired(run, settings.io.ledger_url, settings.io.out_root)
        call.record_config(run, STAGE, settings, settings.dump("train", "preprocess", "io"))
        found = fit(run.path("dataset"), run.path("model"), settings.train, call.progress)
        samples = {side: len(tiles) for side, tiles in dataset.splits.items()}
        result = _result(run, found, samples, items, _judged(run, found, settings, call))
        _write_metrics(run, result, found, stage_pass.number)
        run.finish(stage_pass)
        with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
            record_trained(ledger, run, settings.io.out_root, found.card)
    return result


def _judged(run: Run, found: TrainResult, settings: Settings, call: Call) -> Mapping[str, float]:
    """Return the figures on val that are not counted while training, and draw the pictures of the training."""
    folder = run.path("model", PICTURES)
    told = run.read_metrics(STAGE)
    if (
        found.state == "unchanged"
        and (folder / WORST).is_file()
        and told.get("version") == found.card.version
    ):
        return {str(name): float(value) for name, value in told["figures"].items()}
    from ._evaluation import ModelScores
    from ._segmentation_evaluation import judge_segmentation, tiles_by_picture

    dataset, card, device = open_dataset(run.path("dataset")), found.card, settings.seg_inference.device
    judged = judge_segmentation(
        found.best_path, dataset, tiles_by_picture(dataset, "val"), device, call.progress, "val"
    )
    draw_curves(folder, found.history, card.classes)
    scores = ModelScores(
        card.version,
        card.name,
        found.best_path,
        judged.metrics,
        judged.parts,
        judged.reliability,
        judged.worst,
    )
    draw_scores(folder, scores, dataset, device)
    return {**judged.metrics, **{f"val_iou.{name}": iou for name, iou in judged.parts.items()}}


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
    run: Run,
    found: TrainResult,
    samples: dict[str, int],
    items: tuple[Item, ...],
    figures: Mapping[str, float],
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
        figures=figures,
    )


def _write_metrics(run: Run, result: TrainStageResult, found: TrainResult, number: int) -> None:
    content = asdict(result)
    for name in ("run_id", "dry_run"):
        content.pop(name)
    content["epochs"] = [asdict(epoch) for epoch in found.history]
    run.write_metrics(STAGE, content, number=number)
