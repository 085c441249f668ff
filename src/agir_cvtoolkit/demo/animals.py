"""Drawn animals with 24 joints each: every build, stance, coat and side, before all kinds of ground.

Animal `i` of a seed is the same however many are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.records import Box

from ._animal_body import STANCES, Build, Point, posed, seen
from ._animal_coat import SOMETHING, Coat, Owners, filled, paint
from ._ground import RNG, Canvas, add_light, add_stones, coverage, patch_box, smooth_noise, soil

SIZE = (352, 288)
"""Width and height of a drawn picture, in pixels."""

_OWN = {
    "withers": ("chest", "neck"),
    "center": ("chest", "rump"),
    "tail_base": ("rump", "tail"),
    "throat": ("neck", "chest", "head"),
    "nose": ("nose", "muzzle"),
}
_MARGIN = 4.0


@dataclass(frozen=True, eq=False)
class Animal:
    """One drawn picture of one animal.

    Attributes:
        picture: uint8 RGB of shape (height, width, 3).
        pose: where its joints are, in the schema ``dog24``; with the box around the animal.
        stance: one of ``standing, walking, running, sitting, lying, sniffing``.
        faces: which way it looks in the picture.
    """

    picture: NDArray[np.uint8]
    pose: Pose
    stance: str
    faces: str


def draw_animal(seed: int, number: int, size: tuple[int, int] = SIZE) -> Animal:
    """Draw one animal.

    Args:
        seed: of the whole flock.
        number: of the animal.
        size: width and height in pixels, at least 64 each.

    Raises:
        ValueError: the size is too small.
    """
    if min(size) < 64:
        raise ValueError(f"a picture of {size[0]}x{size[1]} pixels is too small for an animal")
    rng = np.random.default_rng([seed, number])
    build, coat = Build.drawn(rng), Coat.drawn(rng)
    stance = str(rng.choice(STANCES))
    right = bool(rng.random() < 0.5)
    yaw = rng.normal(0, 0.42) + (0.0 if right else np.pi)
    bare = posed(build, stance, rng)
    points = seen(filled(bare, build), yaw, rng.uniform(0.0, 0.3))
    placed, scale = _placed(points, size, rng)
    canvas = _scenery(rng, size, max(point[1] for point in placed.values()))
    _shadow(canvas, placed, scale)
    owners, names = paint(canvas, placed, build, coat, scale, rng)
    _occluder(canvas, owners, placed, scale, rng)
    canvas = add_light(canvas, rng)
    noise = rng.normal(0, 0.012, canvas.shape).astype(np.float32)
    picture = (np.clip(canvas + noise, 0, 1) * 255).astype(np.uint8)
    keypoints = _keypoints(placed, owners, names, size)
    return Animal(picture, Pose(keypoints, _box(owners, size)), stance, "right" if right else "left")


def _placed(points: Mapping[str, Point], size: tuple[int, int], rng: RNG) -> tuple[dict[str, Point], float]:
    """Return points in pixels, and how many pixels a back's length has."""
    width, height = size
    flat = np.array([point[:2] for point in points.values()])
    low, high = flat.min(axis=0), flat.max(axis=0)
    fills = rng.uniform(0.55, 0.86)
    scale = float(min(width * fills / (high[0] - low[0] + 0.2), height * fills / (high[1] - low[1] + 0.2)))
    room = np.array([width, height]) - (high - low) * scale
    at = room * (rng.uniform(0.2, 0.8), rng.uniform(0.35, 0.75))
    if rng.random() < 0.08:
        at[0] += rng.choice((-1, 1)) * width * 0.18
    shift = np.array([*(at - low * scale), 0.0])
    return {name: point * scale + shift for name, point in points.items()}, scale


