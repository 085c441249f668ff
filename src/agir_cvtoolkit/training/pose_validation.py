"""The figures of a pose model on poses that it has not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.pose_reading import TorchHeatmaps, find_poses
from agir_cvtoolkit.poses import box_of

from .pose_samples import PoseSample, load_sample
from .pose_scores import score_poses


def held_out_scores(
    network: nn.Module, card: ModelCard, held_out: Sequence[PoseSample], device: torch.device
) -> dict[str, float]:
    """Return the scores on held out poses, given their boxes, under ``val_…`` names; empty where there are none."""
    if not held_out or card.schema is None:
        return {}
    source = TorchHeatmaps(network, card, device)
    found = []
    for sample in held_out:
        box = box_of(sample.pose, card.schema.joints)
        found += find_poses(source, card, [load_sample(sample)], [box])
    network.cpu()
    return score_poses(found, [sample.pose for sample in held_out], card.schema).metrics("val")
