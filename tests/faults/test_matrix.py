"""A pairwise part of the matrix; ``make faults`` runs all of it."""

from __future__ import annotations

from collections import Counter

import pytest

from .killing import kill_at_random
from .lab import Lab
from .matrix import chosen, columns, pairwise, run_column
from .scenarios import SCENARIOS
from .troubles import BY_NAME, TROUBLES

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SEED = 20
RANDOM_KILLS = 4


@pytest.mark.parametrize("name", BY_NAME)
def test_a_trouble_at_several_requests(lab: Lab, name: str) -> None:
    cells = [
        cell for column in columns(troubles=[BY_NAME[name]]) for cell in run_column(lab, column, pairwise)
    ]
    assert cells
    bad = [f"{c.scenario} / {c.row.title}: {c.problems}\n{c.text}" for c in cells if c.verdict == "FAIL"]
    assert not bad, "\n".join(bad)


def test_every_request_meets_several_troubles_and_every_trouble_several_requests(lab: Lab) -> None:
    by_request: Counter[tuple[str, str]] = Counter()
    by_trouble: Counter[str] = Counter()
    killed = 0
    for column in columns():
        for row in chosen(lab, column, pairwise):
            by_request[column.scenario.name, row.title] += 1
            by_trouble[column.trouble.name] += 1
            killed += column.trouble.kills
    rows = [(scenario.name, row.title) for scenario in SCENARIOS for row in lab.prepared(scenario).rows]
    assert len(rows) > 100
    assert min(by_request[row] for row in rows) >= 2
    assert min(by_trouble[trouble.name] for trouble in TROUBLES if not trouble.kills) >= 3
    assert min(by_trouble[trouble.name] for trouble in TROUBLES) >= 1
    assert killed <= 16


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_killed_at_a_random_moment(lab: Lab, number: int) -> None:
    killed = kill_at_random(lab, SEED, 2 * number)
    assert not killed.problems, f"seed {SEED}, number {number}, {killed.lives}: {killed.problems}"
