"""What the encoder of a simulation sees: of pictures, of parts of them, of near-duplicates, and of variations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Region, region_id
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.config._training import Augmentation
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.pictures import load_mask, load_rgb
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.similarity.hashing import perceptual_hash
from agir_cvtoolkit.training.augment import augment
from agir_cvtoolkit.training.frozen_features import FrozenEncoder, FrozenFeatures, embedding_of, key_of
from agir_cvtoolkit.training.frozen_joints import JointSettings, PoseUnit, views_of
from agir_cvtoolkit.training.frozen_pixels import CELL, IGNORED, STEP, cells_of
from agir_cvtoolkit.training.pose_samples import PoseSample

from ._simulate_data import LabelledData, Truth

Pixels = NDArray[np.uint8]
_SHIFT, _BRIGHTER, _LIGHTER, _NOISE = 3, 0.06, 5.0, 2.0
"""How near-duplicates differ: pixels, factor, grey levels, standard deviation of the noise."""
_DRAW = 20260101


@dataclass(frozen=True)
class Cut:
    """What of a picture is a unit.

    Attributes:
        copy: how its pixels are changed: 0 for not at all, else the number of the copy.
        known: its upper rows and left columns that another one has already, pixels.
    """

    truth: Truth
    region: Region | None
    copy: int = 0
    known: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Unit:
    """What can be chosen, or is tested on.

    Attributes:
        unit_id, record_id, region: as in a pool.
        group: as of its picture.
        cut: what it is of its picture.
        key: of its pixels, and of the maps of its plain view.
        hash: perceptual; of a region that of its picture.
        embedding: float32, of length 1.
        cells: labels, see `frozen_pixels.cells_of`; None for poses.
        pose: None for masks.
    """

    unit_id: str
    record_id: str
    group: str
    cut: Cut
    region: Region | None
    key: str
    hash: int
    embedding: NDArray[np.float32]
    cells: Pixels | None = None
    pose: PoseUnit | None = None


@dataclass(frozen=True)
class Opening:
    """How pictures and masks are opened.

    Attributes:
        values: of the classes in masks, in the order of the learner's outputs.
        max_side: to which larger ones are shrunk, pixels; poses keep the size of their picture.
    """

    values: tuple[int, ...]
    max_side: int

    def whole(self, truth: Truth) -> tuple[Pixels, Pixels | None]:
        """Load a picture and its classes.

        Returns:
            uint8 RGB of shape (height, width, 3), and uint8 class indices (height, width) or None.
        """
        rgb = load_rgb(truth.picture)
        if truth.mask is None:
            return rgb, None
        table = np.zeros(256, dtype=np.uint8)
        table[list(self.values)] = np.arange(len(self.values))
        mask = table[load_mask(truth.mask, (rgb.shape[1], rgb.shape[0]))]
        size = shrunk_size((rgb.shape[1], rgb.shape[0]), self.max_side)
        if size != (rgb.shape[1], rgb.shape[0]):
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return rgb, mask


def part_of(cut: Cut, rgb: Pixels, mask: Pixels | None) -> tuple[Pixels, Pixels | None, tuple[int, int]]:
    """Return what a cut is of its picture and mask, and by how many pixels a copy is moved (right, down)."""
    moved = (0, 0)
    if cut.region is not None:
        left, top = cut.region.left, cut.region.top
        part = np.s_[top : top + cut.region.height, left : left + cut.region.width]
        rgb, mask = rgb[part], None if mask is None else mask[part]
    if cut.copy:
        rgb, mask, moved = _varied(rgb, mask, cut.copy)
    return np.ascontiguousarray(rgb), mask, moved


class Looking:
    """Turns cuts into units."""

    def __init__(self, data: LabelledData, settings: Simulate, store: Path) -> None:
        """Open the encoder.

        Raises:
            ConfigError, CheckpointError, MissingExtraError: it cannot be opened.
        """
        self._data = data
        self._encoder = FrozenEncoder(settings.encoder)
        self._features = FrozenFeatures(store)
        self._joints = JointSettings()

    def unit(self, cut: Cut, rgb: Pixels, mask: Pixels | None, digest: int) -> Unit:
        """Cut, look, and label.

        Args:
            cut: what is wanted.
            rgb, mask: of the whole picture.
            digest: hash of the whole picture, as regions of it have it.

        Raises:
            DataError: there is no mask, or no schema of a pose.
        """
        truth, region = cut.truth, cut.region
        rgb, mask, moved = part_of(cut, rgb, mask)
        unit_id = truth.record_id if region is None else region_id(truth.record_id, region)
        record_id = truth.record_id
        if cut.copy:
            unit_id, record_id = f"copy {cut.copy:05d} of {unit_id}", f"copy {cut.copy:05d} of {record_id}"
            region, digest = None, perceptual_hash(rgb)
        cells: Pixels | None = None
        pose: PoseUnit | None = None
        if truth.sample is not None:
            pose = self._pose(truth.sample, rgb, moved)
            key = pose.keys[0]
        elif mask is not None:
            key = seen(self._encoder, self._features, rgb, STEP)
            cells = cells_of(mask)
            cells[: cut.known[0] // CELL] = IGNORED
            cells[:, : cut.known[1] // CELL] = IGNORED
        else:
            raise DataError(
                f"{truth.record_id} has no mask", "Give every picture a mask, or every one a pose."
            )
        embedding = embedding_of(self._features.maps(key))
        return Unit(unit_id, record_id, truth.group, cut, region, key, digest, embedding, cells, pose)

    def _pose(self, sample: PoseSample, rgb: Pixels, moved: tuple[int, int]) -> PoseUnit:
        if self._data.schema is None:
            raise DataError(f"{sample.record_id} has a pose of no schema", "Name the joints.")
        if moved != (0, 0):
            sample = replace(sample, pose=_shifted(sample.pose, moved))
        views = views_of(sample, rgb, self._data.schema, self._joints)
        keys = tuple(seen(self._encoder, self._features, view.pixels, 1) for view in views)
        return PoseUnit(sample, keys, tuple(v.points for v in views), tuple(v.hidden for v in views))


class Variations:
    """Shows tiles varied as models are trained on them; looked at when they are first learned from, and kept."""

    def __init__(self, units: Sequence[Unit], opening: Opening, encoder: str, store: Path) -> None:
        """Take units with masks.

        Args:
            units: all that can be learned from.
            opening: of their pictures.
            encoder: that looks.
            store: folder of its maps.
        """
        self._units, self._opening, self._name = units, opening, encoder
        self._features = FrozenFeatures(store)
        self._encoder: FrozenEncoder | None = None
        # Tiles of one picture are asked for one after another.
        self._opened = lru_cache(maxsize=1)(opening.whole)

    def __call__(self, place: int, count: int) -> list[tuple[str, Pixels]]:
        """Return the key of the maps and the cells of so many variations of a unit.

        Raises:
            ConfigError, CheckpointError, MissingExtraError: the encoder cannot be opened.
        """
        unit = self._units[place]
        rgb, mask, _ = part_of(unit.cut, *self._opened(unit.cut.truth))
        if mask is None:
            raise DataError(f"{unit.unit_id} has no mask", "Give every picture a mask.")
        found = []
        for number in range(count):
            # By the picture alone: what it teaches does not depend on who asks.
            rng = np.random.default_rng([_DRAW, number, *bytes.fromhex(unit.key[:16])])
            pixels, labels = augment(rgb, mask, Augmentation(), rng)
            self._encoder = self._encoder or FrozenEncoder(self._name)
            found.append((seen(self._encoder, self._features, pixels, STEP), cells_of(labels)))
        return found


def seen(encoder: FrozenEncoder, features: FrozenFeatures, rgb: Pixels, step: int) -> str:
    """Return the key of a picture's maps; they are made where there are none."""
    key = key_of(rgb, step)
    if key not in features:
        features.append(key, encoder.maps(rgb, step))
    return key


