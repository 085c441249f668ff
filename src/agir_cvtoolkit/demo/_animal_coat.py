"""The coat of a drawn animal: rounded parts, painted from the farthest to the nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ._animal_body import SIDES, Build, Point
from ._ground import RNG, Canvas, patch_box, smooth_noise

Owners = NDArray[np.int16]
NOBODY = -1
SOMETHING = -2
"""What a pixel shows that is no part of the animal: the ground, or what stands in front."""

_COATS = (
    (0.62, 0.42, 0.22), (0.36, 0.24, 0.15), (0.16, 0.15, 0.15), (0.86, 0.8, 0.68), (0.55, 0.53, 0.5),
    (0.72, 0.5, 0.26), (0.46, 0.17, 0.1), (0.93, 0.92, 0.9),
)  # fmt: skip


@dataclass(frozen=True)
class Coat:
    """Colours of one animal, RGB in [0, 1], and where they go.

    Attributes:
        patched: share of the body that has the second colour, in spots; 0 for none.
        socks, light_muzzle: whether paws and muzzle have the second colour.
    """

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    patched: float
    socks: bool
    light_muzzle: bool

    @staticmethod
    def drawn(rng: RNG) -> Coat:
        """Return a coat by chance."""
        first, second = (
            tuple(float(v) for v in np.clip(np.array(_COATS[i]) * rng.uniform(0.8, 1.2), 0.05, 0.97))
            for i in rng.choice(len(_COATS), 2, replace=False)
        )
        patched = rng.uniform(0.15, 0.5) if rng.random() < 0.4 else 0.0
        return Coat(first, second, patched, bool(rng.random() < 0.35), bool(rng.random() < 0.4))  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Part:
    """A tapered rod with round ends between two points."""

    name: str
    ends: tuple[str, str]
    radii: tuple[float, float]
    tone: str = "coat"


def parts_of(build: Build) -> tuple[_Part, ...]:
    """Return the parts of a body; each is called after the joints whose surface it is."""
    girth, limb = build.girth, 0.035 + build.girth * 0.12
    found = [
        _Part("chest", ("chest", "middle"), (girth, girth * 0.92)),
        _Part("rump", ("middle", "rear"), (girth * 0.9, girth * 0.8)),
        _Part("neck", ("chest_top", "skull"), (girth * 0.72, build.head * 0.5)),
        _Part("head", ("skull", "brow"), (build.head * 0.56, build.head * 0.5)),
        _Part("muzzle", ("brow", "nose"), (build.head * 0.36, build.head * 0.24), "muzzle"),
        _Part("tail", ("tail_base", "tail_mid_1"), (0.045 * build.bushy, 0.05 * build.bushy)),
        _Part("tail", ("tail_mid_1", "tail_mid_2"), (0.05 * build.bushy, 0.05 * build.bushy)),
        _Part("tail", ("tail_mid_2", "tail_tip"), (0.05 * build.bushy, 0.02 * build.bushy), "tip"),
    ]
    for side, _ in SIDES:
        fore, back = f"{side}_front", side
        found += [
            _Part(fore, (f"{fore}_shoulder", f"{fore}_elbow"), (girth * 0.5, limb * 1.25)),
            _Part(fore, (f"{fore}_elbow", f"{fore}_paw"), (limb * 1.15, limb * 0.8), "leg"),
            _Part(fore, (f"{fore}_paw", f"{fore}_toe"), (limb * 0.9, limb * 0.75), "paw"),
            _Part(back, (f"{side}_hip", f"{side}_knee"), (girth * 0.62, limb * 1.7)),
            _Part(back, (f"{side}_knee", f"{side}_hock"), (limb * 1.6, limb * 0.9)),
            _Part(back, (f"{side}_hock", f"{side}_back_paw"), (limb * 0.9, limb * 0.8), "leg"),
            _Part(back, (f"{side}_back_paw", f"{side}_back_toe"), (limb * 0.9, limb * 0.75), "paw"),
            _Part(f"{side}_ear", (f"{side}_ear_root", f"{side}_ear"), (0.06, 0.03), "ear"),
            _Part(f"{side}_eye", (f"{side}_eye", f"{side}_eye"), (0.026, 0.026), "eye"),
        ]
    found.append(_Part("nose", ("nose", "nose"), (build.head * 0.17, build.head * 0.17), "nose"))
    return tuple(found)


def filled(points: Mapping[str, Point], build: Build) -> dict[str, Point]:
    """Add the inner points at which parts of the body end."""
    at = dict(points)
    lower = np.array([0, 0, -build.girth * 0.95])
    along = (at["withers"] - at["tail_base"]) / np.linalg.norm(at["withers"] - at["tail_base"])
    at["chest"] = at["withers"] + lower - along * 0.06
    at["middle"] = at["center"] + lower * 0.9
    at["rear"] = at["tail_base"] + lower * 0.8 + along * 0.08
    at["chest_top"] = at["withers"] - along * 0.04 + lower * 0.45
    at["brow"] = at["skull"] + (at["nose"] - at["skull"]) * 0.4
    for side, _ in SIDES:
        for paw, toe in (
            (f"{side}_front_paw", f"{side}_front_toe"),
            (f"{side}_back_paw", f"{side}_back_toe"),
        ):
            at[toe] = at[paw] + np.array([0.06, 0, 0])
    return at


def paint(
    canvas: Canvas, points: Mapping[str, Point], build: Build, coat: Coat, scale: float, rng: RNG
) -> tuple[Owners, tuple[str, ...]]:
    """Paint an animal and return which part each pixel shows, int16 of shape (height, width), and their names.

    Args:
        canvas: RGB in [0, 1], changed in place.
        points: in pixels (right, down, depth), with the inner points.
        build: of the animal.
        coat: of the animal.
        scale: pixels for one back's length.
        rng: where chance comes from.
    """
    height, width = canvas.shape[:2]
    owners = np.full((height, width), NOBODY, dtype=np.int16)
    parts = parts_of(build)
    names = tuple(dict.fromkeys(part.name for part in parts))
    fur = smooth_noise(rng, (width, height), max(6.0, scale / 9), 4, 0.75)
    spots = smooth_noise(rng, (width, height), max(12.0, scale / 2.2), 2) < coat.patched
    depths = [points[name][2] for part in parts for name in part.ends]
    near, span = min(depths), max(max(depths) - min(depths), 1e-6)
    for part in sorted(parts, key=lambda p: -_depth(p, points, scale)):
        first, second = (points[name] for name in part.ends)
        radii = part.radii[0] * scale, part.radii[1] * scale
        ends = np.stack([first[:2], second[:2]])
        box = patch_box(ends, (width, height), round(max(radii)) + 3)
        if box is None:
            continue
        left, top, right, bottom = box
        where = np.s_[top:bottom, left:right]
        alpha = _rod(ends - (left, top), radii, (right - left, bottom - top))
        tone = _tone(part, coat, spots[where])
        far = (min(first[2], second[2]) - near) / span
        lit = (0.72 + 0.36 * _relief(alpha, max(radii))) * (1 - 0.32 * far) * (0.84 + 0.32 * fur[where])
        surface = np.clip(tone * lit[..., None], 0, 1)
        canvas[where] += (surface - canvas[where]) * alpha[..., None]
        owners[where][alpha > 0.5] = names.index(part.name)
    return owners, names


def _depth(part: _Part, points: Mapping[str, Point], scale: float) -> float:
    """Return how far the front of a part is away, in pixels."""
    middle = float(points[part.ends[0]][2] + points[part.ends[1]][2]) / 2
    return middle - float(np.mean(part.radii)) * scale


def _tone(part: _Part, coat: Coat, spots: NDArray[np.bool_]) -> NDArray[np.float32]:
    first, second = (np.array(c, dtype=np.float32) for c in (coat.first, coat.second))
    if part.tone in {"eye", "nose"}:
        return np.array([0.05, 0.04, 0.04], dtype=np.float32)
    if part.tone == "ear":
        return first * np.float32(0.72)
    if (part.tone == "paw" and coat.socks) or (part.tone in {"muzzle", "tip"} and coat.light_muzzle):
        return second
    if part.tone in {"leg", "paw"} or coat.patched == 0:
        return first
    mixed: NDArray[np.float32] = np.where(spots[..., None], second, first)
    return mixed


def _rod(ends: Point, radii: tuple[float, float], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return how much of each pixel a tapered rod covers, float32 of shape (height, width)."""
    drawn = np.zeros((size[1], size[0]), dtype=np.uint8)
    for centre, radius in zip(ends, radii, strict=True):
        at = (round(float(centre[0]) * 16), round(float(centre[1]) * 16))
        cv2.circle(drawn, at, max(8, round(radius * 16)), (255,), -1, cv2.LINE_AA, 4)
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    if length > 1e-3:
        across = np.array([-along[1], along[0]]) / length * np.array(radii)[:, None]
        ring = np.concatenate([ends + across, (ends - across)[::-1]])
        cv2.fillConvexPoly(drawn, np.rint(ring * 16).astype(np.int32), (255,), cv2.LINE_AA, 4)
    return drawn.astype(np.float32) / np.float32(255)


def _relief(alpha: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Return light that falls from above on something round, float32 in [0, 1]."""
    soft = cv2.GaussianBlur(alpha, (0, 0), max(1.0, radius * 0.45))
    slope = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3) * np.float32(max(1.0, radius) * 0.22)
    lit: NDArray[np.float32] = np.clip(0.55 + slope, 0, 1)
    return lit
