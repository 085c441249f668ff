"""What is put together to animals: joints as they were drawn, and boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.records import Box

SAME_PX = 0.5
"""Two points so near are one that was drawn twice."""


@dataclass(frozen=True)
class Mark:
    """One joint as somebody drew it; `spelled` is the label's own name."""

    joint: str
    spelled: str
    point: Keypoint
    group: int = 0


@dataclass(frozen=True)
class SeenBox:
    """A box around an animal."""

    box: Box
    group: int
    attributes: Mapping[str, str]


@dataclass
class Animal:
    """One animal on the way."""

    group: int = 0
    marks: list[Mark] = field(default_factory=list)
    box: SeenBox | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    def placed(self) -> list[Mark]:
        """Return the joints that have a place."""
        return [mark for mark in self.marks if mark.point.is_there]

    def has(self, joint: str) -> bool:
        """Whether a joint has a place."""
        return any(mark.joint == joint and mark.point.is_there for mark in self.marks)


def merged(marks: Sequence[Mark]) -> list[Mark]:
    """Return points without those that repeat another one of their joint."""
    kept: dict[str, list[Mark]] = {}
    for mark in marks:
        same = kept.setdefault(mark.joint, [])
        if all(way(other, mark) > SAME_PX for other in same):
            same.append(mark)
    return [mark for same in kept.values() for mark in same]


def best_names(marks: Iterable[Mark], schema: JointSchema) -> dict[str, str]:
    ranks = {name: rank for rank, name in enumerate(schema.aliases)}
    best: dict[str, str] = {}
    for mark in marks:
        known = best.get(mark.joint)
        if known is None or _rank(mark.spelled, mark.joint, ranks) < _rank(known, mark.joint, ranks):
            best[mark.joint] = mark.spelled
    return best


def _rank(spelled: str, joint: str, ranks: Mapping[str, int]) -> tuple[int, str]:
    return (-1 if spelled == joint else ranks.get(spelled, len(ranks)), spelled)


def distance(point: Keypoint, box: Box) -> float:
    """Return how far a point lies outside a box, 0 inside."""
    away_x = max(box.x - point.x, 0.0, point.x - box.x - box.width)
    away_y = max(box.y - point.y, 0.0, point.y - box.y - box.height)
    return math.hypot(away_x, away_y)


def way(first: Mark, second: Mark) -> float:
    return math.hypot(first.point.x - second.point.x, first.point.y - second.point.y)


def named(mark: Mark) -> str:
    return f"'{mark.spelled}' at ({mark.point.x:g}, {mark.point.y:g})"