def shrunk_size(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Return (width, height) that is no longer than `most` pixels on any side."""
    factor = min(1.0, most / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _varied(rgb: Pixels, mask: Pixels | None, number: int) -> tuple[Pixels, Pixels | None, tuple[int, int]]:
    """Return the next shot of the same thing: a little shifted, a little lighter or darker, with other noise."""
    rng = np.random.default_rng([_DRAW, number])
    right, down = (int(value) for value in rng.integers(-_SHIFT, _SHIFT + 1, 2))

    def shifted(values: Pixels) -> Pixels:
        edges = ((_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0))[: values.ndim]
        filled = np.pad(values, edges, mode="edge")
        top, left = _SHIFT - down, _SHIFT - right
        return filled[top : top + values.shape[0], left : left + values.shape[1]]

    factor, lighter = rng.uniform(1 - _BRIGHTER, 1 + _BRIGHTER), rng.uniform(-_LIGHTER, _LIGHTER)
    values = shifted(rgb) * factor + lighter + rng.normal(0, _NOISE, rgb.shape)
    return (
        values.clip(0, 255).round().astype(np.uint8),
        None if mask is None else shifted(mask),
        (right, down),
    )


def _shifted(pose: Pose, by: tuple[int, int]) -> Pose:
    return replace(
        pose,
        keypoints={
            name: Keypoint(p.x + by[0], p.y + by[1], p.visibility) if p.is_there else ABSENT
            for name, p in pose.keypoints.items()
        },
        box=None,
    )
