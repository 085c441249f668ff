"""What a simulation chooses from and tests on: units, what the encoder saw of them, their labels for learners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Region, region_id
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.pictures import glance, load_mask, load_rgb
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.similarity.hashing import perceptual_hash
from agir_cvtoolkit.training.frozen_features import FrozenEncoder, FrozenFeatures, embedding_of, key_of
from agir_cvtoolkit.training.frozen_joints import JointSettings, PoseUnit, views_of
from agir_cvtoolkit.training.frozen_pixels import CELL, IGNORED, STEP, cells_of
from agir_cvtoolkit.training.pose_samples import PoseSample

from ._simulate_data import HeldOut, LabelledData, Truth

Pixels = NDArray[np.uint8]
_SHIFT, _BRIGHTER, _LIGHTER, _NOISE = 3, 0.06, 5.0, 2.0
"""How near-duplicates differ: pixels, factor, grey levels, standard deviation of the noise."""
_SOURCES = 20
"""One in so many units is what the near-duplicates are of: a camera that stood still."""
_DRAW = 20260101


@dataclass(frozen=True, eq=False)
class Unit:
    """What can be chosen, or is tested on.

    Attributes:
        unit_id, record_id, region: as in a pool.
        group: as of its picture.
        key: of its pixels, and of the maps of its plain view.
        hash: perceptual; of a region that of its picture.
        embedding: float32, of length 1.
        cells: labels, see `frozen_pixels.cells_of`; None for poses.
        pose: None for masks.
    """

    unit_id: str
    record_id: str
    group: str
    region: Region | None
    key: str
    hash: int
    embedding: NDArray[np.float32]
    cells: Pixels | None = None
    pose: PoseUnit | None = None


@dataclass(frozen=True, eq=False)
class Units:
    """All units.

    Attributes:
        pool: what any seed may choose, sorted by id; near-duplicates behind the others.
        test: what covers the whole pictures that any seed tests on.
        tested: which of them each seed does; it chooses nothing from those.
        classes: names of the learner's outputs, background first; empty for poses.
        schema: of poses.
    """

    pool: tuple[Unit, ...]
    test: tuple[Unit, ...]
    tested: HeldOut
    classes: tuple[str, ...]
    schema: JointSchema | None

    def sides(self, seed: int) -> tuple[list[int], list[int]]:
        """Return the places of what a seed chooses from in `pool`, and of what it tests on in `test`."""
        tested = self.tested.by(seed)
        return (
            [place for place, unit in enumerate(self.pool) if unit.group not in tested],
            [place for place, unit in enumerate(self.test) if unit.group in tested],
        )


@dataclass(frozen=True)
class _Cut:
    """What of a picture is a unit.

    Attributes:
        copy: how its pixels are changed: 0 for not at all, else the number of the copy.
        known: its upper rows and left columns that another one has already, pixels.
    """

    truth: Truth
    region: Region | None
    copy: int = 0
    known: tuple[int, int] = (0, 0)


def pool_and_test(
    data: LabelledData, tested: HeldOut, settings: Simulate, store: Path, progress: Progress
) -> Units:
    """Look at all pictures once; what the encoder saw is kept in a folder for the next time.

    Args:
        data: labelled pictures.
        tested: which are tested on, as whole pictures.
        settings: the group ``simulate``.
        store: folder of the encoder's maps.
        progress: one step for each unit.

    Raises:
        DataError: the pool is smaller than the largest budget.
        ConfigError, CheckpointError, MissingExtraError: the encoder cannot be opened.
    """
    own, held = cuts_of(data, tested, settings)
    copies = _copies(own, settings.duplicates)
    least = least_pool([cut.truth.group for cut in (*own, *copies)], tested, settings.seeds)
    if least < settings.budgets[-1]:
        raise DataError(
            f"the pool has {least} {settings.unit}s, fewer than the largest budget {settings.budgets[-1]}",
            "Lower simulate.budgets, or take smaller tiles.",
        )
    looking = _Looking(data, settings, store)
    with progress.bar("look at pictures", len(own) + len(copies) + len(held)) as bar:

        def seen(cuts: Sequence[_Cut]) -> Iterator[Unit]:
            for truth, group in _by_picture(cuts):
                rgb, mask = looking.open(truth)
                whole = perceptual_hash(rgb)
                for cut in group:
                    yield looking.unit(cut, rgb, mask, whole)
                    bar.advance()

        pool = [*sorted(seen(own), key=lambda u: u.unit_id), *sorted(seen(copies), key=lambda u: u.unit_id)]
        test = list(seen(held))
    return Units(tuple(pool), tuple(test), tested, tuple(data.classes.values()), data.schema)


def least_pool(groups: Sequence[str], tested: HeldOut, seeds: int) -> int:
    """Return the units that the seed with the smallest pool may choose from.

    Args:
        groups: of every unit that any seed may choose.
        tested: which each seed tests on.
        seeds: how many.
    """
    return min(
        sum(group not in held for group in groups) for held in {tested.by(seed) for seed in range(seeds)}
    )


def cuts_of(data: LabelledData, tested: HeldOut, settings: Simulate) -> tuple[list[_Cut], list[_Cut]]:
    """Return the units that any seed may choose, without near-duplicates, and those that any tests on."""
    own: list[_Cut] = []
    held: list[_Cut] = []
    for truth in data.truths:
        if truth.group in tested.groups:
            held += _covering(truth, settings) if data.kind == "masks" else [_Cut(truth, None)]
        if tested.always(truth.group):
            continue
        if settings.unit == "picture" or data.kind == "poses":
            own.append(_Cut(truth, None))
        else:
            own += [_Cut(truth, region) for region in _tiles(truth, settings)]
    return own, held


def _tiles(truth: Truth, settings: Simulate) -> list[Region | None]:
    width, height = _shrunk_size(glance(truth.picture).size, settings.max_side)
    side = settings.tile
    if width < side or height < side:
        return [None]
    return [
        Region(left * side, top * side, side, side)
        for top in range(height // side)
        for left in range(width // side)
    ]


def _covering(truth: Truth, settings: Simulate) -> list[_Cut]:
    """Return tiles that cover a picture, each pixel counted once: models see what they have learned from."""
    size = _shrunk_size(glance(truth.picture).size, settings.max_side)
    side = settings.tile
    if settings.unit == "picture" or min(size) < side:
        return [_Cut(truth, None)]
    lefts, tops = ([min(step * side, length - side) for step in range(-(-length // side))] for length in size)
    return [
        _Cut(
            truth,
            Region(left, top, side, side),
            known=(row * side - top, column * side - left),
        )
        for row, top in enumerate(tops)
        for column, left in enumerate(lefts)
    ]


def _copies(own: Sequence[_Cut], share: float) -> list[_Cut]:
    """Return near-duplicates of few units, as a camera makes them that stands still: so many that they are a share."""
    if not share:
        return []
    rng = np.random.default_rng(_DRAW)
    sources = rng.choice(len(own), max(1, len(own) // _SOURCES), replace=False)
    drawn = rng.choice(sources, round(len(own) * share / (1 - share)))
    return [replace(own[source], copy=number) for number, source in enumerate(sorted(drawn.tolist()), 1)]


def _by_picture(cuts: Sequence[_Cut]) -> list[tuple[Truth, list[_Cut]]]:
    groups: dict[str, tuple[Truth, list[_Cut]]] = {}
    for cut in cuts:
        groups.setdefault(cut.truth.record_id, (cut.truth, []))[1].append(cut)
    return list(groups.values())


class _Looking:
    """Turns cuts into units."""

    def __init__(self, data: LabelledData, settings: Simulate, store: Path) -> None:
        self._data, self._settings = data, settings
        self._encoder = FrozenEncoder(settings.encoder)
        self._features = FrozenFeatures(store)
        self._table = np.zeros(256, dtype=np.uint8)
        for number, value in enumerate(data.classes):
            self._table[value] = number
        self._joints = JointSettings()

    def open(self, truth: Truth) -> tuple[Pixels, Pixels | None]:
        """Load a picture and its classes; poses keep the size of their picture."""
        rgb = load_rgb(truth.picture)
        if truth.mask is None:
            return rgb, None
        mask = self._table[load_mask(truth.mask, (rgb.shape[1], rgb.shape[0]))]
        size = _shrunk_size((rgb.shape[1], rgb.shape[0]), self._settings.max_side)
        if size != (rgb.shape[1], rgb.shape[0]):
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return rgb, mask

    def unit(self, cut: _Cut, rgb: Pixels, mask: Pixels | None, digest: int) -> Unit:
        """Cut and vary, look, and label; `digest` is the hash of the whole picture, as regions of it have it."""
        truth, region = cut.truth, cut.region
        if region is not None:
            part = np.s_[region.top : region.top + region.height, region.left : region.left + region.width]
            rgb, mask = rgb[part], None if mask is None else mask[part]
        unit_id = truth.record_id if region is None else region_id(truth.record_id, region)
        record_id, moved = truth.record_id, (0, 0)
        if cut.copy:
            rgb, mask, moved = _varied(rgb, mask, cut.copy)
            unit_id, record_id = f"copy {cut.copy:05d} of {unit_id}", f"copy {cut.copy:05d} of {record_id}"
            region = None
        rgb = np.ascontiguousarray(rgb)
        digest = perceptual_hash(rgb) if cut.copy else digest
        if truth.sample is not None:
            pose = self._pose(truth.sample, rgb, moved)
            key = pose.keys[0]
            return Unit(unit_id, record_id, truth.group, region, key, digest, self._embedding(key), pose=pose)
        if mask is None:
            raise DataError(
                f"{truth.record_id} has no mask", "Give every picture a mask, or every one a pose."
            )
        key = self._seen(rgb, STEP)
        cells = cells_of(mask)
        cells[: cut.known[0] // CELL] = IGNORED
        cells[:, : cut.known[1] // CELL] = IGNORED
        return Unit(unit_id, record_id, truth.group, region, key, digest, self._embedding(key), cells=cells)

    def _pose(self, sample: PoseSample, rgb: Pixels, moved: tuple[int, int]) -> PoseUnit:
        if self._data.schema is None:
            raise DataError(f"{sample.record_id} has a pose of no schema", "Name the joints.")
        if moved != (0, 0):
            sample = replace(sample, pose=_shifted(sample.pose, moved))
        views = views_of(sample, rgb, self._data.schema, self._joints)
        keys = tuple(self._seen(view.pixels, 1) for view in views)
        return PoseUnit(sample, keys, tuple(v.points for v in views), tuple(v.hidden for v in views))

    def _seen(self, rgb: Pixels, step: int) -> str:
        key = key_of(rgb, step)
        if key not in self._features:
            self._features.append(key, self._encoder.maps(rgb, step))
        return key

    def _embedding(self, key: str) -> NDArray[np.float32]:
        return embedding_of(self._features.maps(key))


def _shrunk_size(size: tuple[int, int], most: int) -> tuple[int, int]:
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
