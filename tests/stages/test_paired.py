from __future__ import annotations

import numpy as np
import pytest

from agir_cvtoolkit.stages._paired import estimate, student


@pytest.mark.parametrize(
    ("share", "freedom", "expected"),
    [
        (0.95, 1, 6.313752), (0.95, 2, 2.919986), (0.95, 4, 2.131847), (0.95, 9, 1.833113), (0.975, 3, 3.182446),
        (0.975, 30, 2.042272), (0.5, 5, 0.0),
    ],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(share: float, freedom: int, expected: float) -> None:
    assert student(share, freedom) == pytest.approx(expected, abs=1e-5)


def test_an_interval_by_hand() -> None:
    # mean 2, s = 1, n = 3: 2 ± 2.919986 / sqrt(3)
    found = estimate([1.0, 2.0, 3.0], 0.9)
    assert (found.mean, found.count) == (2.0, 3)
    assert found.low == pytest.approx(2 - 1.685854, abs=1e-5)
    assert found.high == pytest.approx(2 + 1.685854, abs=1e-5)


def test_one_value_has_no_interval() -> None:
    found = estimate([0.5], 0.9)
    assert (found.mean, found.low, found.high) == (0.5, None, None)


def test_repetitions_that_draw_from_the_same_few_need_a_wider_interval() -> None:
    """Halves of ten things again and again: the truth is that of all things, not of these ten."""
    rng = np.random.default_rng(3)
    hits = {0.0: 0, 1.0: 0}
    for _ in range(300):
        things = rng.normal(0.0, 1.0, 10)
        halves = [float(rng.permutation(things)[:5].mean()) for _ in range(8)]
        for overlap in hits:
            found = estimate(halves, 0.9, overlap)
            assert found.low is not None
            assert found.high is not None
            hits[overlap] += found.low <= 0.0 <= found.high
    assert hits[0.0] < 0.7 * 300
    assert 0.85 * 300 < hits[1.0] < 0.99 * 300
