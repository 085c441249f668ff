"""What the models of the device loop are worth on animals that nobody was shown, and pictures of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.reporting.curve import curve
from agir_cvtoolkit.reporting.pose_sheet import PoseRow, pose_sheet
from agir_cvtoolkit.training.pose_scores import PoseScores, animal_size, score_poses

from .pose_pictures import AnimalPicture, AnimalPictures

FRACTION = 0.05
WIDE = 0.1
_CORRECTED, _HELD_OUT = 3, 4


@dataclass(frozen=True)
class Point:
    """One point of the curve: a model and how it does on the held-out animals.

    Attributes:
        corrections: animals that people had corrected by then.
        version: of the model in service after the round.
        scores: of the model in service.
        promoted: whether this round's training put it there.
        refused: scores of the model that this round trained and that was not proved better; else None.
    """

    round: int
    corrections: int
    version: str
    scores: PoseScores
    promoted: bool
    refused: PoseScores | None = None


def judged(found: Mapping[str, Pose], animals: AnimalPictures) -> PoseScores:
    """Score the poses that were found in the held-out pictures."""
    held_out = animals.held_out
    return score_poses(
        [found[one.picture_id] for one in held_out], [one.truth for one in held_out], animals.schema
    )


def draw_curve(points: Sequence[Point], path: Path, pictures: int) -> Path:
    """Draw the share of correct key points over the rounds: of models in service, and of those that were refused."""
    ticks = [f"{'first model' if not p.round else f'round {p.round}'}, {p.corrections}" for p in points]
    lines = {
        f"PCK@{share:.0%}": [point.scores.pck.get(share, math.nan) for point in points]
        for share in (FRACTION, WIDE)
    }
    refused = [math.nan if p.refused is None else p.refused.pck.get(FRACTION, math.nan) for p in points]
    if any(math.isfinite(value) for value in refused):
        lines[f"PCK@{FRACTION:.0%}, refused"] = refused
    return curve(
        path,
        f"Correct key points on {pictures} held-out animals",
        ticks,
        lines,
        x_name="round, animals corrected by people",
        y_name="share of key points nearer than 5 % / 10 % of the animal's size",
    )


def draw_poses(
    animals: AnimalPictures,
    before: Mapping[str, Pose],
    corrected: Mapping[str, Pose],
    after: Mapping[str, Pose],
    path: Path,
    footer: str,
    *,
    last_column: str = "Model in service",
) -> Path:
    """Draw the contact sheet: animals that were corrected, then some that were held out.

    Args:
        animals: with the truth.
        before: poses of the first model, by picture.
        corrected: what people made of them; of others the truth is shown.
        after: poses of the model of the last column.
        path: of the PNG.
        footer: last line of the sheet.
        last_column: its name.
    """
    pool = [one for one in animals.pool if one.picture_id in corrected and one.picture_id in before]
    rows = [_row(one, "corrected", (before, corrected, after), animals) for one in pool[:_CORRECTED]]
    truth = {one.picture_id: one.truth for one in animals.held_out}
    rows += [
        _row(one, "held out", (before, truth, after), animals) for one in _spread(animals.held_out, _HELD_OUT)
    ]
    return pose_sheet(
        rows,
        ("First model", "Person; of held-out animals the truth", last_column),
        animals.schema,
        path,
        title="Poses before and after the device loop",
        footer=footer,
        wrong=f"farther than {FRACTION:.0%} of the animal's size from where it should be",
    )


def _row(
    one: AnimalPicture, kind: str, columns: Sequence[Mapping[str, Pose]], animals: AnimalPictures
) -> PoseRow:
    size = animal_size(one.truth, animals.schema)
    return PoseRow(
        f"{one.picture_id} ({kind})",
        load_rgb(one.path),
        tuple(column.get(one.picture_id) for column in columns),
        one.truth,
        FRACTION * size if math.isfinite(size) else math.inf,
    )


def _spread(pictures: Sequence[AnimalPicture], count: int) -> list[AnimalPicture]:
    step = max(1, len(pictures) // count)
    return list(pictures[::step][:count])
