"""How a segmentation model does on one split of a run's data set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import read_json_object

from ._evaluation import Judged

if TYPE_CHECKING:
    from agir_cvtoolkit.ledger import Ledger
    from agir_cvtoolkit.progress import Progress
    from agir_cvtoolkit.training.dataset import PreparedDataset

FIGURE = "IoU"
TEST = "test"
_PLACE = re.compile(r"_x\d+_y\d+$")
_GROUP = 8
_WORST = 8
_Said = tuple[NDArray[np.integer[Any]], NDArray[np.float32] | None]
"""Class indices of tiles and, where a model said them, their probabilities."""


def tiles_by_picture(dataset: PreparedDataset, side: str = TEST) -> dict[str, tuple[str, ...]]:
    """Return the tiles of a split by picture.

    Raises:
        DataError: the split is empty.
    """
    from agir_cvtoolkit.training.dataset import PICTURE_OF, SPLITS

    content = read_json_object(dataset.root / SPLITS)
    picture_of: Mapping[str, Any] = content.get(PICTURE_OF) or {}
    tiles: dict[str, list[str]] = {}
    for tile in dataset.splits[side]:
        tiles.setdefault(str(picture_of.get(tile) or _PLACE.sub("", tile)), []).append(tile)
    if not tiles:
        raise DataError(
            f"data set {dataset.root} has no pictures to test on",
            "Set preprocess.split.test above 0 and run agir-cvtoolkit train again.",
        )
    return {picture: tuple(names) for picture, names in sorted(tiles.items())}


def learned_pictures(ledger: Ledger, trained_on: str, tested_on: str) -> frozenset[str] | None:
    """Return the pictures of one data set that a model was trained on or chosen by when it learned from another.

    Files are known by their content, whatever they are called; cutouts, of which each has its own content, by the
    picture that they were cut from.

    Args:
        ledger: that knows the records of both.
        trained_on: version of the data set that the model learned from.
        tested_on: version of the data set whose pictures are wanted.

    Returns:
        None where the ledger does not know one of them.
    """
    learned = [member for member in ledger.dataset_members(trained_on) if member.side != TEST]
    here = ledger.dataset_members(tested_on)
    if not learned or not here:
        return None
    contents = {member.sha256 for member in learned}
    cut = {member.picture for member in learned if member.record_id != member.picture}
    return frozenset(
        member.picture
        for member in here
        if member.sha256 in contents or (member.record_id != member.picture and member.picture in cut)
    )


def judge_segmentation(
    path: Path,
    dataset: PreparedDataset,
    tiles: Mapping[str, Sequence[str]],
    device: str,
    progress: Progress,
    side: str = TEST,
) -> Judged:
    """Predict the tiles of a split and score them.

    IoU and Dice are counted over all pixels; boundary F1 (within two pixels) is the mean over the tiles that show a
    class or were said to; ECE is over all pixels.

    Args:
        path: of the model.
        dataset: that the tiles belong to.
        tiles: by picture.
        device: as of the group ``seg_inference``.
        progress: told tile by tile.
        side: of the tiles, before the names of the figures.

    Raises:
        CheckpointError: the file is no segmentation model of ours, or knows other classes than the data set.
    """
    from agir_cvtoolkit.errors import CheckpointError
    from agir_cvtoolkit.inference.torch_predictor import open_torch

    predictor = open_torch(path, device)
    if predictor.class_ids != dataset.class_ids:
        raise CheckpointError(
            f"model {predictor.name} knows the class ids {list(predictor.class_ids)}, the test set has"
            f" {list(dataset.class_ids)}",
            "Compare models that were trained on the same classes.",
        )

    def says(_names: Sequence[str], images: NDArray[np.uint8]) -> _Said:
        probabilities = predictor.predict_tiles(images)
        return probabilities.argmax(axis=1), probabilities

    return _judged(dataset, tiles, says, progress, side)


def judge_masks(
    dataset: PreparedDataset,
    tiles: Mapping[str, Sequence[str]],
    mask_of: Callable[[str], NDArray[np.uint8]],
    progress: Progress,
) -> Judged:
    """Score masks that are there already as `judge_segmentation` scores a model's; nothing is known of how sure they are.

    Args:
        dataset: that the tiles belong to.
        tiles: of the test split, by picture.
        mask_of: returns the class indices of a tile, uint8 of shape (height, width).
        progress: told tile by tile.
    """

    def says(names: Sequence[str], _images: NDArray[np.uint8]) -> _Said:
        return np.stack([mask_of(name) for name in names]), None

    return _judged(dataset, tiles, says, progress, TEST)


def _judged(
    dataset: PreparedDataset,
    tiles: Mapping[str, Sequence[str]],
    says: Callable[[Sequence[str], NDArray[np.uint8]], _Said],
    progress: Progress,
    side: str,
) -> Judged:
    from agir_cvtoolkit.agreement import boundary_f1
    from agir_cvtoolkit.training.calibration import Reliability, reliability_of
    from agir_cvtoolkit.training.scores import scores_of

    classes = len(dataset.class_ids)
    rows, each = [], dict[str, float]()
    reliability: Reliability | None = None
    edges: list[list[float]] = [[] for _ in range(classes)]
    with progress.bar("evaluate", sum(map(len, tiles.values()))) as bar:
        for names in tiles.values():
            confusion = np.zeros((classes, classes), dtype=np.int64)
            for start in range(0, len(names), _GROUP):
                group = names[start : start + _GROUP]
                images, labels = load_tiles(dataset, group)
                indices, probabilities = says(group, images)
                if probabilities is not None:
                    reliability = (reliability or Reliability()) + reliability_of(probabilities, labels)
                for name, said, truth in zip(group, indices, labels, strict=True):
                    joined = (truth.astype(np.int64) * classes + said).reshape(-1)
                    counted = np.bincount(joined, minlength=classes**2).reshape(classes, classes)
                    each[name] = 1 - float(np.trace(counted) / counted.sum())
                    confusion += counted
                    for number in range(1, classes):
                        if counted[number].any() or counted[:, number].any():
                            edges[number].append(boundary_f1(said == number, truth == number))
                bar.advance(len(group))
            rows.append(confusion.reshape(-1))
    counts = np.stack(rows)
    scores = scores_of(counts.sum(axis=0).reshape(classes, classes))
    means = [float(np.mean(found)) if found else None for found in edges]
    figures: dict[str, float] = {
        "iou": scores.iou,
        "mean_iou": scores.mean_iou,
        "dice": scores.dice,
        "boundary_f1": float(np.mean([mean for mean in means if mean is not None] or [1.0])),
    }
    if reliability is not None:
        figures["ece"] = reliability.ece
    names_of = [c.name for c in dataset.classes]
    for name, dice, edge in list(zip(names_of, scores.dice_by_class, means, strict=True))[1:]:
        figures |= {
            key: value
            for key, value in ((f"dice.{name}", dice), (f"boundary_f1.{name}", edge))
            if value is not None
        }
    parts = {n: v for n, v in zip(names_of[1:], scores.iou_by_class[1:], strict=True) if v is not None}
    return Judged(
        {f"{side}_{name}": value for name, value in figures.items()},
        parts,
        counts.astype(np.float64),
        reliability,
        tuple(sorted(each.items(), key=lambda pair: (-pair[1], pair[0]))[:_WORST]),
    )


def mean_iou(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean IoU (Jaccard 1912) over the foreground classes that occur, 1.0 where none does.

    Args:
        counts: flattened confusion matrices of pixels, shape (samples, classes ** 2), labels by row.

    Returns:
        Shape (samples,).
    """
    shares = _ious(counts)[:, 1:]
    occurs = np.isfinite(shares)
    count = occurs.sum(axis=1)
    total = np.where(occurs, shares, 0.0).sum(axis=1)
    return np.asarray(np.where(count, total / np.maximum(count, 1), 1.0))


