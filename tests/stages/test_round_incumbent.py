"""The configured predictor on the test set of a loop: the pixels that ``infer-seg`` gives, cut as the data set is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit import Call
from agir_cvtoolkit.choosing import Region, region_id
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.predictor import Band
from agir_cvtoolkit.inference.registry import open_predictor
from agir_cvtoolkit.inference.segment import segment
from agir_cvtoolkit.pictures import load_rgb, save_png
from agir_cvtoolkit.progress import Silent
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages._dataset_pairs import find_pairs
from agir_cvtoolkit.stages._evaluation import Incumbent
from agir_cvtoolkit.stages._round_incumbent import configured_predictor
from agir_cvtoolkit.stages._segmentation_evaluation import judge_masks, tiles_by_picture
from agir_cvtoolkit.stages.preprocess import preprocess
from agir_cvtoolkit.training.dataset import open_dataset
from agir_cvtoolkit.training.pairs import Pair

SETTINGS = (
    "preprocess.size={height: 32, width: 32}",
    "preprocess.source.type=custom",
    "preprocess.source.custom_images_dir=images",
    "preprocess.source.custom_masks_dir=masks",
    "preprocess.split={train: 0.4, val: 0.2, test: 0.4, near_duplicates: null}",
)


class Broken:
    """A service that has gone."""

    name, needs_tiles = "service", False
    classes: tuple[str, ...] = ("background", "plant")
    class_ids: tuple[int, ...] = (0, 255)

    def predict_bands(self, rgb: NDArray[np.uint8]) -> Iterator[Band]:
        raise ConnectionError("nobody answers")


class Species(Broken):
    """Tells species apart."""

    classes, class_ids = ("background", "crop", "weed"), (0, 1, 2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Five pictures with leaves of different green, whose true masks are a little larger than what is green."""
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        rng = np.random.default_rng(number)
        rgb = rng.integers(90, 120, (48, 64, 3), dtype=np.uint8)
        rgb[8:30, 4 + number : 20 + number, 1] += 60
        rgb[20:44, 40:60, 1] += np.uint8(20 + 5 * number)
        mask = np.zeros((48, 64), dtype=np.uint8)
        mask[6:32, 4 + number : 22 + number] = mask[20:44, 38:60] = 255
        for folder, array in (("images", rgb), ("masks", mask)):
            Path(folder).mkdir(exist_ok=True)
            save_png(array, Path(folder, f"r{number}.png"))
    return start_run(Path("outputs/runs"), "a")


def made(*overrides: str) -> tuple[Settings, tuple[Pair, ...]]:
    call = Call(overrides=(*SETTINGS, *overrides))
    preprocess(call)
    settings = call.settings()
    return settings, find_pairs(call.open_run(settings), settings).pairs


def asked(run: Run, settings: Settings, pairs: tuple[Pair, ...], **wholes: Path) -> Incumbent:
    return configured_predictor(run, pairs, wholes, settings, Silent())


def test_it_is_judged_by_the_masks_that_people_were_shown(run: Run) -> None:
    settings, pairs = made()
    dataset = open_dataset(run.path("dataset"))
    tiles = tiles_by_picture(dataset)
    incumbent = asked(run, settings, pairs)
    assert (incumbent.name, incumbent.learned_from) == ("excess_green", None)
    found = incumbent.judge(tiles)
    assert 0.5 < found.metrics["test_iou"] < 0.95
    predictor = open_predictor(settings.seg_inference)
    seen: dict[str, NDArray[np.uint8]] = {}
    for pair in pairs:
        index = segment(predictor, load_rgb(pair.image_path), settings.seg_inference).index
        for left, top in ((0, 0), (32, 0), (0, 16), (32, 16)):
            seen[f"{pair.record_id}_x{left}_y{top}"] = index[top : top + 32, left : left + 32]
    expected = judge_masks(dataset, tiles, seen.__getitem__, Silent())
    assert found.metrics == expected.metrics
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_what_a_killed_call_has_predicted_is_not_predicted_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, pairs = made()
    tiles = tiles_by_picture(open_dataset(run.path("dataset")))
    first = asked(run, settings, pairs).judge(tiles)
    monkeypatch.setattr(ColourPredictor, "predict_bands", None)
    again = asked(run, settings, pairs).judge(tiles)
    assert again.metrics == first.metrics
    assert not list(run.path("evaluation", "incumbent", "images").glob("*"))


