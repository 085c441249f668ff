"""Plants and dead leaves of a drawn field: outlines, colours, veins and shadows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ._ground import RNG, Canvas, Plane, Size, coverage, patch_box

Points = NDArray[np.float64]
Colour = tuple[float, float, float]

_SHADOW = 0.52


@dataclass(frozen=True)
class Leaf:
    """One leaf.

    Attributes:
        spine: points from stalk to tip, shape (n, 2), in pixels.
        half_width: at each of those points, in pixels.
        colour: RGB in [0, 1].
        vein: how much lighter veins are; 0 for none.
        pairs: of side veins.
        fade: RGB that margins and tip turn to.
        faded: how far they have, 0 to 1.
        alive: counts as plant.
    """

    spine: Points
    half_width: Points
    colour: Colour
    vein: float = 0.2
    pairs: int = 5
    fade: Colour = (0.72, 0.66, 0.2)
    faded: float = 0.0
    alive: bool = True


@dataclass
class Field:
    """A picture in the making: RGB in [0, 1], how much of each pixel is plant, and texture for leaves."""

    canvas: Canvas
    plant: Plane
    texture: Plane

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.canvas.shape[1], self.canvas.shape[0]

    def paint(self, leaf: Leaf, height: float) -> None:
        """Paint a leaf and the shadow that it casts from `height` pixels above what is there."""
        normals = _normals(leaf.spine)
        reach = normals * leaf.half_width[:, None]
        ring = np.concatenate([leaf.spine + reach, (leaf.spine - reach)[::-1]])
        box = patch_box(ring, self.size, round(height * 2) + 4)
        if box is None:
            return
        left, top, right, bottom = box
        alpha = coverage(ring, box)
        patch = self.canvas[top:bottom, left:right]
        shift = np.array([[1, 0, height * 0.8], [0, 1, height]], dtype=np.float32)
        cast = cv2.warpAffine(alpha, shift, (alpha.shape[1], alpha.shape[0]))
        cast = cv2.GaussianBlur(cast, (0, 0), max(0.8, height * 0.35))
        patch *= (1 - _SHADOW * cast)[..., None] * np.array([0.98, 1.0, 1.03], dtype=np.float32) ** cast[
            ..., None
        ]
        surface = self._surface(leaf, alpha, (left, top), reach)
        patch += (surface - patch) * alpha[..., None]
        if leaf.alive:
            plane = self.plant[top:bottom, left:right]
            np.maximum(plane, alpha, out=plane)
        else:
            self.plant[top:bottom, left:right] *= 1 - alpha

    def _surface(self, leaf: Leaf, alpha: Plane, origin: tuple[int, int], reach: Points) -> Canvas:
        height, width = alpha.shape
        left, top = origin
        side = np.zeros((height, width), dtype=np.uint8)
        half = np.concatenate([leaf.spine + reach, leaf.spine[::-1]]) - origin
        cv2.fillPoly(side, [_fixed(half)], (255,), cv2.LINE_AA, 4)
        inner = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        widest = max(float(leaf.half_width.max()), 1.0)
        middle = np.clip(inner / widest, 0, 1)
        grain = self.texture[top : top + height, left : left + width]
        lit = 0.86 + 0.2 * side.astype(np.float32) / 255 + 0.1 * middle + 0.3 * (grain - 0.5)
        edge = np.clip(1.15 - 1.3 * middle + 0.8 * (grain - 0.5), 0, 1)[..., None] * np.float32(leaf.faded)
        base = np.array(leaf.colour, dtype=np.float32)
        surface = (base + (np.array(leaf.fade, dtype=np.float32) - base) * edge) * lit[..., None]
        if leaf.vein > 0:
            veins = self._veins(leaf, origin, (width, height), reach)
            surface += (surface * 0.25 + leaf.vein) * veins[..., None]
        clipped: Canvas = np.clip(surface, 0, 1)
        return clipped

    @staticmethod
    def _veins(leaf: Leaf, origin: tuple[int, int], size: Size, reach: Points) -> Plane:
        drawn = np.zeros((size[1], size[0]), dtype=np.uint8)
        spine = leaf.spine - origin
        thick = max(1, round(float(leaf.half_width.max()) / 9))
        cv2.polylines(drawn, [_fixed(spine)], False, (255,), thick, cv2.LINE_AA, 4)
        for index in np.linspace(2, len(spine) - 4, leaf.pairs).astype(int).tolist():
            tip = min(index + 3, len(spine) - 1)
            for sign in (1.0, -1.0):
                line = np.stack([spine[index], spine[tip] + sign * 0.75 * reach[tip]])
                cv2.polylines(drawn, [_fixed(line)], False, (130,), 1, cv2.LINE_AA, 4)
        return drawn.astype(np.float32) / np.float32(255)


def rosette(field: Field, rng: RNG, centre: Points, reach: float) -> None:
    """Draw a broad-leaved rosette: stalked egg-shaped leaves by the golden angle, larger below."""
    count = int(rng.integers(7, 12))
    turn = rng.uniform(0, 2 * np.pi)
    tone = _tone(rng, (0.27, 0.43, 0.17))
    stressed = rng.random() < 0.35
    for number in range(count):
        share = 1 - number / count
        length = reach * (0.3 + 0.7 * share) * rng.uniform(0.85, 1.12)
        angle = turn + number * 2.39996
        spine = _spine(rng, centre, angle, length, 0.25)
        along = np.linspace(0, 1, len(spine))
        blade = np.clip((along - 0.22) / 0.78, 0, 1)
        half = np.where(along < 0.22, 0.022, 0.27 * np.sin(np.pi * blade**0.8) ** 0.8 + 0.012) * length
        half *= 1 + 0.05 * np.sin(along * 40 + angle)
        red = stressed and rng.random() < 0.6
        colour = _mixed(tone, (0.5, 0.17, 0.2), rng.uniform(0.45, 0.9)) if red else _tone(rng, tone, 0.06)
        fade: Colour = (0.55, 0.2, 0.2) if red else (0.72, 0.66, 0.2)
        faded = rng.uniform(0.2, 0.9) if share > 0.6 and rng.random() < 0.35 else 0.0
        field.paint(Leaf(spine, half, colour, 0.13, 5, fade, faded), 1.5 + reach * 0.07 * (1 - share) + 2)


def grass(field: Field, rng: RNG, centre: Points, reach: float) -> None:
    """Draw a tuft of grass: long bent blades, bluish green, the outer ones yellowing from the tip."""
    tone = _tone(rng, (0.29, 0.47, 0.3))
    for number in range(int(rng.integers(9, 17))):
        angle = rng.uniform(0, 2 * np.pi)
        length = reach * rng.uniform(0.6, 1.3)
        spine = _spine(rng, centre + rng.normal(0, reach * 0.05, 2), angle, length, 0.8)
        along = np.linspace(0, 1, len(spine))
        half = reach * rng.uniform(0.035, 0.06) * np.minimum(1, along * 6 + 0.45) * (1 - along**2.5) + 0.35
        withered = rng.random()
        colour = _tone(rng, tone, 0.06)
        if withered < 0.22:
            colour = _mixed(colour, (0.74, 0.66, 0.36), rng.uniform(0.5, 0.95))
        elif withered < 0.45:
            colour = _mixed(colour, (0.42, 0.52, 0.5), 0.8)
        field.paint(Leaf(spine, half, colour, 0.1, 0), 2 + number * reach * 0.012)


def vine(field: Field, rng: RNG, centre: Points, reach: float) -> None:
    """Draw a pea vine: a stem with pairs of oval leaflets and lobed stipules, older ones yellow."""
    tone = _tone(rng, (0.36, 0.52, 0.26))
    turn = rng.uniform(0, 2 * np.pi)
    for branch in range(int(rng.integers(2, 4))):
        heading = turn + branch * 2.1 + rng.normal(0, 0.25)
        stem = _spine(rng, centre, heading, reach * rng.uniform(0.9, 1.35), 0.9)
        field.paint(
            Leaf(
                stem, np.full(len(stem), max(0.9, reach * 0.016)), _mixed(tone, (0.6, 0.66, 0.4), 0.4), 0, 0
            ),
            2,
        )
        age = rng.random()
        for index in range(2, len(stem), 3):
            step = stem[index] - stem[index - 1]
            ahead = float(np.arctan2(step[1], step[0]))
            for sign in (1, -1):
                length = reach * rng.uniform(0.26, 0.4) * (1.1 - 0.4 * index / len(stem))
                spine = _spine(rng, stem[index], ahead + sign * rng.uniform(0.75, 1.25), length, 0.2)
                along = np.linspace(0, 1, len(spine))
                half = 0.34 * length * np.sin(np.pi * np.clip(along, 0.015, 0.985) ** 0.9) ** 0.6
                half *= 1 - 0.16 * np.abs(np.sin(along * 2.5 * np.pi)) * (age > 0.5)
                old = rng.random() < 0.42 * (1.3 - index / len(stem))
                colour = (
                    _mixed(tone, (0.78, 0.7, 0.28), rng.uniform(0.45, 1.0)) if old else _tone(rng, tone, 0.06)
                )
                faded = rng.uniform(0.3, 0.9) if rng.random() < 0.3 else 0.0
                field.paint(Leaf(spine, half, colour, 0.12, 4, (0.8, 0.74, 0.4), faded), 2 + reach * 0.03)


PLANTS: Mapping[str, Callable[[Field, RNG, Points, float], None]] = {
    "palmer amaranth": rosette,
    "winter wheat": grass,
    "winter pea": vine,
}
"""How to draw each species."""


def dead_leaf(field: Field, rng: RNG, centre: Points, length: float) -> None:
    """Draw a leaf that fell: brown, straw or still olive; it is no plant any more."""
    spine = _spine(rng, centre, rng.uniform(0, 2 * np.pi), length, 0.5)
    along = np.linspace(0, 1, len(spine))
    straw = rng.random() < 0.45
    half = (
        length
        * (0.035 if straw else rng.uniform(0.16, 0.3))
        * np.sin(np.pi * np.clip(along, 0.03, 0.97)) ** 0.6
    )
    half *= 1 + 0.16 * rng.standard_normal(len(spine)) * (not straw)
    palette: list[Colour] = [
        (0.45, 0.31, 0.18),
        (0.6, 0.46, 0.26),
        (0.7, 0.6, 0.37),
        (0.46, 0.47, 0.2),
        (0.4, 0.43, 0.17),
    ]
    colour = _tone(rng, palette[int(rng.integers(len(palette)))], 0.08)
    pairs = 0 if straw else 4
    field.paint(
        Leaf(
            spine,
            np.maximum(half, 0.5),
            colour,
            0.0 if straw else 0.06,
            pairs,
            (0.36, 0.25, 0.15),
            0.8,
            False,
        ),
        1.5,
    )


def _spine(rng: RNG, start: Points, angle: float, length: float, bend: float, points: int = 16) -> Points:
    curl = rng.normal(0, bend)
    headings = angle + curl * np.linspace(0, 1, points)
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / points)
    path: Points = start + np.concatenate([np.zeros((1, 2)), np.cumsum(steps[1:], axis=0)])
    return path


def _normals(spine: Points) -> Points:
    along = np.gradient(spine, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return np.stack([-along[:, 1], along[:, 0]], axis=1)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.rint(points * 16).astype(np.int32).reshape(-1, 1, 2)


def _tone(rng: RNG, colour: Colour, spread: float = 0.12) -> Colour:
    light = rng.normal(1, spread)
    red, green, blue = (float(np.clip(c * light * rng.normal(1, spread / 3), 0, 1)) for c in colour)
    return red, green, blue


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue
