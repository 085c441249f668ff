"""A data set folder: ``images/``, ``masks/``, ``classes.json``, ``splits.json`` and ``stats.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import read_json_object

from .pairs import DatasetClass
from .statistics import class_weights

CLASSES, SPLITS, STATS = "classes.json", "splits.json", "stats.json"
TRAINED = "dataset_classes"
"""Key in ``classes.json`` of the classes that tiles have; ``classes`` there, if any, are the labels as pulled."""
PICTURE_OF = "picture_of"
"""Key in ``splits.json`` of the picture that each tile was cut from; earlier versions did not write it."""
_AGAIN = "Make it again: agir-cvtoolkit preprocess"


@dataclass(frozen=True)
class PreparedDataset:
    """A data set as it lies on disk.

    Attributes:
        fingerprint: of all that went into it.
        classes: the first is the background.
        splits: sorted tile names (files without suffix) of ``train``, ``val`` and ``test``.
        pictures: number of pictures.
        tile_size: height and width in pixels.
        rgb_mean, rgb_std: of the training pictures, per channel, in [0, 1].
        class_pixels: of the training pictures, by class, in the order of `classes`.
        warning: what the reader of a score must know, or empty.
    """

    root: Path
    fingerprint: str
    classes: tuple[DatasetClass, ...]
    splits: Mapping[str, tuple[str, ...]]
    pictures: int
    tile_size: tuple[int, int]
    scale: float
    max_side: int | None
    rgb_mean: tuple[float, float, float]
    rgb_std: tuple[float, float, float]
    class_pixels: tuple[int, ...]
    warning: str = ""

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Mask value of each class."""
        return tuple(c.id for c in self.classes)

    @property
    def class_weights(self) -> tuple[float, ...]:
        """What a pixel of each class weighs in a loss so that rare classes are heard, see `statistics`."""
        return class_weights(self.class_pixels)

    def image_path(self, name: str) -> Path:
        """Return the picture of a tile."""
        return self.root / "images" / f"{name}.png"

    def mask_path(self, name: str) -> Path:
        """Return the mask of a tile."""
        return self.root / "masks" / f"{name}.png"


def open_dataset(root: Path) -> PreparedDataset:
    """Open a data set that `preprocess.prepare` made.

    Raises:
        DataError: there is none, it is unfinished or damaged, or a split needed for training is empty.
    """
    if not (root / STATS).is_file():
        raise DataError(f"{root} holds no data set, or an unfinished one", _AGAIN)
    classes, splits, stats = (read_json_object(root / name) for name in (CLASSES, SPLITS, STATS))
    try:
        dataset = _from_json(root, classes, splits, stats)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"data set {root} is damaged: {error}", _AGAIN) from error
    for side in ("train", "val"):
        if not dataset.splits[side]:
            raise DataError(f"data set {root} has no pictures for {side}", _AGAIN)
    return dataset


def _from_json(root: Path, classes: Any, splits: Any, stats: Any) -> PreparedDataset:
    return PreparedDataset(
        root=root,
        fingerprint=str(stats["fingerprint"]),
        classes=tuple(DatasetClass(int(c["id"]), str(c["name"])) for c in classes[TRAINED]),
        splits={side: tuple(str(n) for n in splits[side]) for side in ("train", "val", "test")},
        pictures=int(stats["pictures"]),
        tile_size=(int(stats["tile_size"][0]), int(stats["tile_size"][1])),
        scale=float(stats["scale"]),
        max_side=None if stats["max_side"] is None else int(stats["max_side"]),
        rgb_mean=_triple(stats["rgb_mean"]),
        rgb_std=_triple(stats["rgb_std"]),
        class_pixels=tuple(int(n) for n in stats["class_pixels"]),
        warning=str(splits.get("warning", "")),
    )


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)