def test_a_region_is_what_was_found_there_in_the_whole_picture(run: Run) -> None:
    """Otsu's threshold of a region alone would be another."""
    part = Region(32, 16, 32, 32)
    for number in range(5):
        whole = load_rgb(Path("images", f"r{number}.png"))
        name = f"{region_id(f'r{number}', part)}.png"
        Path("wholes").mkdir(exist_ok=True)
        Path("images", f"r{number}.png").rename(Path("wholes", f"r{number}.png"))
        save_png(whole[16:48, 32:64], Path("images", name))
        save_png(np.full((32, 32), 255, dtype=np.uint8), Path("masks", name))
    settings, pairs = made()
    tiles = tiles_by_picture(open_dataset(run.path("dataset")))
    wholes = {path.stem: path for path in Path("wholes").iterdir()}
    found = asked(run, settings, pairs, **wholes).judge(tiles)
    predictor = open_predictor(settings.seg_inference)
    seen = [
        segment(predictor, load_rgb(wholes[name.partition("@")[0]]), settings.seg_inference).index[16:, 32:]
        for name in sorted(tiles)
    ]
    assert found.counts[:, 3].tolist() == [int(index.sum()) for index in seen]
    with pytest.raises(DataError, match="whole picture of r"):
        asked(run, settings, pairs).judge(tiles)


def predicted_by(settings: Settings, name: str) -> Settings:
    model = settings.seg_inference.model.model_copy(update={"predictor": f"{__name__}:{name}"})
    return settings.model_copy(
        update={"seg_inference": settings.seg_inference.model_copy(update={"model": model})}
    )


def test_a_predictor_that_fails_says_so(run: Run) -> None:
    settings, pairs = made()
    tiles: Mapping[str, tuple[str, ...]] = tiles_by_picture(open_dataset(run.path("dataset")))
    broken = asked(run, predicted_by(settings, "Broken"), pairs)
    assert broken.learned_from == "", "it is not known"
    with pytest.raises(DataError, match=r"service has no mask of r.*nobody answers"):
        broken.judge(tiles)


def test_species_count_as_plants_but_plants_not_as_species(run: Run) -> None:
    settings, pairs = made()
    assert asked(run, predicted_by(settings, "Species"), pairs).name == "service"
    for path in Path("masks").iterdir():
        mask = np.asarray(load_rgb(path))[..., 0].copy()
        mask[:, 34:] = np.where(mask[:, 34:] == 255, 1, 0)
        mask[:, :34] = np.where(mask[:, :34] == 255, 2, 0)
        save_png(mask, path)
    listing = (
        '{"classes": [{"id": 0, "name": "background"}, {"id": 1, "name": "crop"}, {"id": 2, "name": "weed"}]}'
    )
    run.path("dataset", "classes.json").write_text(listing)
    settings, pairs = made("preprocess.classes=labels")
    with pytest.raises(DataError, match="excess_green tells plant from background, the model crop, weed"):
        asked(run, settings, pairs)
    assert asked(run, predicted_by(settings, "Species"), pairs).name == "service"


def test_a_data_set_that_was_cut_otherwise_is_not_judged_on(run: Run) -> None:
    settings, pairs = made()
    tiles = tiles_by_picture(open_dataset(run.path("dataset")))
    another = settings.preprocess.model_copy(update={"scale": 0.9})
    changed = asked(run, settings.model_copy(update={"preprocess": another}), pairs)
    with pytest.raises(DataError, match="other settings of preprocess"):
        changed.judge(tiles)
    with pytest.raises(DataError, match="of no picture that is known now"):
        asked(run, settings, tuple(replace(one, record_id=f"x{one.record_id}") for one in pairs)).judge(tiles)
