"""What an evaluation is made of, whatever the kind of model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import CheckpointError, NoRunError

if TYPE_CHECKING:
    from agir_cvtoolkit.ledger import ModelRow
    from agir_cvtoolkit.models.card import ModelCard
    from agir_cvtoolkit.runs import Run
    from agir_cvtoolkit.training.calibration import Reliability


@dataclass(frozen=True, eq=False)
class Judged:
    """How one model did on a test set.

    Attributes:
        metrics: by name, in [0, 1]; larger is better, of ``ece`` smaller.
        parts: the main figure by class or joint.
        counts: float64 of shape (pictures, counts), for `compare`.
        reliability: of a segmentation model.
        worst: names of the tiles that it does worst on, with the share of their pixels that are wrong.
    """

    metrics: Mapping[str, float]
    parts: Mapping[str, float]
    counts: NDArray[np.float64]
    reliability: Reliability | None = None
    worst: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class ModelScores:
    """A model and how it did.

    Attributes:
        metrics: by name, in [0, 1]; larger is better, of ``ece`` smaller.
        parts: the main figure by class or joint.
        reliability: of a segmentation model.
        worst: names of the tiles that it does worst on, with the share of their pixels that are wrong.
        interval: of the main figure, over pictures; None of too few.
    """

    version: str
    name: str
    path: Path
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    parts: Mapping[str, float] = field(default_factory=dict, hash=False)
    reliability: Reliability | None = None
    worst: tuple[tuple[str, float], ...] = ()
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Incumbent:
    """What proposes while no model is in service.

    Attributes:
        name: of it, for people.
        judge: says how it does on a test set: tiles by picture of a segmentation model, samples of a pose model.
        learned_from: version of the data set that it learned from, empty where unknown; None where it never learned.
    """

    name: str
    judge: Callable[[Any], Judged]
    learned_from: str | None = None


def card_of(path: Path) -> ModelCard:
    """Return the card inside a checkpoint of this package, of either kind.

    Raises:
        CheckpointError: the file is no checkpoint of ours.
        MissingExtraError: torch is not installed.
    """
    from agir_cvtoolkit.models.libraries import require_torch

    require_torch("Opening a trained model")
    from agir_cvtoolkit.models.checkpoint import checkpoint_card

    return checkpoint_card(path.resolve())


def checkpoint_of(run: Run) -> Path:
    """Return the model that a run trained.

    Raises:
        NoRunError: it has none.
    """
    path = run.path("model", "best.pth")
    if not path.is_file():
        raise NoRunError(f"run {run.run_id} has no model/best.pth", "Train first: agir-cvtoolkit train")
    return path


def champion_path(champion: ModelRow) -> Path:
    """Return where the model in service lies.

    Raises:
        CheckpointError: it is gone.
    """
    path = Path(champion.path)
    if not path.is_file():
        raise CheckpointError(
            f"the champion {champion.version} is no longer at {path}",
            "Promote a model again: agir-cvtoolkit promote MODEL --force",
        )
    return path
