"""Pairs of a picture and its mask: what training begins with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import Item

_PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
_MASKS = {".png", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True)
class Pair:
    """One record with its corrected mask.

    Attributes:
        image_path: the original that was predicted on.
        mask_path: 8-bit class ids, 0 background, of the picture's size.
        group: id of the picture; tiles and cutouts of one picture stay in one split.
        common_name: species, used to spread it over the splits, or None.
        sha256: of the picture file, in hex; empty where it is not known.
        mask_sha256: of the mask file, likewise.
        together: texts that pairs on one side of the split have in common, such as ``plant_id=17``.
        session: in which the picture was taken; empty where that is not known.
        values: mask values of this pair's run that mean another id in the data set, as (there, here).
    """

    record_id: str
    image_path: Path
    mask_path: Path
    group: str
    common_name: str | None
    sha256: str
    mask_sha256: str = ""
    together: tuple[str, ...] = ()
    session: str = ""
    values: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class DatasetClass:
    """One class of a data set.

    Attributes:
        id: mask value, 0..255; 0 is the background.
    """

    id: int
    name: str


BINARY = (DatasetClass(0, "background"), DatasetClass(255, "plant"))
"""Plant or not: what a data set has when nobody says more; 255 stands for the record's own class id."""


def pairs_from_folders(images: Path, masks: Path) -> tuple[list[Pair], list[Item]]:
    """Pair two folders by file name without suffix.

    Returns:
        The pairs, sorted by name, and the pictures without a mask as failed items.

    Raises:
        DataError: a folder does not exist or the first one holds no pictures.
    """
    from agir_cvtoolkit.pictures import sha256_of

    for folder, key in ((images, "custom_images_dir"), (masks, "custom_masks_dir")):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder", f"Set preprocess.source.{key}.")
    found = {path.stem: path for path in _files(masks.resolve(), _MASKS)}
    pairs, items = [], []
    for image in _files(images.resolve(), _PICTURES):
        mask = found.get(image.stem)
        if mask is None:
            items.append(Item(image.stem, "failed", f"no mask {image.stem}.png in {masks}"))
        else:
            pairs.append(Pair(image.stem, image, mask, image.stem, None, sha256_of(image)))
    if not pairs and not items:
        raise DataError(f"{images} holds no pictures", "Set preprocess.source.custom_images_dir.")
    return pairs, items


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in suffixes)
