"""The learners of a simulation, and what select would know of their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.inference.scores import SINGLE_PASS, ScoreGrid
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.training.frozen_features import FrozenFeatures
from agir_cvtoolkit.training.frozen_head import ColumnHead
from agir_cvtoolkit.training.frozen_joints import JointLearner, pose_scores
from agir_cvtoolkit.training.frozen_pixels import PixelLearner

from ._simulate_look import Variations
from ._simulate_units import Units

Column = NDArray[np.float32]
_THRESHOLD, _TOP = 0.5, 0.01
"""As ``infer-seg`` has them by default."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What is known of units that are not labelled, float32 of shape (n,) each.

    Attributes:
        scores: by name; ``uncertainty`` is the one that ``select`` goes by where nobody says otherwise.
        classes: predicted share by class, without the background; empty for poses.
    """

    scores: Mapping[str, Column] = field(default_factory=dict)
    classes: Mapping[str, Column] = field(default_factory=dict)


class Learner(Protocol):
    """Trains a small model, judges it on the test set, and looks at units with it."""

    def learn(self, members: Sequence[int], seed: int) -> ColumnHead:
        """Train on some units of the pool."""

    def judged(self, head: ColumnHead, tested: Sequence[int]) -> tuple[float, Mapping[str, float | None]]:
        """Return the score on some units to test on, and the same by class or joint."""

    def looked(self, head: ColumnHead, members: Sequence[int]) -> Looked:
        """Predict on some units of the pool."""


class Pixels:
    """Masks: mean IoU over all classes that occur, the background included."""

    def __init__(self, units: Units, store: Path) -> None:
        everything = (*units.pool, *units.test)
        labels = [unit.cells for unit in everything if unit.cells is not None]
        self._learner = PixelLearner(
            FrozenFeatures(store),
            [unit.key for unit in everything],
            labels,
            len(units.classes),
            varied=Variations(units.pool, units.opening, units.encoder, store),
        )
        self._classes = units.classes
        self._first_tested = len(units.pool)
        # What select goes by: of regions the mean doubt of all pixels, of pictures what the manifest says.
        self._plain = "amount" if any(unit.region for unit in units.pool) else "entropy"

    def learn(self, members: Sequence[int], seed: int) -> ColumnHead:
        """Train on some units of the pool."""
        return self._learner.learn(members, seed)

    def judged(self, head: ColumnHead, tested: Sequence[int]) -> tuple[float, Mapping[str, float | None]]:
        """Return the score on some units to test on, and the same by class."""
        found = self._learner.score(head, [self._first_tested + place for place in tested])
        by_class = zip(self._classes, found.iou_by_class, strict=True)
        return round(found.mean_iou, 6), {n: None if v is None else round(v, 6) for n, v in by_class}

    def looked(self, head: ColumnHead, members: Sequence[int]) -> Looked:
        """Predict on some units of the pool."""
        count = len(self._classes)
        rows: list[Mapping[str, float]] = []
        shares = np.zeros((len(members), count), dtype=np.float32)
        for place, planes in enumerate(self._learner.probabilities(head, members)):
            grid = ScoreGrid((planes.shape[1], planes.shape[2]), _THRESHOLD, _TOP)
            grid.add(0, planes)
            rows.append(grid.scores(count, (), SINGLE_PASS))
            found = np.bincount(planes.argmax(axis=0).reshape(-1), minlength=count)
            shares[place] = found / found.sum()
        scores = _columns(rows)
        return Looked(
            scores | {"uncertainty": scores[self._plain]},
            dict(zip(self._classes[1:], shares.T[1:], strict=True)),
        )


class Joints:
    """Poses: PCK at 5 %."""

    def __init__(self, units: Units, schema: JointSchema, store: Path) -> None:
        everything = (*units.pool, *units.test)
        poses = [unit.pose for unit in everything if unit.pose is not None]
        self._learner = JointLearner(FrozenFeatures(store), poses, schema)
        self._first_tested = len(units.pool)

    def learn(self, members: Sequence[int], seed: int) -> ColumnHead:
        """Train on some units of the pool."""
        return self._learner.learn(members, seed)

    def judged(self, head: ColumnHead, tested: Sequence[int]) -> tuple[float, Mapping[str, float | None]]:
        """Return the score on some units to test on, and the same by joint."""
        scores = self._learner.score(head, [self._first_tested + place for place in tested])
        return round(scores.pck[0.05], 6), {n: round(v, 6) for n, v in scores.per_joint.items()}

    def looked(self, head: ColumnHead, members: Sequence[int]) -> Looked:
        """Predict on some units of the pool."""
        scores = _columns([pose_scores(pose) for pose in self._learner.poses(head, members)])
        return Looked(scores | {"uncertainty": scores["confidence"]})


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Column]:
    return {n: np.array([row[n] for row in rows], dtype=np.float32) for n in rows[0]} if rows else {}
