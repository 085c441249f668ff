"""What a batch is chosen from, and what became of each unit: the values between scores, choice and report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_REGION = re.compile(r"(.+)@(\d+),(\d+),([1-9]\d*)x([1-9]\d*)", re.DOTALL)

Floats = NDArray[np.float32] | NDArray[np.float16]


@dataclass(frozen=True)
class Region:
    """A part of a picture, in whole pixels of its original: left, top, width, height."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width}x{self.height}"

    def shared_with(self, other: Region) -> float:
        """Return how much of the smaller of two regions lies in both, in [0, 1]."""
        wide = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        high = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        smaller = min(self.width * self.height, other.width * other.height)
        return max(0, wide) * max(0, high) / smaller


def region_id(record_id: str, region: Region) -> str:
    """Return the unit id of a region: ``<record id>@<left>,<top>,<width>x<height>``."""
    return f"{record_id}@{region}"


def parted_id(unit_id: str) -> tuple[str, Region | None]:
    """Return the record id and the region that a unit id names; None where it names a whole picture."""
    found = _REGION.fullmatch(unit_id)
    if found is None:
        return unit_id, None
    left, top, width, height = (int(number) for number in found.groups()[1:])
    return found[1], Region(left, top, width, height)


@dataclass(frozen=True, eq=False)
class Pool:
    """Units that can be chosen, column by column: a unit is a picture or a region of one.

    Attributes:
        ids: of the units, each once; n of them. Of a picture its record id.
        records: the record that each unit belongs to; None where units are records.
        regions: of the units; None where units are whole pictures.
        scores: float32 of shape (n,) by name, larger is worth more of a person's time; NaN where there is none.
        embeddings: of shape (n, d), rows of length 1; may lie on disk (`numpy.memmap`). None where there are none.
        hashes: perceptual hashes, uint64 of shape (n,); None where there are none.
        contents: SHA-256 of each unit's picture; None where unknown.
        strata: the group whose quota a unit counts for; None where there are no quotas.
        classes: predicted share of the unit's pixels by class, float32 of shape (n,); empty where unknown.
        costs: expected seconds of a person's work on each unit, float32 of shape (n,); None where unknown.
    """

    ids: Sequence[str]
    records: Sequence[str] | None = None
    regions: Sequence[Region] | None = None
    scores: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    embeddings: Floats | None = None
    hashes: NDArray[np.uint64] | None = None
    contents: Sequence[str | None] | None = None
    strata: Sequence[str] | None = None
    classes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    costs: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Known:
    """What is labelled or in flight already: nothing like it is chosen again, and the batch spreads away from it.

    Attributes:
        ids: of units that must not be chosen.
        contents: SHA-256 of their pictures.
        hashes: their perceptual hashes, uint64 of shape (k,).
        embeddings: of shape (k, d), as of the pool.
        class_counts: how many of them hold each class.
    """

    ids: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()
    hashes: NDArray[np.uint64] | None = None
    embeddings: Floats | None = None
    class_counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What became of one unit.

    Attributes:
        unit_id: of the unit.
        record_id: that it belongs to.
        region: of the record; None for all of it.
        chosen: it goes to the annotators.
        control: it was drawn at random, for the measurement of what choosing brings.
        rank: place in the order of choice, from 1; None where it was not chosen.
        score: that the strategy went by; None where it has none.
        rule: what kept or dropped it, such as ``control``, ``farthest of what was chosen``, ``near-duplicate of X``,
            ``labelled already``, ``quota of barley is full``, ``beyond the batch``.
    """

    unit_id: str
    record_id: str
    region: Region | None
    chosen: bool
    control: bool
    rank: int | None
    score: float | None
    rule: str
