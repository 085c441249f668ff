"""Field masks of twelve megapixels, from a folder of real ones or drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.demo.scenes import draw_scenes
from agir_cvtoolkit.pictures import load_mask

MEGAPIXELS = 12.0


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A mask kept at a bit per pixel, so that a hundred of them fit anywhere."""

    bits: NDArray[np.uint8]
    shape: tuple[int, int]

    def unpacked(self) -> NDArray[np.bool_]:
        """Return the mask, bool of shape (height, width)."""
        flat = np.unpackbits(self.bits, count=self.shape[0] * self.shape[1])
        return flat.view(np.bool_).reshape(self.shape)


def field_masks(folder: Path | None, count: int, megapixels: float = MEGAPIXELS) -> list[PackedMask]:
    """Return `count` masks of one size.

    Each source mask is scaled linearly and cut at one half, so that its outline stays as smooth as a
    camera's; when there are fewer files than `count`, they are turned and mirrored (eight ways), then
    repeated.

    Args:
        folder: of PNG masks, or one that has them in ``masks/``; None draws field scenes.
        count: how many.
        megapixels: pixels of each, in millions.
    """
    found = list(_scaled(_sources(folder, megapixels), megapixels))
    masks = []
    for number in range(count):
        source = found[number % len(found)]
        turn = number // len(found) % 8
        mask = np.rot90(source if turn < 4 else source[:, ::-1], turn % 4)
        masks.append(PackedMask(np.packbits(mask.reshape(-1)), (mask.shape[0], mask.shape[1])))
    return masks


def _sources(folder: Path | None, megapixels: float) -> list[NDArray[np.uint8]]:
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            size = (1280, 960) if megapixels >= 1 else (320, 240)
            scenes = draw_scenes(Path(temporary), 6, seed=7, size=size)
            return [load_mask(scene.mask) for scene in scenes.scenes]
    inside = folder / "masks"
    files = sorted((inside if inside.is_dir() else folder).glob("*.png"))
    if not files:
        raise SystemExit(f"no PNG masks in {folder}")
    return [load_mask(file) for file in files]


def _scaled(sources: Sequence[NDArray[np.uint8]], megapixels: float) -> Iterator[NDArray[np.bool_]]:
    for source in sources:
        height, width = source.shape
        factor = (megapixels * 1e6 / (height * width)) ** 0.5
        size = max(1, round(width * factor)), max(1, round(height * factor))
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        plants = np.where(source != 0, np.uint8(255), np.uint8(0))
        yield np.asarray(cv2.resize(plants, size, interpolation=way)) > 127
