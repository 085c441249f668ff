"""How a segmentation model does on the test split of a run's data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import Run, read_json_object

from ._evaluation import Judged

if TYPE_CHECKING:
    from agir_cvtoolkit.models.card import ModelCard
    from agir_cvtoolkit.progress import Progress
    from agir_cvtoolkit.training.dataset import PreparedDataset

FIGURE = "IoU"
_PLACE = re.compile(r"_x\d+_y\d+$")
_GROUP = 8


def tiles_by_picture(dataset: PreparedDataset) -> dict[str, tuple[str, ...]]:
    """Return the tiles of the test split by picture.

    Raises:
        DataError: the split is empty.
    """
    from agir_cvtoolkit.training.dataset import PICTURE_OF, SPLITS

    content = read_json_object(dataset.root / SPLITS)
    picture_of: Mapping[str, Any] = content.get(PICTURE_OF) or {}
    tiles: dict[str, list[str]] = {}
    for tile in dataset.splits["test"]:
        tiles.setdefault(str(picture_of.get(tile) or _PLACE.sub("", tile)), []).append(tile)
    if not tiles:
        raise DataError(
            f"data set {dataset.root} has no pictures to test on",
            "Set preprocess.split.test above 0 and run agir-cvtoolkit train again.",
        )
    return {picture: tuple(names) for picture, names in sorted(tiles.items())}


def learned_pictures(run: Run | None, card: ModelCard) -> frozenset[str] | None:
    """Return the pictures that a model was trained on or chosen by, None where that is not known any more."""
    from agir_cvtoolkit.training.dataset import SPLITS, STATS

    if run is None:
        return None
    for folder in [run.path("dataset"), *sorted(run.path("history").glob("*/*/dataset"))]:
        stats = read_json_object(folder / STATS)
        if stats.get("fingerprint") == card.trained_on.dataset:
            groups = read_json_object(folder / SPLITS).get("groups", {})
            return frozenset(str(name) for side in ("train", "val") for name in groups.get(side, ()))
    return None


def judge_segmentation(
    path: Path,
    dataset: PreparedDataset,
    tiles: Mapping[str, Sequence[str]],
    device: str,
    progress: Progress,
) -> Judged:
    """Predict the tiles of a test split and score them.

    Args:
        path: of the model.
        dataset: that the tiles belong to.
        tiles: by picture.
        device: as of the group ``seg_inference``.
        progress: told tile by tile.

    Raises:
        CheckpointError: the file is no segmentation model of ours, or knows other classes than the data set.
    """
    from agir_cvtoolkit.errors import CheckpointError
    from agir_cvtoolkit.inference.torch_predictor import open_torch
    from agir_cvtoolkit.training.scores import scores_of

    predictor = open_torch(path, device)
    if predictor.class_ids != dataset.class_ids:
        raise CheckpointError(
            f"model {predictor.name} knows the class ids {list(predictor.class_ids)}, the test set has"
            f" {list(dataset.class_ids)}",
            "Compare models that were trained on the same classes.",
        )
    classes = len(dataset.class_ids)
    rows = []
    with progress.bar("evaluate", sum(map(len, tiles.values()))) as bar:
        for names in tiles.values():
            confusion = np.zeros((classes, classes), dtype=np.int64)
            for start in range(0, len(names), _GROUP):
                group = names[start : start + _GROUP]
                images, labels = _loaded(dataset, group)
                found = predictor.predict_tiles(images).argmax(axis=1)
                joined = labels.astype(np.int64) * classes + found
                confusion += np.bincount(joined.reshape(-1), minlength=classes**2).reshape(classes, classes)
                bar.advance(len(group))
            rows.append(confusion.reshape(-1))
    counts = np.stack(rows)
    scores = scores_of(counts.sum(axis=0).reshape(classes, classes))
    names_of = [c.name for c in dataset.classes]
    parts = {n: v for n, v in zip(names_of[1:], scores.iou_by_class[1:], strict=True) if v is not None}
    return Judged({"test_iou": scores.iou, "test_dice": scores.dice}, parts, counts.astype(np.float64))


def mean_iou(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean IoU (Jaccard 1912) over the foreground classes that occur, 1.0 where none does.

    Args:
        counts: flattened confusion matrices of pixels, shape (samples, classes ** 2), labels by row.

    Returns:
        Shape (samples,).
    """
    classes = round(counts.shape[1] ** 0.5)
    tables = counts.reshape(-1, classes, classes)
    hits = np.diagonal(tables, axis1=1, axis2=2)[:, 1:]
    union = (tables.sum(axis=1) + tables.sum(axis=2))[:, 1:] - hits
    occurs = union > 0
    shares = np.divide(hits, union, out=np.zeros_like(hits), where=occurs)
    count = occurs.sum(axis=1)
    return np.asarray(np.where(count, shares.sum(axis=1) / np.maximum(count, 1), 1.0))


def _loaded(dataset: PreparedDataset, names: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    from agir_cvtoolkit.pictures import load_mask, load_rgb

    height, width = dataset.tile_size
    table = np.full(256, 255, dtype=np.uint8)
    for index, class_id in enumerate(dataset.class_ids):
        table[class_id] = index
    images = np.stack([load_rgb(dataset.image_path(name)) for name in names])
    labels = np.stack([table[load_mask(dataset.mask_path(name), (width, height))] for name in names])
    if labels.max(initial=0) >= len(dataset.class_ids):
        raise DataError(
            f"a mask of data set {dataset.root} holds an id that is no class",
            "Make it again: agir-cvtoolkit preprocess",
        )
    return images, labels
