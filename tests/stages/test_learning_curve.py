"""The power law through learning curves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.stages._learning_curve import CurvePoint, fit


def _points(a: float, b: float, counts: tuple[int, ...], half: float = 0.005) -> list[CurvePoint]:
    values = [(n, 1 - a * n**-b) for n in counts]
    return [CurvePoint(n, q, q - half, q + half) for n, q in values]


@given(st.floats(0.2, 0.9), st.floats(0.05, 0.6))
def test_a_power_law_is_found_again(a: float, b: float) -> None:
    curve = fit(_points(a, b, (20, 50, 120, 300)))
    assert curve is not None
    assert curve.at(600).quality == pytest.approx(1 - a * 600**-b, abs=1e-6)


def test_a_clear_rise_is_told_and_noise_is_not() -> None:
    clear = fit(_points(0.9, 0.4, (20, 60, 200, 600)))
    assert clear is not None
    assert clear.at(1200).is_told
    flat = fit(
        [CurvePoint(n, 0.7 + d, 0.65 + d, 0.75 + d) for n, d in ((50, 0.01), (100, -0.01), (150, 0.0))]
    )
    assert flat is not None
    forecast = flat.at(300)
    assert not forecast.is_told
    assert forecast.low < forecast.quality < forecast.high


def test_two_numbers_of_labels_are_too_few() -> None:
    assert fit([CurvePoint(10, 0.5), CurvePoint(10, 0.6), CurvePoint(20, 0.7)]) is None


def test_labels_for_a_quality() -> None:
    curve = fit(_points(0.8, 0.3, (20, 60, 200)))
    assert curve is not None
    labels = curve.labels_for(0.9, 1_000_000)
    assert labels is not None
    assert curve.at(labels).quality == pytest.approx(0.9, abs=1e-3)
    assert curve.labels_for(0.9999, 1_000_000) is None
