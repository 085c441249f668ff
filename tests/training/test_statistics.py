"""Counts of pixels are exact, and their sums are those of all pictures at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.training.statistics import class_weights, counts_of, histogram, mean_and_std, total


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4), st.integers(0, 99))
def test_the_sum_of_pictures_is_the_statistics_of_all_pixels(sizes: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    masks = [rng.choice([0, 3, 9], size).astype(np.uint8) for size in sizes]
    counts = total(counts_of(i, m, (0, 3, 9)) for i, m in zip(images, masks, strict=True))
    pixels = np.concatenate([i.reshape(-1, 3) for i in images]) / 255
    mean, std = mean_and_std(counts)
    assert mean == pytest.approx(pixels.mean(axis=0))
    assert std == pytest.approx(pixels.std(axis=0), abs=1e-9)
    labels = np.concatenate([m.reshape(-1) for m in masks])
    assert counts.classes == tuple(int((labels == value).sum()) for value in (0, 3, 9))
    assert counts.pixels == len(labels)


def test_rare_classes_weigh_more_within_bounds() -> None:
    assert list(class_weights((900, 100, 300))) == pytest.approx([1 / 3, 3.0, 1.0])
    assert list(class_weights((1_000_000, 1))) == pytest.approx([0.5, 10.0], abs=1e-3)
    assert class_weights((50, 0)) == (1.0, 1.0)


def test_a_histogram_is_exact_beyond_what_float32_counts() -> None:
    counted = histogram(np.full((4200, 4100), 9, np.uint8))
    assert counted[9] == 4200 * 4100 > 2**24
    assert counted.sum() == counted[9]