def iou_of(number: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the figure that is the IoU of one class, NaN where it does not occur."""
    return lambda counts: _ious(counts)[:, number]


def _ious(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    classes = round(counts.shape[1] ** 0.5)
    tables = counts.reshape(-1, classes, classes)
    hits = np.diagonal(tables, axis1=1, axis2=2)
    union = tables.sum(axis=1) + tables.sum(axis=2) - hits
    shares: NDArray[np.float64] = np.divide(hits, union, out=np.full_like(union, np.nan), where=union > 0)
    return shares


def load_tiles(dataset: PreparedDataset, names: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return tiles, uint8 RGB (n, height, width, 3), and their class indices, uint8 (n, height, width).

    Raises:
        DataError: a mask holds an id that is no class.
    """
    from agir_cvtoolkit.pictures import load_mask, load_rgb

    height, width = dataset.tile_size
    table = np.full(256, 255, dtype=np.uint8)
    for index, class_id in enumerate(dataset.class_ids):
        table[class_id] = index
    found = list(names)
    images = np.stack([load_rgb(dataset.image_path(name)) for name in found])
    labels = np.stack([table[load_mask(dataset.mask_path(name), (width, height))] for name in found])
    if labels.max(initial=0) >= len(dataset.class_ids):
        raise DataError(
            f"a mask of data set {dataset.root} holds an id that is no class",
            "Make it again: agir-cvtoolkit preprocess",
        )
    return images, labels
