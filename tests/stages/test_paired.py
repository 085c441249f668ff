from __future__ import annotations

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
