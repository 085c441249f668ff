from __future__ import annotations

import numpy as np
import pytest

from agir_cvtoolkit.training.calibration import BINS, Reliability, reliability_of


def said(sure: float, right: float, pixels: int = 1000) -> Reliability:
    """Of a model that says class 1 with probability `sure` everywhere and is right in a share of the pixels."""
    probabilities = np.empty((1, 2, 1, pixels), np.float32)
    probabilities[0, 1], probabilities[0, 0] = sure, 1 - sure
    labels = (np.arange(pixels) < right * pixels).astype(np.uint8).reshape(1, 1, pixels)
    return reliability_of(probabilities, labels)


def test_the_error_is_how_far_confidence_and_accuracy_lie_apart() -> None:
    assert said(0.9, 0.9).ece == pytest.approx(0.0, abs=1e-6)
    assert said(0.9, 0.6).ece == pytest.approx(0.3, abs=1e-6)
    assert said(0.6, 0.8).ece == pytest.approx(0.2, abs=1e-6)
    assert said(1.0, 1.0).ece == 0.0
    assert Reliability().ece == 0.0


def test_bins_weigh_by_their_pixels_and_errors_of_two_bins_do_not_cancel() -> None:
    both = said(0.9, 0.6, 1000) + said(0.6, 0.9, 3000)
    assert both.ece == pytest.approx(0.3, abs=1e-6)
    assert sum(both.counts) == 4000
    assert both.counts[int(0.9 * BINS)] == 1000
    assert both.hits[int(0.6 * BINS)] == 2700


def test_the_answer_is_the_most_probable_class() -> None:
    rng = np.random.default_rng(0)
    raw = rng.random((2, 3, 4, 5))
    probabilities = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    found = reliability_of(probabilities, probabilities.argmax(axis=1).astype(np.uint8))
    assert found.hits == found.counts
    assert sum(found.confidences) == pytest.approx(float(probabilities.max(axis=1).sum()), rel=1e-6)
