"""Singular and plural."""

from __future__ import annotations

import pytest

from agir_cvtoolkit.cli._counted import counted, spent


def test_one_is_one_and_all_else_several() -> None:
    assert [counted(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert counted(2, "frame holds", "frames hold") == "2 frames hold"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 second"),
        (40, "40 seconds"),
        (60, "1 minute"),
        (3000, "50 minutes"),
        (3590, "1 hour"),
        (5400, "1.5 hours"),
        (7_200_000, "2,000.0 hours"),
    ],
)
def test_work_is_told_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert spent(seconds) == said
