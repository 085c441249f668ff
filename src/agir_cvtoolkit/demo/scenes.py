"""Field scenes with ground truth, drawn: plants on textured soil, and what fools a green threshold.

Leaves turn yellow, red or blue; moss, olive debris and straw look like plants; shadows fall over both. Scene
`i` of a seed is the same however many scenes are drawn.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.runs import atomic_path

from ._ground import RNG, add_algae, add_light, add_stones, smooth_noise, soil
from ._plants import PLANTS, Field, dead_leaf

FULLRES = 2
"""Full-resolution pixels per pixel of the picture; boxes are given in the former, as field databases do."""

_FIRST = datetime(2024, 5, 6, 9, 30, 0)  # cameras write local time without a zone
_MIN_PLANT = 30


@dataclass(frozen=True)
class Species:
    """What the database knows of a species."""

    common_name: str
    scientific: str
    usda: str
    eppo: str
    habit: str
    kind: str
    class_id: int
    rgb: tuple[int, int, int]


SPECIES = (
    Species(
        "palmer amaranth",
        "Amaranthus palmeri S. Watson",
        "AMPA",
        "AMAPA",
        "forb/herb",
        "weed",
        1,
        (29, 104, 110),
    ),
    Species(
        "winter wheat", "Triticum aestivum L.", "TRAE", "TRZAX", "graminoid", "cash crop", 2, (207, 174, 60)
    ),
    Species(
        "winter pea", "Pisum sativum L.", "PISA6", "PIBSX", "forb/herb vine", "cover crop", 3, (150, 88, 170)
    ),
)
"""The species that are drawn, with the mask value of each."""


@dataclass(frozen=True)
class Plant:
    """One drawn plant: its species and its visible box left, top, width, height in pixels of the picture."""

    species: Species
    box: tuple[int, int, int, int]
    parts: int


@dataclass(frozen=True)
class Scene:
    """One drawn picture and its files.

    Attributes:
        mask: 8-bit PNG, 255 is plant.
        foreground_share: share of the picture that is plant.
    """

    image_id: str
    image: Path
    mask: Path
    plants: tuple[Plant, ...]
    foreground_share: float


@dataclass(frozen=True)
class Scenes:
    """A folder of drawn scenes: ``images/``, ``masks/`` and ``records.csv`` with the SemiF columns."""

    folder: Path
    records_csv: Path
    scenes: tuple[Scene, ...]


def draw_scenes(folder: Path, count: int, seed: int = 0, size: tuple[int, int] = (640, 480)) -> Scenes:
    """Draw field scenes with ground truth.

    Args:
        folder: where to; made when missing, files of the same names are replaced.
        count: how many scenes.
        seed: other seeds give other scenes.
        size: width and height in pixels.
    """
    scenes = []
    for number in range(count):
        image_id = f"DEMO_{seed}{number:04d}"
        rgb, plant, plants = draw_scene(number, seed, size)
        image, mask = folder / "images" / f"{image_id}.jpg", folder / "masks" / f"{image_id}.png"
        with atomic_path(image) as temporary:
            Image.fromarray(rgb).save(temporary, format="JPEG", quality=95, subsampling=0)
        with atomic_path(mask) as temporary:
            Image.fromarray(plant.view(np.uint8) * np.uint8(255)).save(temporary, format="PNG")
        scenes.append(Scene(image_id, image, mask, plants, float(plant.mean())))
    records = folder / "records.csv"
    with atomic_path(records) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        rows = [row for number, scene in enumerate(scenes) for row in _rows(scene, number, size, folder)]
        writer = csv.DictWriter(stream, fieldnames=_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return Scenes(folder, records, tuple(scenes))


def draw_scene(
    number: int, seed: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[Plant, ...]]:
    """Draw one scene.

    Args:
        number: of the scene; the species take turns.
        seed: of the set.
        size: width and height in pixels.

    Returns:
        RGB, uint8 of shape (height, width, 3); plant pixels, bool of shape (height, width); the plants.
    """
    rng = np.random.default_rng([seed, number])
    width, height = size
    canvas = soil(rng, size)
    if rng.random() < 0.75:
        add_algae(canvas, rng, rng.uniform(0.03, 0.16))
    add_stones(canvas, rng, int(rng.integers(6, 22)))
    field = Field(canvas, np.zeros((height, width), np.float32), smooth_noise(rng, size, 14, 3))
    unit = min(size)
    for _ in range(int(rng.integers(8, 20))):
        dead_leaf(field, rng, rng.uniform((0, 0), size), unit * rng.uniform(0.05, 0.14))
    main = SPECIES[(number + seed) % len(SPECIES)]
    plants = []
    for place in _places(rng, size, int(rng.integers(5, 11)), unit * 0.24):
        species = main if rng.random() < 0.9 else SPECIES[int(rng.integers(len(SPECIES)))]
        before = field.plant.copy()
        PLANTS[species.common_name](field, rng, place, unit * rng.uniform(0.1, 0.23))
        plant = _plant(species, (field.plant >= 0.5) & (before < 0.5))
        if plant is not None:
            plants.append(plant)
    for _ in range(int(rng.integers(1, 5))):
        dead_leaf(field, rng, rng.uniform((0, 0), size), unit * rng.uniform(0.04, 0.09))
    return _photographed(add_light(field.canvas, rng), rng), field.plant >= 0.5, tuple(plants)


def _photographed(canvas: NDArray[np.float32], rng: RNG) -> NDArray[np.uint8]:
    soft = cv2.GaussianBlur(canvas, (0, 0), 0.55)
    noise = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(rng.uniform(0.008, 0.02))
    exposed: NDArray[np.uint8] = (np.clip(soft + noise, 0, 1) * 255).round().astype(np.uint8)
    return exposed


def _places(rng: RNG, size: tuple[int, int], count: int, apart: float) -> list[NDArray[np.float64]]:
    found: list[NDArray[np.float64]] = []
    for _ in range(count * 12):
        spot = rng.uniform((0.04 * size[0], 0.04 * size[1]), (0.96 * size[0], 0.96 * size[1]))
        if all(np.hypot(*(spot - other)) >= apart for other in found):
            found.append(spot)
        if len(found) == count:
            break
    return found


def _plant(species: Species, visible: NDArray[np.bool_]) -> Plant | None:
    if np.count_nonzero(visible) < _MIN_PLANT:
        return None
    left, top, width, height = cv2.boundingRect(visible.view(np.uint8))
    parts = cv2.connectedComponents(visible.view(np.uint8), connectivity=8)[0] - 1
    return Plant(species, (left, top, width, height), parts)


_COLUMNS = (
    "cutout_id", "image_id", "datetime", "season", "batch_id", "state", "category_class_id",
    "category_common_name", "category_species", "category_usda_symbol", "category_eppo_code",
    "category_growth_habit", "plant_type", "bbox_xywh", "fullres_width", "fullres_height",
    "estimated_bbox_area_cm2", "is_primary", "num_components", "category_rgb", "lens_model", "image_path",
    "image_file", "mask_file", "foreground_share", "image_width", "image_height",
)  # fmt: skip


def _rows(scene: Scene, number: int, size: tuple[int, int], folder: Path) -> list[dict[str, object]]:
    taken = _FIRST + timedelta(days=7 * (number // 6), minutes=3 * number)
    state = ("NC", "MD", "TX")[number % 3]
    image_file = scene.image.relative_to(folder).as_posix()
    largest = max((p.box[2] * p.box[3] for p in scene.plants), default=0)
    rows: list[dict[str, object]] = []
    for index, plant in enumerate(scene.plants):
        box = [FULLRES * side for side in plant.box]
        area = plant.box[2] * plant.box[3]
        rows.append(
            {
                "cutout_id": f"{scene.image_id}_{index}",
                "image_id": scene.image_id,
                "datetime": taken.strftime("%Y:%m:%d %H:%M:%S"),
                "season": str(taken.year),
                "batch_id": f"{state}_{taken:%Y-%m-%d}",
                "state": state,
                "category_class_id": plant.species.class_id,
                "category_common_name": plant.species.common_name,
                "category_species": plant.species.scientific,
                "category_usda_symbol": plant.species.usda,
                "category_eppo_code": plant.species.eppo,
                "category_growth_habit": plant.species.habit,
                "plant_type": plant.species.kind,
                "bbox_xywh": json.dumps(box),
                "fullres_width": FULLRES * size[0],
                "fullres_height": FULLRES * size[1],
                "estimated_bbox_area_cm2": round(area * 0.01, 1),
                "is_primary": int(area == largest),
                "num_components": plant.parts,
                "category_rgb": json.dumps(plant.species.rgb),
                "lens_model": "drawn",
                "image_path": image_file,
                "image_file": image_file,
                "mask_file": scene.mask.relative_to(folder).as_posix(),
                "foreground_share": round(scene.foreground_share, 4),
                "image_width": size[0],
                "image_height": size[1],
            }
        )
    return rows
