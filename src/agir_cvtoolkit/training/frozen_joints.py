"""A pose model over frozen maps that is trained in seconds: the learner of simulations, for joints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from agir_cvtoolkit.config._pose import PoseTrain
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.heatmap import heatmap_loss, place_probabilities
from agir_cvtoolkit.models.heatmap_decoding import Decoded, decode, place_targets
from agir_cvtoolkit.models.pose_crop import crop_around
from agir_cvtoolkit.poses import Keypoint, Pose, joint_doubt, overall_confidence

from .frozen_features import RGB, FrozenFeatures, tensors
from .frozen_head import Averaged, ColumnHead, chance
from .pose_samples import PoseSample, PoseView, points_of, view_of
from .pose_scores import PoseScores, score_poses

_EMPTY = -8.0
"""Where place logits start, as those of `models.heatmap`."""
_ABSENT_BELOW = 0.05


@dataclass(frozen=True)
class JointSettings:
    """How the head learns.

    Attributes:
        width: of its hidden layers.
        steps: times that the weights are changed.
        batch: views of each step.
        lr: highest rate; it rises and falls once.
        weight_decay: of AdamW.
        variations: ways in which each picture is shown, beside the plain one.
        shown: size, width of joints and strength of variations, as of the training of pose models.
    """

    width: int = 32
    steps: int = 150
    batch: int = 4
    lr: float = 4e-3
    weight_decay: float = 1e-2
    variations: int = 3
    shown: PoseTrain = field(default_factory=PoseTrain)


@dataclass(frozen=True, eq=False)
class PoseUnit:
    """One picture with its true pose, as learners see it.

    Attributes:
        sample: with the true pose.
        keys: of the maps of its views, the plain one first.
        views: joints of each view in pixels of the network's input, float64 (joints, 2), NaN where there is none.
        hidden: of each view, float32 (joints,).
    """

    sample: PoseSample
    keys: tuple[str, ...]
    views: tuple[NDArray[np.float64], ...]
    hidden: tuple[NDArray[np.float32], ...]


def views_of(sample: PoseSample, rgb: RGB, schema: JointSchema, settings: JointSettings) -> list[PoseView]:
    """Return how a picture is shown: whole and plain, then varied.

    Whole, since nobody knows where the animal is before it is labelled.

    Args:
        sample: with its pose.
        rgb: its pixels.
        schema: the joints.
        settings: of the learner.
    """
    shown = settings.shown
    size = shown.model.input_size
    crop = crop_around(None, sample.size, size, shown.model.padding)
    plain = view_of(sample, rgb, schema, shown, None)
    found = [PoseView(crop.pixels(rgb), crop.to_input(points_of(sample.pose, schema)), plain.hidden)]
    varied = shown.model_copy(
        update={"augmentation": shown.augmentation.model_copy(update={"whole_picture": 1.0})}
    )
    for number in range(settings.variations):
        rng = np.random.default_rng([shown.seed, number])
        found.append(view_of(sample, rgb, schema, varied, rng))
    return found


class JointLearner:
    """Pictures with their poses, and the models that subsets of them make."""

    def __init__(
        self,
        features: FrozenFeatures,
        units: Sequence[PoseUnit],
        schema: JointSchema,
        settings: JointSettings | None = None,
    ) -> None:
        """Take pictures.

        Args:
            features: the maps of all views.
            units: the pictures.
            schema: the joints.
            settings: of the learning.
        """
        self._features, self._units, self._schema = features, units, schema
        self._settings = settings or JointSettings()

    def learn(self, members: Sequence[int], seed: int) -> ColumnHead:
        """Train a model; the same members (in any order) and seed give the same one, bit by bit.

        Args:
            members: places of pictures.
            seed: of weights and order.
        """
        wanted, joints = self._settings, len(self._schema.joints)
        shown = [
            (member, view) for member in sorted(members) for view in range(len(self._units[member].keys))
        ]
        with chance(seed) as generator:
            mean, std = self._moments(sorted(members))
            head = ColumnHead(mean, std, wanted.width, 2 * joints)
            with torch.no_grad():
                head.last.bias[:joints] = _EMPTY
                head.last.bias[joints:] = 0
            optimizer = torch.optim.AdamW(head.parameters(), lr=wanted.lr, weight_decay=wanted.weight_decay)
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, wanted.lr, total_steps=wanted.steps, pct_start=0.1
            )
            averaged = Averaged(head)
            order: list[int] = []
            for step in range(wanted.steps):
                while len(order) < wanted.batch:
                    order += torch.randperm(len(shown), generator=generator).tolist()
                taken, order = order[: wanted.batch], order[wanted.batch :]
                maps, places, hidden = self._batch([shown[number] for number in taken])
                optimizer.zero_grad()
                heatmap_loss(head(maps), places, hidden).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                if step >= wanted.steps * 3 // 4:
                    averaged.add()
            averaged.take()
        return head.eval()

    def poses(self, head: ColumnHead, members: Sequence[int]) -> Iterator[Pose]:
        """Yield the pose that a model finds in each picture, in pixels of the picture."""
        shown = self._settings.shown.model
        for member in members:
            unit = self._units[member]
            with torch.inference_mode():
                places, hidden = place_probabilities(head(tensors(self._features.maps(unit.keys[0]))))
            decoded = decode(places[0].numpy(), hidden[0].numpy())
            crop = crop_around(None, unit.sample.size, shown.input_size, shown.padding)
            yield _pose(decoded, crop.to_picture(decoded.points), self._schema)

    def score(self, head: ColumnHead, members: Sequence[int]) -> PoseScores:
        """Score a model by all joints of some pictures together."""
        truth = [self._units[member].sample.pose for member in members]
        return score_poses(list(self.poses(head, members)), truth, self._schema)

    def _moments(self, members: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        means, squares = [], []
        for member in members:
            levels = tensors(self._features.maps(self._units[member].keys[0]))
            means.append(torch.cat([level[0].mean(dim=(1, 2)) for level in levels]))
            squares.append(torch.cat([level[0].square().mean(dim=(1, 2)) for level in levels]))
        mean = torch.stack(means).mean(dim=0)
        variance = torch.stack(squares).mean(dim=0) - mean.square()
        return mean, variance.clamp_min(0).sqrt() + 0.05

    def _batch(
        self, keys: Sequence[tuple[int, int]]
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        shown = self._settings.shown
        maps = [tensors(self._features.maps(self._units[member].keys[view])) for member, view in keys]
        places = [
            place_targets(self._units[member].views[view], shown.model.input_size, shown.sigma)
            for member, view in keys
        ]
        hidden = [self._units[member].hidden[view] for member, view in keys]
        return (
            [torch.cat(levels) for levels in zip(*maps, strict=True)],
            torch.from_numpy(np.stack(places)),
            torch.from_numpy(np.stack(hidden)),
        )


def pose_scores(pose: Pose) -> dict[str, float]:
    """Return what ``infer-pose`` writes of a pose, and ``confidence``: 1 minus the overall one, its ``uncertainty``."""
    return {
        "joints": joint_doubt(pose),
        "peaks": pose.rivalry or 0.0,
        "confidence": 1 - overall_confidence(pose),
    }


def _pose(decoded: Decoded, points: NDArray[np.float64], schema: JointSchema) -> Pose:
    there = decoded.confidence >= _ABSENT_BELOW
    keypoints = {}
    for place, joint in enumerate(schema.joints):
        confidence = float(decoded.confidence[place])
        if there[place]:
            x, y = (float(value) for value in points[place])
            keypoints[joint] = Keypoint(x, y, "visible", confidence)
        else:
            keypoints[joint] = Keypoint(0.0, 0.0, "absent", confidence)
    rivalry = float(decoded.rivalry[there].mean()) if there.any() else 0.0
    return Pose(keypoints, rivalry=rivalry if math.isfinite(rivalry) else 0.0)
