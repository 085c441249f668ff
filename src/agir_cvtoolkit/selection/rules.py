"""What a choice goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agir_cvtoolkit.errors import ConfigError


@dataclass(frozen=True)
class Quota:
    """How many units of a group the batch holds.

    Attributes:
        of: what the group is: of the strata of the pool, or of its classes.
        name: of the stratum or class.
        least: taken first, as far as the pool has them.
        most: no more than these; None for no bound. The control slice, which nothing may bend, counts but is not cut.
    """

    of: Literal["stratum", "class"]
    name: str
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        if self.least < 0 or (self.most is not None and self.most < self.least):
            raise ConfigError(
                f"the quota of {self.name} asks for at least {self.least} and at most {self.most}",
                "At least is 0 or more, at most is not below it.",
            )


@dataclass(frozen=True)
class ChoiceRules:
    """What a choice goes by.

    Attributes:
        strategy: a shipped name, ``package.module:Class`` or ``file.py:Class``; see `strategy`.
        options: keyword arguments of the strategy.
        scores: weight of each score of the pool. One is taken as it is, several are mixed by their ranks (see `mixed`).
        control: share of the batch that is drawn at random, in [0, 1].
        near_bits: perceptual hashes that differ in at most so many of 64 bits are near-duplicates; None to keep them.
        alike: units whose embeddings have at least this cosine are near-duplicates; None to keep them.
        quotas: bounds of groups.
        class_share: share of a unit's pixels from which on it counts for a class, in (0, 1].
        per_record: at most so many regions of one picture; None for no bound.
        exact_up_to: a pool of more units is thinned out to so many before the strategy sees it.
    """

    strategy: str = "class-doubt"
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=lambda: {"uncertainty": 1.0})
    control: float = 0.10
    near_bits: int | None = 4
    alike: float | None = 0.98
    quotas: tuple[Quota, ...] = ()
    class_share: float = 0.01
    per_record: int | None = None
    exact_up_to: int = 100_000
