"""Variations of a tile while training, drawn from one random generator so that they can be repeated."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config._training import Augmentation

Image = NDArray[np.uint8]
Labels = NDArray[np.uint8]

_SHADOW_LIGHT = (0.35, 0.75)
_SHADOW_BLUE = 0.06


def augment(
    image: Image, labels: Labels, settings: Augmentation, rng: np.random.Generator
) -> tuple[Image, Labels]:
    """Vary a tile and its labels together.

    Args:
        image: uint8 RGB of shape (height, width, 3).
        labels: uint8 of shape (height, width).
        settings: strengths; with all of them off the tile comes back unchanged.
        rng: the only source of chance.

    Returns:
        Picture and labels of the same shapes. Labels move with the picture and only take values they had.
    """
    image, labels = _turned(image, labels, settings, rng)
    image, labels = _zoomed(image, labels, settings, rng)
    image = _recoloured(image, settings, rng)
    if settings.shadow > 0 and rng.random() < settings.shadow:
        image = _shaded(image, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def _turned(
    image: Image, labels: Labels, settings: Augmentation, rng: np.random.Generator
) -> tuple[Image, Labels]:
    if settings.flips and rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if settings.turns:
        square = labels.shape[0] == labels.shape[1]
        quarters = int(rng.integers(4)) if square else 2 * int(rng.integers(2))
        image, labels = np.rot90(image, quarters), np.rot90(labels, quarters)
    return image, labels


def _zoomed(
    image: Image, labels: Labels, settings: Augmentation, rng: np.random.Generator
) -> tuple[Image, Labels]:
    if settings.scale == 0:
        return image, labels
    reach = math.log1p(settings.scale)
    factor = math.exp(rng.uniform(-reach, reach))
    height, width = labels.shape
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    matrix = np.array([[factor, 0, x * (1 - factor)], [0, factor, y * (1 - factor)]])
    # Reflected edges: black ones would teach that black means edge.
    moved = cv2.warpAffine(
        np.ascontiguousarray(image),
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    moved_labels = cv2.warpAffine(
        np.ascontiguousarray(labels),
        matrix,
        (width, height),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(moved, dtype=np.uint8), np.asarray(moved_labels, dtype=np.uint8)


def _recoloured(image: Image, settings: Augmentation, rng: np.random.Generator) -> Image:
    if settings.brightness == settings.contrast == settings.colour == 0:
        return image
    contrast = 1 + rng.uniform(-1, 1) * settings.contrast
    brightness = 1 + rng.uniform(-1, 1) * settings.brightness
    channels = 1 + rng.uniform(-1, 1, size=3) * settings.colour
    values = np.arange(256, dtype=np.float64)
    tables = ((values - 127) * contrast + 127)[:, None] * brightness * channels
    table = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
    return np.stack([table[:, c][image[..., c]] for c in range(3)], axis=2)


def _shaded(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    side = max(height, width)
    corners = int(rng.integers(3, 7))
    centre = rng.uniform(0, 1, size=2) * (width, height)
    angles = np.sort(rng.uniform(0, 2 * math.pi, size=corners))
    radii = rng.uniform(0.25, 0.9, size=corners) * side
    points = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    cover = np.zeros((height, width), dtype=np.float32)
    cv2.fillPoly(cover, [np.rint(points).astype(np.int32).reshape(-1, 1, 2)], (1.0,))
    softness = float(rng.uniform(0.005, 0.03)) * side
    cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), softness), dtype=np.float32)
    light = rng.uniform(*_SHADOW_LIGHT)
    # Sky light fills a shadow, so blue loses least.
    loss = np.array([1 - light, 1 - light, 1 - light - _SHADOW_BLUE], dtype=np.float32)
    shaded = image * (1 - cover[..., None] * loss)
    return np.clip(np.rint(shaded), 0, 255).astype(np.uint8)
