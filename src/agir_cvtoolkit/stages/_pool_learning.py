"""Models that are trained on the labels of all rounds of a loop: predict, train, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import RoundRow
from agir_cvtoolkit.runs import Run, read_json_object, write_json

from ._comparison import TAKES_OVER
from ._round_work import Figures, LoopPlace
from .evaluate import OUTPUT, evaluate

if TYPE_CHECKING:
    from agir_cvtoolkit.training.pairs import Pair

    from ._evaluation import Incumbent


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

    def evaluate(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Compare a round's model with the champion, or with what has proposed before there was one."""
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

    def evaluate(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Compare a round's model with the champion, the first ones with the configured predictor."""

        def incumbent() -> Incumbent:
            from ._round_incumbent import configured_predictor

            _, pairs = self._pairs(row, rounds)
            place = self._place
            wholes = self._wholes(rounds)
            return configured_predictor(
                place.run(row.training_run), pairs, wholes, place.settings, place.call.progress
            )

        return judged(self._place, row, "test_mean_iou", incumbent)

    def _wholes(self, rounds: Sequence[RoundRow]) -> dict[str, Path]:
        """Return the pictures that regions were cut from, by record."""
        from ._mask_candidates import image_of

        if self._place.settings.select.unit == "picture":
            return {}
        runs = [self._place.run(one.run_id) for one in rounds]
        found = {entry.record_id: image_of(run, entry) for run in runs for entry in run.read_manifest()}
        return {record_id: path for record_id, path in found.items() if path is not None}

    def _pairs(self, row: RoundRow, rounds: Sequence[RoundRow]) -> tuple[str, tuple[Pair, ...]]:
        """Return what has come back, and the setting that says where."""
        from ._dataset_pairs import find_pairs

        test_run = self._place.settings.loop.test_run
        others = [one.run_id for one in rounds if one.number != row.number]
        others += [test_run] if test_run is not None else []
        runs = f"preprocess.source.runs=[{','.join(repr(name) for name in others)}]"
        run = self._place.run(row.run_id)
        return runs, find_pairs(run, self._place.calling(row.run_id, runs).settings()).pairs

    def _learned_from(self, row: RoundRow, rounds: Sequence[RoundRow]) -> tuple[str, ...]:
        from ._dataset_pairs import find_pairs

        loop, split = self._place.settings.loop, self._place.settings.preprocess.split
        run = self._place.run(row.run_id)
        runs, pairs = self._pairs(row, rounds)
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


def judged(place: LoopPlace, row: RoundRow, metric: str, incumbent: Callable[[], Incumbent]) -> Figures:
    """Compare the model of a round with the champion, and return what the round says of it.

    Args:
        place: where the loop works.
        row: of the round.
        metric: that a loop's target is about.
        incumbent: gives what has proposed, for a loop in which no model is in service.
    """
    run = place.run(row.training_run)
    version = str(row.figures.get("version", ""))
    known = read_json_object(run.path(OUTPUT, "evaluation.json"))
    if row.state != "evaluated" or known.get("challenger", {}).get("version") != version:
        asked = incumbent if place.settings.loop.judge_first else None
        evaluate(call=place.calling(run.run_id), incumbent=asked)
        known = read_json_object(run.path(OUTPUT, "evaluation.json"))
    mine = score_of(known["challenger"], metric)
    takes_over = known["verdict"]["outcome"] in TAKES_OVER
    return {
        "score": mine,
        "champion_score": mine if takes_over else score_of(known.get("champion"), metric),
        "outcome": known["verdict"]["outcome"],
        "difference": known["verdict"]["difference"],
        "words": known["words"],
        "test_pictures": known["pictures"],
        "takes_over": takes_over,
        **incumbent_of(known, metric),
    }


def score_of(model: Mapping[str, Any] | None, metric: str) -> float | None:
    """Return a figure of a model of an evaluation; None where there is none."""
    found: float | None = (model or {}).get("metrics", {}).get(metric)
    return found


def incumbent_of(known: Mapping[str, Any], metric: str) -> Figures:
    """Return what a round says of an evaluation against what has proposed while no model was in service.

    Args:
        known: the evaluation as it lies in its run.
        metric: that a loop's target is about.
    """
    if not known.get("incumbent"):
        return {}
    verdict = known["verdict"]
    return {
        "incumbent": known["incumbent"],
        "incumbent_score": score_of(known["champion"], metric),
        "interval": [verdict["low"], verdict["high"]],
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