def _scenery(rng: RNG, size: tuple[int, int], feet: float) -> Canvas:
    """Return ground and what is behind it: soil, grass, or a room; float32 RGB in [0, 1]."""
    width, height = size
    kind = rng.random()
    ground = soil(rng, size)
    if kind < 0.5:
        green = np.array([rng.uniform(0.5, 0.9), rng.uniform(0.9, 1.25), rng.uniform(0.35, 0.6)])
        ground = np.clip(ground.mean(axis=2, keepdims=True) * green * 1.1, 0, 1).astype(np.float32)
    elif kind < 0.75:
        plain = rng.uniform(0.4, 0.75) + rng.uniform(-0.13, 0.13, 3)
        boards = 1 - 0.12 * (np.arange(height) % max(8, height // int(rng.integers(8, 20))) < 2)
        ground = (0.35 * ground + 0.65 * plain * boards[:, None, None]).astype(np.float32)
    horizon = round(feet - rng.uniform(0.15, 0.7) * height)
    if horizon > 4:
        top = np.clip(rng.uniform(0.5, 0.9) + rng.uniform(-0.12, 0.12, 3), 0, 1)
        if kind >= 0.5 or rng.random() < 0.4:
            back = np.broadcast_to(top, (horizon, width, 3)).astype(np.float32)
        else:
            leaves = smooth_noise(rng, (width, horizon), rng.uniform(12, 40), 4, 0.7)[..., None]
            tone = np.array([0.25, 0.4, 0.18]) * rng.uniform(0.7, 1.4)
            back = (tone * (0.5 + leaves)).astype(np.float32)
        ground[:horizon] = back * (0.9 + 0.2 * smooth_noise(rng, (width, horizon), width / 3, 2)[..., None])
    add_stones(ground, rng, int(rng.integers(0, 6)))
    return np.clip(ground, 0, 1).astype(np.float32)


def _shadow(canvas: Canvas, points: Mapping[str, Point], scale: float) -> None:
    paws = np.array([point[:2] for name, point in points.items() if name.endswith("_paw")])
    height, width = canvas.shape[:2]
    middle, spread = paws.mean(axis=0), max(float(np.ptp(paws[:, 0])), scale * 0.5)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    away = ((x - middle[0]) / (spread * 0.75)) ** 2 + ((y - paws[:, 1].max()) / (scale * 0.12)) ** 2
    canvas *= (1 - 0.38 * np.exp(-away))[..., None].astype(np.float32)


def _occluder(canvas: Canvas, owners: Owners, points: Mapping[str, Point], scale: float, rng: RNG) -> None:
    """Put a post, a bush or a box in front of every third animal."""
    if rng.random() > 0.33:
        return
    height, width = canvas.shape[:2]
    near = points[str(rng.choice(("center", "left_front_paw", "right_back_paw", "skull", "tail_base")))]
    reach = scale * rng.uniform(0.1, 0.24)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    shape = rng.random()
    if shape < 0.4:  # a post
        half = reach * 0.4
        ring = np.array([[-half, -height], [half, -height], [half, height], [-half, height]]) + near[:2]
        tone = np.array([0.42, 0.34, 0.26]) * rng.uniform(0.6, 1.3)
    else:  # a bush or a ball
        rough = 1 + rng.uniform(-0.25, 0.25, 40) * (shape < 0.75)
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (reach * rough)[:, None] + near[:2]
        tone = np.array([0.22, 0.38, 0.15]) if shape < 0.75 else rng.uniform(0.2, 0.9, 3)
    box = patch_box(ring, (width, height), 2)
    if box is None:
        return
    left, top, right, bottom = box
    alpha = coverage(ring, box)
    grain = smooth_noise(rng, (right - left, bottom - top), max(5.0, reach / 4), 4, 0.7)[..., None]
    patch = canvas[top:bottom, left:right]
    patch += (np.clip(tone * (0.6 + 0.6 * grain), 0, 1).astype(np.float32) - patch) * alpha[..., None]
    owners[top:bottom, left:right][alpha > 0.5] = SOMETHING


def _keypoints(
    points: Mapping[str, Point], owners: Owners, names: tuple[str, ...], size: tuple[int, int]
) -> dict[str, Keypoint]:
    """Return every joint: absent outside the picture, occluded where something else is in front of it."""
    found: dict[str, Keypoint] = {}
    for joint in load_schema("dog24").joints:
        x, y = (float(value) for value in points[joint][:2])
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            found[joint] = ABSENT
            continue
        around = owners[max(0, int(y) - 3) : int(y) + 4, max(0, int(x) - 3) : int(x) + 4]
        own = [names.index(name) for name in _own_parts(joint)]
        shown = bool(np.isin(around, own).any())
        found[joint] = Keypoint(round(x, 2), round(y, 2), "visible" if shown else "occluded")
    return found


def _own_parts(joint: str) -> tuple[str, ...]:
    if joint in _OWN:
        return _OWN[joint]
    if joint.startswith("tail"):
        return ("tail",)
    side = joint.split("_", 1)[0]
    if joint.endswith(("_ear", "_eye")):
        return (joint,)
    return (f"{side}_front",) if "front" in joint else (side,)


def _box(owners: Owners, size: tuple[int, int]) -> Box | None:
    """Return the box around the animal's visible part, with a little air; None where nothing of it shows."""
    rows, columns = np.nonzero(owners >= 0)
    if not len(rows):
        return None
    left, top = max(0.0, columns.min() - _MARGIN), max(0.0, rows.min() - _MARGIN)
    right, bottom = min(size[0], columns.max() + 1 + _MARGIN), min(size[1], rows.max() + 1 + _MARGIN)
    return Box(float(left), float(top), float(right - left), float(bottom - top))
