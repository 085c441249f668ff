"""What a pose model learns from: pictures with poses, and the variations in which they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config._pose import PoseAugmentation, PoseTrain
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.pose_crop import crop_around
from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.poses import Pose, box_of

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class PoseSample:
    """One animal in one picture, as a person sees it.

    Attributes:
        record_id: of the picture; several animals of one picture have the same.
        picture: file; poses are in pixels of the upright picture.
        size: width and height of the upright picture.
    """

    record_id: str
    picture: Path
    pose: Pose
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class PoseView:
    """A sample as the network is shown it.

    Attributes:
        pixels: uint8 RGB (size, size, 3).
        points: float64 (joints, 2) in pixels of it, NaN where a joint is absent or outside.
        hidden: float32 (joints,), 1 for occluded joints.
    """

    pixels: RGB
    points: NDArray[np.float64]
    hidden: NDArray[np.float32]


def points_of(pose: Pose, schema: JointSchema) -> NDArray[np.float64]:
    """Return the places of a pose's joints, float64 (joints, 2) in the order of the schema, NaN where absent."""
    found = np.full((len(schema.joints), 2), np.nan)
    for name, point in pose.there.items():
        if name in schema.joints:
            found[schema.index(name)] = point.x, point.y
    return found


def usable(samples: Sequence[PoseSample], schema: JointSchema) -> list[PoseSample]:
    """Return the samples that a model can learn from, in a fixed order: those with a joint of the schema inside.

    Raises:
        DataError: there is none.
    """
    chosen = []
    for sample in samples:
        points = points_of(sample.pose, schema)
        width, height = sample.size
        inside = (points >= 0).all(axis=1) & (points[:, 0] <= width) & (points[:, 1] <= height)
        if inside.any():
            chosen.append(sample)
    if not chosen:
        raise DataError(
            f"none of {len(samples)} poses has a joint of the schema {schema.name} inside its picture",
            "Check the joints' names against docs/pose.md, and bring corrected poses first.",
        )
    return sorted(chosen, key=lambda s: (s.record_id, str(s.picture), points_of(s.pose, schema).tobytes()))


def load_sample(sample: PoseSample) -> RGB:
    """Load a sample's picture.

    Raises:
        PictureError: it is missing or damaged.
        DataError: it is not of the size that the pose is reckoned in.
    """
    rgb = load_rgb(sample.picture)
    if (rgb.shape[1], rgb.shape[0]) != sample.size:
        raise DataError(
            f"picture {sample.picture} of record {sample.record_id} is {rgb.shape[1]}x{rgb.shape[0]}, "
            f"its pose is for {sample.size[0]}x{sample.size[1]}",
            "Bring the corrections and their pictures again.",
        )
    return rgb


def view_of(
    sample: PoseSample, rgb: RGB, schema: JointSchema, settings: PoseTrain, rng: np.random.Generator | None
) -> PoseView:
    """Return a sample as the network is shown it.

    Args:
        sample: with a pose.
        rgb: its picture.
        schema: the joints, in the network's order.
        settings: size, padding and strength of the variations.
        rng: decides how it is varied; None shows the animal's box as it is.
    """
    model = settings.model
    box = box_of(sample.pose, schema.joints)
    points = points_of(sample.pose, schema)
    hidden = np.array(
        [sample.pose.at(name).visibility == "occluded" for name in schema.joints], dtype=np.float32
    )
    if rng is None:
        crop = crop_around(box, sample.size, model.input_size, model.padding)
        return PoseView(crop.pixels(rgb), _inside(crop.to_input(points), model.input_size), hidden)
    wanted = settings.augmentation
    # Drawn whether used or not, so that one variation does not depend on the strength of another.
    whole, flip = rng.random() < wanted.whole_picture, rng.random() < 0.5
    zoom = (1 + wanted.zoom) ** rng.uniform(-1, 1)
    shift = float(rng.uniform(-1, 1)) * wanted.shift, float(rng.uniform(-1, 1)) * wanted.shift
    turn = float(rng.uniform(-1, 1)) * wanted.turn
    crop = crop_around(
        None if whole else box,
        sample.size,
        model.input_size,
        model.padding,
        turn=turn,
        zoom=float(zoom),
        shift=shift,
    )
    pixels, moved = crop.pixels(rgb), crop.to_input(points)
    if flip and wanted.flips and schema.pairs:
        order = list(schema.mirrored)
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        moved = moved[order] * (-1, 1) + (model.input_size, 0)
        hidden = hidden[order]
    return PoseView(_coloured(pixels, wanted, rng), _inside(moved, model.input_size), hidden)


def _inside(points: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    kept = points.copy()
    kept[~((points >= 0) & (points < size)).all(axis=1)] = np.nan
    return kept


def _coloured(pixels: RGB, wanted: PoseAugmentation, rng: np.random.Generator) -> RGB:
    values = pixels.astype(np.float32)
    middle = values.mean()
    contrast = 1 + wanted.contrast * rng.uniform(-1, 1)
    channels = 1 + wanted.colour * rng.uniform(-1, 1, 3)
    factor = (1 + wanted.brightness * rng.uniform(-1, 1)) * channels
    values = ((values - middle) * np.float32(contrast) + middle) * factor.astype(np.float32)
    return np.asarray(values.clip(0, 255).round(), dtype=np.uint8)
