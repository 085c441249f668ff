"""What has proposed before a loop had a model: the configured predictor, on the pictures that models are tested on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Region, parted_id
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import Record, file_stem
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.training.pairs import BINARY, Pair

from ._evaluation import Incumbent, Judged
from .evaluate import OUTPUT

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference, Settings
    from agir_cvtoolkit.inference.predictor import Predictor
    from agir_cvtoolkit.progress import Progress
    from agir_cvtoolkit.training.dataset import PreparedDataset

FOLDER = "incumbent"


def configured_predictor(
    run: Run, pairs: Sequence[Pair], wholes: Mapping[str, Path], settings: Settings, progress: Progress
) -> Incumbent:
    """Open the predictor that proposes where no model is in service; it predicts whole pictures, as ``infer-seg`` does.

    Its masks lie in ``evaluation/incumbent/`` of the run; those of a killed call are not made again.

    Args:
        run: that has trained the model, with its data set.
        pairs: what that was made of, those that are tested on at least.
        wholes: whole pictures by record, of which pairs are regions.
        settings: with the predictor, and how the data set was cut.
        progress: told picture by picture.

    Raises:
        ConfigError: the predictor cannot be opened.
        DataError: it tells other classes apart than the model.
    """
    from agir_cvtoolkit.inference.registry import open_predictor
    from agir_cvtoolkit.training.dataset import open_dataset

    wanted = _only_masks(settings.seg_inference)
    predictor = open_predictor(wanted)
    dataset = open_dataset(run.path("dataset"))
    table = _indices(predictor, dataset)

    def judge(tiles: Mapping[str, Sequence[str]]) -> Judged:
        from ._segmentation_evaluation import judge_masks

        stems = {file_stem(pair.record_id): pair for pair in pairs}
        names = [name for found in tiles.values() for name in found]
        units = {name: _Unit.of(stems, wholes, name) for name in names}
        masks = _predicted(run, units.values(), predictor, wanted, progress)

        @lru_cache(maxsize=1)  # the tiles of a picture follow each other
        def cut(unit: _Unit) -> Mapping[str, NDArray[np.uint8]]:
            return _tiles(unit, masks[unit.picture_id], table, dataset, settings)

        return judge_masks(dataset, tiles, lambda name: _same(cut(units[name]).get(name), dataset), progress)

    return Incumbent(predictor.name, judge, _learned_from(predictor))


@dataclass(frozen=True)
class _Unit:
    """What was labelled: a picture, or a region of one."""

    pair: Pair
    picture_id: str
    picture: Path
    region: Region | None

    @classmethod
    def of(cls, stems: Mapping[str, Pair], wholes: Mapping[str, Path], tile: str) -> _Unit:
        pair = stems.get(tile.rpartition("_x")[0])
        if pair is None:
            raise DataError(f"tile {tile} is of no picture that is known now", "Start the loop again.")
        record, region = parted_id(pair.record_id)
        picture = pair.image_path if region is None else wholes.get(record)
        if picture is None:
            raise DataError(
                f"the whole picture of {pair.record_id} is not known", "Predict the pool with pictures saved."
            )
        return cls(pair, record, picture, region)


def _only_masks(settings: SegInference) -> SegInference:
    from agir_cvtoolkit.config import InferenceOutput, UncertaintyScore

    return settings.model_copy(
        update={
            # Masks are the first predictor's own: the others of an ensemble only say how sure it is.
            "model": settings.model.model_copy(update={"ensemble": ()}),
            "output": InferenceOutput(save_images=False),
            "uncertainty": UncertaintyScore(scores=()),
            "post_process": settings.post_process.model_copy(update={"edge_occupancy_threshold": None}),
        }
    )


def _learned_from(predictor: Predictor) -> str | None:
    from agir_cvtoolkit.inference.colour_predictor import ColourPredictor

    if isinstance(predictor, ColourPredictor):
        return None
    card = getattr(predictor, "card", None)
    return card.trained_on.dataset if card is not None else ""


def _indices(predictor: Predictor, dataset: PreparedDataset) -> NDArray[np.uint8]:
    """Return the class index in the data set of each value that a mask of the predictor may have."""
    from agir_cvtoolkit.inference.predictor import is_plant_or_not

    theirs, ours = predictor.classes[1:], tuple(c.name for c in dataset.classes[1:])
    table = np.zeros(256, dtype=np.uint8)
    if dataset.classes == BINARY or (is_plant_or_not(predictor) and len(ours) == 1):
        table[1:] = 1
        return table
    if set(theirs) != set(ours):
        raise DataError(
            f"{predictor.name} tells {', '.join(theirs)} from {predictor.classes[0]}, the model {', '.join(ours)}",
            "Compare predictors of the same classes.",
        )
    for name, value in zip(predictor.classes, predictor.class_ids, strict=True):
        table[value] = ours.index(name) + 1 if name in ours else 0
    return table


def _predicted(
    run: Run, units: Iterable[_Unit], predictor: Predictor, settings: SegInference, progress: Progress
) -> dict[str, Path]:
    from .infer_seg import predict_into

    place = run.path(OUTPUT, FOLDER)
    inner = Run(f"{run.run_id}/{OUTPUT}/{FOLDER}", place)
    pictures = {unit.picture_id: unit.picture for unit in units}
    records = [Record(record_id, path) for record_id, path in sorted(pictures.items())]
    result = predict_into(inner, records, predictor, None, settings, progress)
    for item in result.items:
        raise DataError(
            f"{predictor.name} has no mask of {item.record_id}: {item.reason}", "Correct the predictor."
        )
    return {
        entry.record_id: inner.inside(entry.mask_path)
        for entry in inner.read_manifest()
        if entry.mask_path is not None
    }


def _tiles(
    unit: _Unit, mask: Path, table: NDArray[np.uint8], dataset: PreparedDataset, settings: Settings
) -> dict[str, NDArray[np.uint8]]:
    """Cut what was predicted as the data set's own masks were."""
    from agir_cvtoolkit.pictures import load_mask, load_rgb
    from agir_cvtoolkit.training.tiling import cut, resized, scaled_size

    preprocess, stem = settings.preprocess, file_stem(unit.pair.record_id)
    said = table[load_mask(mask)]
    if unit.region is not None:
        left, top = unit.region.left, unit.region.top
        said = said[top : top + unit.region.height, left : left + unit.region.width]
    rgb = load_rgb(unit.pair.image_path)
    size = scaled_size((rgb.shape[1], rgb.shape[0]), preprocess)
    rgb, said = resized(rgb, said, size, preprocess.resize.interpolation.image)
    found = {}
    for tile in cut(rgb, said, preprocess):
        name = f"{stem}_x{tile.left}_y{tile.top}"
        path = dataset.image_path(name)
        if path.is_file() and np.array_equal(load_rgb(path), tile.image):
            found[name] = tile.mask
    return found


def _same(tile: NDArray[np.uint8] | None, dataset: PreparedDataset) -> NDArray[np.uint8]:
    """Return a tile, where it could be cut as it lies in the data set."""
    if tile is None:
        raise DataError(
            f"data set {dataset.root} was made with other settings of preprocess", "Train once more."
        )
    return tile
