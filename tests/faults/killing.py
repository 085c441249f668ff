"""Pushes and pulls that are killed at random moments, some of them several times."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .client import Doomed, kill_after
from .lab import Lab
from .scenarios import SCENARIOS, Scenario

_SLOWER = 1.5
"""How much longer a process of its own takes than the undisturbed call that was timed."""


@dataclass(frozen=True)
class Killed:
    """One command that was killed and then called again.

    Attributes:
        lives: of each killed process its exit code and the seconds that it lived.
        problems: what is not as after an undisturbed call.
    """

    number: int
    scenario: str
    lives: tuple[tuple[int, float], ...]
    problems: tuple[str, ...]


def kill_at_random(lab: Lab, seed: int, number: int) -> Killed:
    """Kill the calls of one scenario at moments that the seed and the number decide."""
    dice = random.Random(f"{seed}/{number}")
    scenario: Scenario = SCENARIOS[number % len(SCENARIOS)]
    seconds = lab.prepared(scenario).seconds * _SLOWER
    lives: list[tuple[int, float]] = []

    def kill(call: Doomed) -> None:
        for _ in range(dice.choice((1, 1, 2, 3))):
            lives.append(kill_after(call, dice.uniform(0, seconds)))

    problems = lab.after_kills(scenario, kill)
    return Killed(number, scenario.name, tuple(lives), tuple(problems))
