from __future__ import annotations

import pytest

from agir_cvtoolkit.training.schedules import rate_factor


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 100])
def test_the_rate_rises_and_falls_once(schedule: str, steps: int) -> None:
    factors = [rate_factor(step, steps, schedule, 0.25) for step in range(steps + 1)]
    top = factors.index(max(factors))
    assert factors[top] == 1
    assert all(0 < f <= 1 for f in factors)
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_each_schedule_falls_in_its_way_and_warming_up_can_be_left_out() -> None:
    assert [rate_factor(s, 100, "constant", 0.0) for s in (0, 50, 99)] == [1.0, 1.0, 1.0]
    assert rate_factor(50, 100, "cosine", 0.0) == pytest.approx(0.5)
    assert rate_factor(50, 100, "poly", 0.0) == pytest.approx(0.5**0.9)
    assert rate_factor(0, 100, "constant", 0.1) == pytest.approx(0.04)
    assert rate_factor(10, 100, "constant", 0.1) == 1.0
