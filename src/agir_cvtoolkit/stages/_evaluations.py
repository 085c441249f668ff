"""What runs found when they tested their models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import Run, read_json_object

_MAIN = {"segmentation": ("test_iou", "IoU"), "pose": ("test_mean_pck", "mean PCK")}


@dataclass(frozen=True)
class Tested:
    """A model on a test set.

    Attributes:
        quality: the main figure of its kind, in [0, 1].
        low, high: its 95 % interval over pictures; None of too few.
    """

    version: str
    quality: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RunEvaluation:
    """The newest evaluation of a run.

    Attributes:
        figure: name of the main figure.
        test_set: hash of its pictures.
        pictures: how many there are.
        outcome: of the verdict; see `agir_cvtoolkit.stages._comparison.Verdict`.
        words: the verdict for people.
        labels: pictures that the model learned from or was chosen by; None where unknown.
        incumbent: name of what stands in `champion` where no model was in service; empty where it is a model.
        bins: of the reliability diagram: pixels, summed confidences, hits of each bin; empty of poses.
        ece: expected calibration error; None of poses.
    """

    run_id: str
    kind: str
    figure: str
    test_set: str
    pictures: int
    challenger: Tested
    champion: Tested | None
    outcome: str
    words: str
    labels: int | None
    incumbent: str = ""
    bins: tuple[tuple[int, float, int], ...] = ()
    ece: float | None = None


def read_evaluation(run: Run, labels: int | None) -> RunEvaluation | None:
    """Return the evaluation that lies in a run; None where there is none, or it is damaged.

    Args:
        run: that trained the model.
        labels: pictures that its model learned from.
    """
    try:
        found = read_json_object(run.path("evaluation", "evaluation.json"))
        main, figure = _MAIN[found["kind"]]
        challenger = _tested(found["challenger"], main)
        if challenger is None:
            return None
        reliability: dict[str, Sequence[Any]] = found["challenger"].get("reliability") or {}
        bins = tuple(
            (int(count), float(sure), int(hit))
            for count, sure, hit in zip(
                *(reliability.get(name, ()) for name in ("counts", "confidences", "hits")), strict=True
            )
        )
        return RunEvaluation(
            run_id=run.run_id,
            kind=found["kind"],
            figure=figure,
            test_set=str(found["test_set"]),
            pictures=int(found["pictures"]),
            challenger=challenger,
            champion=_tested(found["champion"], main) if found.get("champion") else None,
            outcome=str(found["verdict"]["outcome"]),
            words=str(found.get("words", "")),
            labels=labels,
            incumbent=str(found.get("incumbent", "")),
            bins=bins,
            ece=found["challenger"]["metrics"].get("test_ece"),
        )
    except (DataError, KeyError, TypeError, ValueError):
        return None


def _tested(model: dict[str, Any], main: str) -> Tested | None:
    quality = model["metrics"].get(main)
    if not isinstance(quality, int | float):
        return None
    low, high = model.get("interval") or (None, None)
    return Tested(str(model["version"]), float(quality), low, high)
