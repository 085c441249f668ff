"""How good poses are: PCK, OKS and average precision, by joint and over all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.agreement import oks, pck
from agir_cvtoolkit.joints import DEFAULT_SIGMA, JointSchema
from agir_cvtoolkit.poses import Pose, animal_area, box_of, overall_confidence

from .pose_samples import points_of

FRACTIONS = (0.02, 0.05, 0.1, 0.2)
"""Shares of an animal's size at which PCK is given."""
OKS_THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""Of the average precision: .50:.05:.95, as COCO's keypoint evaluation."""
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class PoseScores:
    """How near found poses are to true ones; all values in [0, 1], NaN where there is nothing to judge.

    Attributes:
        pck: by share of the animal's size: the share of true joints that were found within that distance. An
            animal's size is the longer side of its box (Yang and Ramanan 2013).
        oks: mean object keypoint similarity of the poses.
        oks_ap: average precision over the thresholds .50:.05:.95 and 101 recalls (COCO keypoint evaluation).
        per_joint: PCK at 5 % by joint; only joints that some true pose has.
        poses: true poses with at least one joint.
        joints: true joints.
    """

    pck: Mapping[float, float]
    oks: float
    oks_ap: float
    per_joint: Mapping[str, float] = field(default_factory=dict)
    poses: int = 0
    joints: int = 0

    def metrics(self, side: str) -> dict[str, float]:
        """Return the scores by name, such as ``test_pck_05``, ``test_oks_ap`` and ``test_pck_05.nose``."""
        named = {f"{side}_pck_{round(share * 100):02d}": value for share, value in self.pck.items()}
        named |= {f"{side}_oks": self.oks, f"{side}_oks_ap": self.oks_ap}
        named |= {f"{side}_pck_05.{joint}": value for joint, value in self.per_joint.items()}
        return {name: value for name, value in named.items() if math.isfinite(value)}


def animal_size(pose: Pose, schema: JointSchema) -> float:
    """Return the longer side of a pose's box in pixels, NaN where it has none."""
    box = box_of(pose, schema.joints)
    return max(box.width, box.height) if box is not None else math.nan


def score_poses(
    found: Sequence[Pose],
    truth: Sequence[Pose],
    schema: JointSchema,
    sizes: Sequence[float] | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> PoseScores:
    """Score found poses against true ones, one by one.

    Joints that a true pose has, occluded ones too, count; a joint that was not found counts as wrong. True poses
    without joints, or without any extent, say nothing.

    Args:
        found: for each true pose the pose that was found for it.
        truth: poses, in pixels of the same pictures.
        schema: the joints that count.
        sizes: of the animals in pixels; None takes the longer sides of the true boxes.
        fractions: of the size, for PCK; 5 % is always among them.

    Raises:
        ValueError: the sequences differ in length.
    """
    if len(found) != len(truth) or (sizes is not None and len(sizes) != len(truth)):
        raise ValueError(f"{len(found)} found poses for {len(truth)} true ones")
    shares = tuple(sorted({*fractions, 0.05}))
    sigmas = np.array(schema.sigmas or [DEFAULT_SIGMA] * len(schema.joints))
    hits: dict[float, list[NDArray[np.float64]]] = {share: [] for share in shares}
    similar: list[float] = []
    sure: list[float] = []
    for number, (pose, true) in enumerate(zip(found, truth, strict=True)):
        size = animal_size(true, schema) if sizes is None else sizes[number]
        area = animal_area(true, schema.joints)
        there = points_of(true, schema)
        if not (size > 0 and area > 0 and np.isfinite(there).any()):
            continue
        places = points_of(pose, schema)
        for share in shares:
            hits[share].append(pck(places, there, share * size))
        is_found = bool(np.isfinite(places).any())
        similar.append(oks(places, there, sigmas, area))
        sure.append(overall_confidence(pose, 0.0) if is_found else -1.0)
    if not similar:
        return PoseScores(dict.fromkeys(shares, math.nan), math.nan, math.nan)
    tables = {share: np.array(rows) for share, rows in hits.items()}
    at_five = tables[0.05]
    judged: list[bool] = np.any(np.isfinite(at_five), axis=0).tolist()
    return PoseScores(
        pck={share: float(np.nanmean(table)) for share, table in tables.items()},
        oks=float(np.mean(similar)),
        oks_ap=average_precision(similar, sure),
        per_joint={
            joint: float(np.nanmean(at_five[:, place]))
            for place, joint in enumerate(schema.joints)
            if judged[place]
        },
        poses=len(similar),
        joints=int(np.isfinite(at_five).sum()),
    )


def average_precision(similar: Sequence[float], sure: Sequence[float]) -> float:
    """Return the mean over `OKS_THRESHOLDS` of the average precision, as COCO's evaluation interpolates it.

    Args:
        similar: OKS of each true pose's found pose.
        sure: confidence of the found poses, by which they are ranked; below 0 where nothing was found.
    """
    order = [i for i in np.argsort(-np.array(sure), kind="stable") if sure[i] >= 0]
    ranked = np.array([similar[i] for i in order])
    if not len(ranked):
        return 0.0
    values = []
    for threshold in OKS_THRESHOLDS:
        right = np.cumsum(np.greater_equal(ranked, threshold))
        recall = right / len(similar)
        precision = right / np.arange(1, len(ranked) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, _RECALLS - 1e-12, side="left")
        values.append(
            np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0.0).mean()
        )
    return float(np.mean(values))
