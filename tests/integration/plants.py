"""Small pictures of plants that excess green finds, their boxes, and a database of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.stages.build_db import build_db

SIZE = (96, 64)
FULLRES = 4
SPECIES = ("barley", "hairy vetch", "wheat")
STATES = ("NC", "NC", "MD")
COLUMNS = (
    "cutout_id",
    "image_id",
    "state",
    "category_common_name",
    "category_class_id",
    "bbox_xywh",
    "fullres_width",
    "fullres_height",
    "image_path",
)


@dataclass(frozen=True, eq=False)
class Plot:
    """A picture, what is plant in it, and its boxes left, top, width, height in pixels."""

    rgb: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    boxes: tuple[tuple[int, int, int, int], ...]


def draw(seed: int, size: tuple[int, int] = SIZE, *, plants: bool = True) -> Plot:
    """Draw a ring with a hole at the upper left and a leaf at the lower right, nowhere symmetric."""
    rng = np.random.default_rng(seed)
    width, height = size
    rgb = rng.integers(80, 100, (height, width, 3)).astype(np.float64)
    rgb *= (1.1, 0.9, 0.75)
    y, x = np.mgrid[:height, :width]
    truth = np.zeros((height, width), dtype=bool)
    boxes: list[tuple[int, int, int, int]] = []
    if plants:
        cx, cy = width * 0.26 + seed % 5, height * 0.34 + seed % 3
        far = np.hypot(x - cx, y - cy)
        ring = (far < 14) & (far > 5)
        leaf = (x > width * 0.6) & (x < width * 0.85) & (y > height * 0.6) & (y < height * 0.6 + 14)
        for part in (ring, leaf):
            columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
            box = (columns[0], rows[0], len(columns), len(rows))
            boxes.append((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
            truth |= part
    rgb[truth] = rng.integers(30, 60, (int(truth.sum()), 3)) + np.array((20, 110, 10))
    return Plot(rgb.clip(0, 255).astype(np.uint8), truth, tuple(boxes))


def save(plot: Plot, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    Image.fromarray(plot.rgb).save(path, **options)  # type: ignore[arg-type]


def rows_of(image_id: str, plot: Plot, file: str, number: int = 0) -> list[dict[str, object]]:
    height, width = plot.truth.shape
    kind = number % len(SPECIES)
    return [
        {
            "cutout_id": f"{image_id}_{index}",
            "image_id": image_id,
            "state": STATES[kind],
            "category_common_name": SPECIES[kind],
            "category_class_id": kind + 1,
            "bbox_xywh": json.dumps([FULLRES * side for side in box]),
            "fullres_width": FULLRES * width,
            "fullres_height": FULLRES * height,
            "image_path": file,
        }
        for index, box in enumerate(plot.boxes)
    ]


def write_records(folder: Path, rows: Sequence[dict[str, object]]) -> Path:
    """Write rows as CSV and make ``semif.db`` of them."""
    path = folder / "records.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        columns = dict.fromkeys(key for row in rows for key in row) or dict.fromkeys(COLUMNS)
        writer = csv.DictWriter(stream, fieldnames=list(columns))
        writer.writeheader()
        writer.writerows(rows)
    database = folder.parent / "semif.db"
    build_db(folder, path, database)
    return database
