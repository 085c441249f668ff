"""Before and after: masks of two runs against ground truth, and the contact sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.pictures import load_mask, load_rgb
from agir_cvtoolkit.reporting.contact_sheet import SheetRow, contact_sheet
from agir_cvtoolkit.runs import Run

from .pictures import DemoPictures

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Score:
    """IoU on pictures that were not trained on."""

    name: str
    pictures: int
    before: float
    after: float


@dataclass(frozen=True)
class Judgement:
    """What two models are worth.

    Attributes:
        species: scores per species.
        all: mean over the pictures that were not trained on.
        proposals: mean IoU of the first proposals over all pictures, those for training included.
    """

    species: tuple[Score, ...]
    all: Score
    proposals: float


def predicted_masks(run: Run) -> dict[str, NDArray[np.bool_]]:
    """Read the predicted masks of a run by record id, bool of shape (height, width)."""
    return {
        entry.record_id: load_mask(run.inside(entry.mask_path)) != 0
        for entry in run.read_manifest()
        if entry.mask_path is not None
    }


def judge(pictures: DemoPictures, before: Masks, after: Masks, pool_before: Masks) -> Judgement:
    """Compare masks with ground truth.

    Args:
        pictures: with ground truth.
        before, after: masks of both models on the pictures held out.
        pool_before: the first proposals for the others.
    """
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for image_id in sorted(before):
        truth = pictures.true_mask(image_id)
        pairs[pictures.species[image_id]].append((iou(before[image_id], truth), iou(after[image_id], truth)))
    scores = tuple(_score(name, found) for name, found in sorted(pairs.items()))
    proposals = [
        iou(mask, pictures.true_mask(image_id)) for image_id, mask in {**pool_before, **before}.items()
    ]
    return Judgement(
        scores, _score("all", [pair for found in pairs.values() for pair in found]), fmean(proposals)
    )


def _score(name: str, found: list[tuple[float, float]]) -> Score:
    return Score(name, len(found), fmean(b for b, _ in found), fmean(a for _, a in found))


def draw_sheet(
    pictures: DemoPictures,
    pool: Run,
    corrections: Mapping[str, Path],
    before: Masks,
    after: Masks,
    path: Path,
) -> Path:
    """Draw the contact sheet: some pictures that were corrected, then those held out.

    Args:
        pictures: with ground truth.
        pool: run of the corrected pictures.
        corrections: pulled mask file by image id.
        before, after: masks of both models, of pool and held-out pictures.
        path: of the PNG.
    """
    entries = {entry.record_id: entry for entry in pool.read_manifest()}
    shown = sorted(corrections)[:3]
    rows = []
    for image_id in [*shown, *sorted(pictures.held_out)[:6]]:
        entry = entries.get(image_id)
        source = pool.inside(entry.image_path) if entry is not None and entry.image_path else None
        picture = load_rgb(source if source is not None else _picture_of(pictures, image_id))
        correction = load_mask(corrections[image_id]) != 0 if image_id in corrections else None
        rows.append(
            SheetRow(
                record_id=image_id if image_id in corrections else f"{image_id} (held out)",
                picture=picture,
                proposal=before.get(image_id),
                correction=correction,
                prediction=after.get(image_id),
                truth=pictures.true_mask(image_id),
                species=pictures.species[image_id],
            )
        )
    return contact_sheet(rows, path, title="Proposal, correction and new prediction")


def _picture_of(pictures: DemoPictures, image_id: str) -> Path:
    return next(path for path in sorted((pictures.folder / "images").glob(f"{image_id}.*")))
