"""The ground of a drawn field: soil, stones, algae, and light that falls unevenly."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.float32]
Plane = NDArray[np.float32]
Size = tuple[int, int]
RNG = np.random.Generator


def smooth_noise(rng: RNG, size: Size, coarsest: float, octaves: int = 4, persistence: float = 0.55) -> Plane:
    """Return noise of several octaves, float32 of shape (height, width), scaled to [0, 1].

    Args:
        rng: where chance comes from.
        size: width and height.
        coarsest: size of the largest spots, in pixels; each octave halves it.
        octaves: how many.
        persistence: strength of an octave relative to the one before.
    """
    width, height = size
    total = np.zeros((height, width), dtype=np.float32)
    spot, strength = coarsest, 1.0
    for _ in range(octaves):
        grid = rng.random(
            (max(2, round(height / spot) + 2), max(2, round(width / spot) + 2)), dtype=np.float32
        )
        total += strength * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        spot, strength = max(spot / 2, 1.5), strength * persistence
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def soil(rng: RNG, size: Size) -> Canvas:
    """Return soil as RGB in [0, 1], float32 of shape (height, width, 3): cloddy, lit from the upper left."""
    width, height = size
    dry = np.array([0.60, 0.50, 0.39], dtype=np.float32) * rng.uniform(0.85, 1.1)
    wet = np.array([0.33, 0.255, 0.19], dtype=np.float32) * rng.uniform(0.85, 1.15)
    wetness = smooth_noise(rng, size, width / 3, 3)[..., None]
    canvas = dry * (1 - wetness) + wet * wetness
    clods = smooth_noise(rng, size, width / rng.uniform(9, 20), 5, 0.62)
    crumbs = smooth_noise(rng, size, 9, 3, 0.8) * smooth_noise(rng, size, width / 6, 2)
    grains = rng.random((height, width), dtype=np.float32)
    relief = cv2.GaussianBlur(clods * 18 + crumbs * 5 + grains * 1.8, (0, 0), 0.7)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3)
    light = np.clip(1.0 + 0.07 * (slope_x * 0.7 + slope_y), 0.5, 1.45)
    hollows = 0.7 + 0.45 * clods
    ground: Canvas = np.clip(canvas * (light * hollows)[..., None], 0, 1)
    return ground


def add_algae(canvas: Canvas, rng: RNG, amount: float) -> None:
    """Tint patches of soil green, as algae and moss do; the soil's texture stays visible.

    Args:
        canvas: RGB in [0, 1], changed in place.
        rng: where chance comes from.
        amount: share of the ground that is covered, about.
    """
    height, width = canvas.shape[:2]
    field = smooth_noise(rng, (width, height), width / 5, 5, 0.6)
    edge = float(np.quantile(field, 1 - amount))
    cover = np.clip((field - edge) / 0.07, 0, 1) * rng.uniform(0.55, 0.8)
    cover *= 0.6 + 0.4 * smooth_noise(rng, (width, height), 9, 2)
    brightness = canvas.mean(axis=2, keepdims=True)
    green = brightness * np.array([0.86, 1.24, 0.62], dtype=np.float32)
    canvas += (green - canvas) * cover[..., None].astype(np.float32)


def add_stones(canvas: Canvas, rng: RNG, count: int) -> None:
    """Lay stones on the ground: grey to ochre, shaded, each with a shadow."""
    height, width = canvas.shape[:2]
    for _ in range(count):
        radius = float(rng.gamma(2.2, 0.0045) + 0.005) * width
        centre = rng.uniform((0, 0), (width, height))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 11))
        reach = radius * rng.uniform(0.75, 1.1, 11)
        ring = np.stack([np.cos(angles) * reach, np.sin(angles) * reach * rng.uniform(0.6, 0.95)], axis=1)
        ring = _rounded(ring) + centre
        box = patch_box(ring, (width, height), round(radius) + 3)
        if box is None:
            continue
        left, top, right, bottom = box
        alpha = coverage(ring, box)
        patch = canvas[top:bottom, left:right]
        cast = np.roll(cv2.GaussianBlur(alpha, (0, 0), max(1.0, radius / 6)), round(radius / 3), (0, 1))
        patch *= (1 - 0.55 * cast)[..., None]
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        lit = 1.0 - 0.32 * ((x - centre[0]) * 0.6 + (y - centre[1])) / radius
        grain = 0.92 + 0.16 * rng.random(alpha.shape, dtype=np.float32)
        tone = np.array([0.56, 0.53, 0.49], dtype=np.float32) * rng.uniform(0.7, 1.25)
        tone *= np.array([1, rng.uniform(0.93, 1.02), rng.uniform(0.82, 1.08)], dtype=np.float32)
        stone = np.clip(tone * (lit * grain)[..., None], 0, 1)
        patch += (stone - patch) * alpha[..., None]


def add_light(canvas: Canvas, rng: RNG) -> Canvas:
    """Return the picture under uneven light: a soft large shadow in some, a colour cast, darker corners."""
    height, width = canvas.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.ones((height, width), dtype=np.float32)
    if rng.random() < 0.6:
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.15, 0.3) * width
        along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle) - offset
        along += (smooth_noise(rng, (width, height), width / 4, 2) - 0.5) * width * 0.2
        soft = rng.uniform(0.004, 0.03) * width
        light -= (rng.uniform(0.3, 0.5) / (1 + np.exp(np.clip(-along / soft, -20, 20)))).astype(np.float32)
    far = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 0.35
    cast = np.array([rng.uniform(0.96, 1.06), 1.0, rng.uniform(0.92, 1.06)], dtype=np.float32)
    shaded = np.array([0.94, 1.0, 1.1], dtype=np.float32)
    tint = cast * (shaded + (1 - shaded) * light[..., None])
    lit: Canvas = np.clip(canvas * (light * (1 - far))[..., None] * tint * rng.uniform(0.92, 1.12), 0, 1)
    return lit


def coverage(ring: NDArray[np.float64], box: tuple[int, int, int, int]) -> Plane:
    """Return how much of each pixel of a box (left, top, right, bottom) a ring covers, float32, 0 to 1."""
    left, top, right, bottom = box
    canvas = np.zeros((bottom - top, right - left), dtype=np.uint8)
    points = np.rint((ring - (left, top)) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(canvas, [points], (255,), cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / np.float32(255)


def patch_box(ring: NDArray[np.float64], size: Size, margin: int) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom (exclusive) around a ring inside a picture, None where none is."""
    low, high = np.floor(ring.min(axis=0)) - margin, np.ceil(ring.max(axis=0)) + margin
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(size[0], int(high[0])), min(size[1], int(high[1]))
    return (left, top, right, bottom) if right - left > 1 and bottom - top > 1 else None


def _rounded(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    for _ in range(2):  # Chaikin's corner cutting
        following = np.roll(ring, -1, axis=0)
        ring = np.stack([ring * 0.75 + following * 0.25, ring * 0.25 + following * 0.75], axis=1).reshape(
            -1, 2
        )
    return ring
