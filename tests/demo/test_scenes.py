from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agir_cvtoolkit.agreement import iou
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.demo.scenes import FULLRES, SPECIES, Scenes, draw_scenes
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.segment import segment
from agir_cvtoolkit.pictures import load_mask, load_rgb


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return draw_scenes(tmp_path_factory.mktemp("scenes"), 4, seed=5, size=(320, 240))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_excess_green_is_good_but_not_perfect(seed: int, tmp_path: Path) -> None:
    found = draw_scenes(tmp_path, 8, seed)
    scores = [
        iou(segment(ColourPredictor(), load_rgb(s.image), SegInference()).index != 0, load_mask(s.mask) != 0)
        for s in found.scenes
    ]
    assert 0.5 < np.mean(scores) < 0.85


def test_pictures_and_masks_fit(scenes: Scenes) -> None:
    for scene in scenes.scenes:
        assert load_rgb(scene.image).shape == (240, 320, 3)
        mask = load_mask(scene.mask, (320, 240))
        assert set(np.unique(mask)) == {0, 255}
        assert (mask != 0).mean() == pytest.approx(scene.foreground_share)
        assert 0.01 < scene.foreground_share < 0.5


def test_records_have_boxes_around_plants_in_full_resolution(scenes: Scenes) -> None:
    with scenes.records_csv.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["cutout_id"] for row in rows}) == len(rows) == sum(len(s.plants) for s in scenes.scenes)
    assert {row["category_common_name"] for row in rows} <= {s.common_name for s in SPECIES}
    for row in rows:
        mask = load_mask(scenes.folder / row["mask_file"]) != 0
        assert (scenes.folder / row["image_file"]).is_file()
        assert (int(row["fullres_width"]), int(row["fullres_height"])) == (FULLRES * 320, FULLRES * 240)
        x, y, w, h = (side // FULLRES for side in json.loads(row["bbox_xywh"]))
        assert 0 <= x < x + w <= 320
        assert 0 <= y < y + h <= 240
        assert mask[y : y + h, x : x + w].mean() > 0.05
        assert row["datetime"][4] == row["datetime"][7] == ":"


def test_most_pictures_hold_several_plants_and_all_species_occur(scenes: Scenes) -> None:
    assert np.median([len(s.plants) for s in scenes.scenes]) >= 3
    assert {p.species for s in scenes.scenes for p in s.plants} == set(SPECIES)


def test_the_same_seed_draws_the_same_scenes_however_many(scenes: Scenes, tmp_path: Path) -> None:
    again = draw_scenes(tmp_path, 1, seed=5, size=(320, 240))
    assert again.scenes[0].image.read_bytes() == scenes.scenes[0].image.read_bytes()
    assert again.scenes[0].mask.read_bytes() == scenes.scenes[0].mask.read_bytes()
    other = draw_scenes(tmp_path / "other", 1, seed=6, size=(320, 240))
    assert other.scenes[0].image.read_bytes() != scenes.scenes[0].image.read_bytes()


def test_the_pictures_alone(tmp_path: Path) -> None:
    words = ["demo", "--pictures-only", "--count", "6", "--out", str(tmp_path / "drawn")]
    planned = CliRunner().invoke(main, [*words, "--dry-run"])
    assert planned.stdout.startswith("Would draw 6 pictures")
    assert list(tmp_path.iterdir()) == []
    drawn = CliRunner().invoke(main, words)
    assert (drawn.exit_code, drawn.stdout.split()[:2]) == (0, ["Drew", "6"])
    assert len(list((tmp_path / "drawn" / "masks").iterdir())) == 6
    refused = CliRunner().invoke(main, [*words, "--data", str(tmp_path)])
    assert refused.exit_code == 2
    assert "real ones" in refused.stderr
