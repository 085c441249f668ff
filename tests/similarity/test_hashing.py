"""The perceptual hash stays under what does not change a picture, and tells different ones apart."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit.similarity.hashing import perceptual_hash


def _field(seed: int, size: tuple[int, int] = (240, 320)) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    picture = np.full((*size, 3), (120, 95, 70), np.uint8)
    for _ in range(14):
        centre = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        axes = (int(rng.integers(10, 50)), int(rng.integers(6, 24)))
        cv2.ellipse(picture, centre, axes, float(rng.integers(180)), 0, 360, (50, 160, 40), -1)
    return cv2.add(picture, rng.integers(0, 12, picture.shape, dtype=np.uint8)).astype(np.uint8)


def _apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize("seed", range(4))
def test_scaling_encoding_and_light_hardly_change_it(seed: int) -> None:
    picture = _field(seed)
    smaller = np.asarray(cv2.resize(picture, (150, 112), interpolation=cv2.INTER_AREA), np.uint8)
    coded = np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [1, 40])[1], 1), np.uint8)
    lighter = (picture * 1.15 + 8).clip(0, 255).astype(np.uint8)
    for changed in (smaller, coded, lighter):
        assert _apart(perceptual_hash(picture), perceptual_hash(changed)) <= 6


def test_different_pictures_are_far_apart() -> None:
    hashes = [perceptual_hash(_field(seed)) for seed in range(10)]
    assert min(_apart(one, other) for one, other in combinations(hashes, 2)) > 12


def test_about_half_of_the_bits_are_set() -> None:
    assert perceptual_hash(_field(3)).bit_count() == 32


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 3), (64, 64)])
def test_a_picture_of_one_colour_has_no_frequencies(size: tuple[int, int]) -> None:
    assert perceptual_hash(np.full((*size, 3), 93, np.uint8)) == 0
