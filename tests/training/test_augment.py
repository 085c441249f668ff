from __future__ import annotations

import numpy as np
import pytest

from agir_cvtoolkit.config._training import Augmentation
from agir_cvtoolkit.training.augment import augment

OFF = Augmentation(flips=False, turns=False, scale=0, brightness=0, contrast=0, colour=0, shadow=0)


def picture(height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((height, width), np.uint8)
    labels[5:20, 8:30] = 1
    labels[30:40, 40:50] = 2
    image = np.stack([labels * 60 + 40, labels * 40 + 90, labels * 20 + 50], axis=2).astype(np.uint8)
    return image, labels


def varied(
    settings: Augmentation, seed: int, size: tuple[int, int] = (48, 64)
) -> tuple[np.ndarray, np.ndarray]:
    return augment(*picture(*size), settings, np.random.default_rng(seed))


def test_all_off_changes_nothing() -> None:
    image, labels = varied(OFF, 0)
    assert (image == picture()[0]).all()
    assert (labels == picture()[1]).all()


@pytest.mark.parametrize("seed", range(8))
def test_labels_move_with_the_picture(seed: int) -> None:
    image, labels = varied(OFF.model_copy(update={"flips": True, "turns": True}), seed)
    assert image.shape == (48, 64, 3)
    assert (image[..., 0] == labels * 60 + 40).all()


def test_flips_and_turns_happen() -> None:
    flipped = {varied(OFF.model_copy(update={"flips": True}), s)[1].tobytes() for s in range(20)}
    assert flipped == {picture()[1].tobytes(), np.ascontiguousarray(picture()[1][:, ::-1]).tobytes()}
    turned = {varied(OFF.model_copy(update={"turns": True}), s, (64, 64))[1].tobytes() for s in range(40)}
    assert turned == {np.ascontiguousarray(np.rot90(picture(64, 64)[1], k)).tobytes() for k in range(4)}


@pytest.mark.parametrize("seed", range(8))
def test_zoom_keeps_edges_within_a_pixel_and_invents_no_class(seed: int) -> None:
    image, labels = varied(OFF.model_copy(update={"scale": 0.5}), seed)
    assert set(np.unique(labels).tolist()) <= {0, 1, 2}
    wrong = np.abs(image[..., 0].astype(int) - (labels.astype(int) * 60 + 40)) > 30
    assert wrong.mean() < 0.08
    assert (labels != picture()[1]).any()


@pytest.mark.parametrize("key", ["brightness", "contrast", "colour"])
def test_colours_change_and_labels_do_not(key: str) -> None:
    image, labels = varied(OFF.model_copy(update={key: 0.4}), 3)
    assert (labels == picture()[1]).all()
    ratio = image.mean(axis=(0, 1)) / picture()[0].mean(axis=(0, 1))
    assert (np.abs(ratio - 1) > 0.01).any()
    assert (ratio > 0.5).all()
    assert (ratio < 1.6).all()


def test_a_shadow_darkens_a_part_softly() -> None:
    shares = []
    for seed in range(12):
        image, labels = varied(OFF.model_copy(update={"shadow": 1.0}), seed)
        assert (labels == picture()[1]).all()
        factor = image.mean(axis=2) / picture()[0].mean(axis=2)
        assert factor.max() <= 1.01
        assert factor.min() > 0.3
        shares.append(float((factor < 0.95).mean()))
    assert 0.1 < np.mean(shares) < 0.9


def test_the_same_generator_gives_the_same_variation() -> None:
    first, second = (varied(Augmentation(shadow=1.0), 5) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert (varied(Augmentation(shadow=1.0), 6)[0] != first[0]).any()
