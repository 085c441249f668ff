"""The demonstration's pictures: which are worked on, which are held out, and what the truth is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.pictures import load_mask
from agir_cvtoolkit.runs import atomic_path

from .scenes import draw_scenes

SPLIT = "demo_split"
POOL, HELD_OUT = "pool", "held_out"
SEVERAL = "several species"
_EVERY = 3


@dataclass(frozen=True)
class DemoPictures:
    """Pictures with ground truth.

    Attributes:
        folder: at which the paths of the CSV start.
        records_csv: SemiF columns and the column `SPLIT`.
        species: common name by image id; `SEVERAL` where the plants of a picture differ.
        truth: mask file by image id.
        held_out: image ids that are never uploaded nor trained on.
    """

    folder: Path
    records_csv: Path
    species: dict[str, str]
    truth: dict[str, Path]
    held_out: frozenset[str]

    def true_mask(self, image_id: str) -> NDArray[np.bool_]:
        """Return the ground truth of a picture, bool of shape (height, width)."""
        return np.not_equal(load_mask(self.truth[image_id]), 0)


def drawn_pictures(folder: Path, count: int, seed: int) -> DemoPictures:
    """Draw field scenes into a folder."""
    scenes = draw_scenes(folder, count, seed)
    return _with_split(scenes.folder, scenes.records_csv, folder / "demo_records.csv")


def real_pictures(data: Path, workspace: Path) -> DemoPictures:
    """Use a folder with ``records.csv`` (columns image_id, category_common_name, image_file, mask_file).

    Raises:
        DataError: the CSV or its columns are missing, or there are fewer than three pictures.
    """
    records = data / "records.csv"
    if not records.is_file():
        raise DataError(f"{data} has no records.csv", "Give a folder with pictures, masks and records.csv.")
    return _with_split(data.resolve(), records, workspace / "records.csv")


def _with_split(folder: Path, source: Path, target: Path) -> DemoPictures:
    with source.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    needed = {"image_id", "category_common_name", "image_file", "mask_file"}
    missing = needed - set(rows[0] if rows else {})
    if missing:
        raise DataError(
            f"{source} lacks the columns {', '.join(sorted(missing))}", "See the layout of a SemiF CSV."
        )
    names: dict[str, set[str]] = {}
    for row in rows:
        names.setdefault(row["image_id"], set()).add(row["category_common_name"])
    species = {image_id: min(found) if len(found) == 1 else SEVERAL for image_id, found in names.items()}
    held_out = _held_out(species)
    with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], SPLIT])
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {SPLIT: HELD_OUT if row["image_id"] in held_out else POOL})
    truth = {row["image_id"]: folder / row["mask_file"] for row in rows}
    return DemoPictures(folder, target, species, truth, held_out)


def _held_out(species: dict[str, str]) -> frozenset[str]:
    ordered: Sequence[str] = sorted(species, key=lambda image_id: (species[image_id], image_id))
    if len(ordered) < _EVERY:
        raise DataError(f"{len(ordered)} pictures are too few", f"Give at least {_EVERY}.")
    return frozenset(ordered[_EVERY - 1 :: _EVERY])
