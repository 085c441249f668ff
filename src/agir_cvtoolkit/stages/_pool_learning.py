"""Models that are trained on the labels of all rounds of a loop: predict, train, compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import RoundRow
from agir_cvtoolkit.runs import Run, read_json_object, write_json

from ._round_work import Figures, LoopPlace
from .evaluate import OUTPUT, evaluate


class Learning(Protocol):
    """What differs between kinds of models.

    Attributes:
        pushing: overrides of ``upload-cvat``.
    """

    pushing: tuple[str, ...]

    def predict(self, run: Run, version: str) -> None:
        """Predict the pool in the run of a round, by a model of the ledger or without one."""
        ...

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Train on the labels of some rounds, in the run of the newest."""
        ...

    def evaluate(self, row: RoundRow) -> Figures:
        """Compare a round's model with the champion."""
        ...


class SegmentationLearning:
    """Segmentation: ``infer-seg``, ``train``, ``evaluate``.

    Args:
        place: where the loop works.
    """

    pushing: tuple[str, ...] = ()

    def __init__(self, place: LoopPlace) -> None:
        self._place = place

    def predict(self, run: Run, version: str) -> None:
        """Predict the pool; without a model by what is configured, which is ``excess_green``."""
        from .infer_seg import infer_seg

        model: tuple[str, ...] = ()
        if version:
            path = checkpoint_path(self._place, version)
            model = ("seg_inference.model.predictor=null", f"seg_inference.model.ckpt_path='{path}'")
        infer_seg(self._place.calling(run.run_id, "seg_inference.output.save_images=true", *model))

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Train on all that came back; what is tested on is laid down in a list."""
        from .train import train

        overrides = self._learned_from(row, rounds)
        trained = train(self._place.calling(row.run_id, *overrides))
        return {"version": trained.version, "learned": trained.train_samples, "val_iou": trained.best_val_iou}

    def evaluate(self, row: RoundRow) -> Figures:
        """Compare a round's model with the champion."""
        return judged(self._place, row, "test_mean_iou")

    def _learned_from(self, row: RoundRow, rounds: Sequence[RoundRow]) -> tuple[str, ...]:
        from ._dataset_pairs import find_pairs

        loop, split = self._place.settings.loop, self._place.settings.preprocess.split
        run = self._place.run(row.run_id)
        others = [one.run_id for one in rounds if one.number != row.number]
        others += [loop.test_run] if loop.test_run is not None else []
        runs = f"preprocess.source.runs=[{','.join(repr(name) for name in others)}]"
        pairs = find_pairs(run, self._place.calling(row.run_id, runs).settings()).pairs
        there = {pair.record_id for pair in pairs}
        tested = {name for one in rounds for name in one.figures.get("tested", ())} & there
        if loop.test_run is not None:
            alone = find_pairs(self._place.run(loop.test_run), self._place.settings).pairs
            contents = {pair.sha256 for pair in alone}
            tested = {pair.record_id for pair in pairs if pair.sha256 in contents}
        if not tested:
            raise DataError(
                f"loop {self._place.name} has no picture to test its models on",
                "Name a run of labelled pictures as loop.test_run, or let the first round be drawn at random"
                " (loop.cold_start=random).",
            )
        listed = run.path("loop", "sides.json")
        write_json(listed, {"test": sorted(tested)})
        return (
            runs,
            f"preprocess.split.listed='{listed}'",
            f"preprocess.split.train={1 - split.val:.6g}",
            "preprocess.split.test=0.0",
        )


def judged(place: LoopPlace, row: RoundRow, metric: str) -> Figures:
    """Compare the model of a round with the champion, and return what the round says of it.

    Args:
        place: where the loop works.
        row: of the round.
        metric: that a loop's target is about.
    """
    run = place.run(row.training_run)
    version = str(row.figures.get("version", ""))
    known = read_json_object(run.path(OUTPUT, "evaluation.json"))
    if row.state != "evaluated" or known.get("challenger", {}).get("version") != version:
        evaluate(call=place.calling(run.run_id))
        known = read_json_object(run.path(OUTPUT, "evaluation.json"))
    mine = known["challenger"]["metrics"].get(metric)
    theirs = (known.get("champion") or {}).get("metrics", {}).get(metric)
    takes_over = known["verdict"]["outcome"] in {"better", "first"}
    return {
        "score": mine,
        "champion_score": mine if takes_over else theirs,
        "outcome": known["verdict"]["outcome"],
        "difference": known["verdict"]["difference"],
        "words": known["words"],
        "test_pictures": known["pictures"],
        "takes_over": takes_over,
    }


def checkpoint_path(place: LoopPlace, version: str) -> str:
    """Return where a model lies.

    Raises:
        DataError: the ledger does not know it.
    """
    model = place.ledger.model(version)
    if model is None:
        raise DataError(f"the ledger knows no model {version}", "See: agir-cvtoolkit models list")
    return model.path
