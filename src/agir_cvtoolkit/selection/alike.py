"""Pictures that show the same: exact copies and near-duplicates, record by record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Known
from agir_cvtoolkit.similarity.leaders import near_known, near_leaders

from .rules import ChoiceRules
from .units import Positions, Units


@dataclass(frozen=True, eq=False)
class Groups:
    """Records that show the same.

    Attributes:
        leaders: of each record the one that stands for it, its best-scored; int64 of shape (records,).
        faces: of each record one of its group, drawn at random without a look at any score; int64 of shape (records,).
    """

    leaders: Positions
    faces: Positions


def grouped(
    units: Units,
    free: NDArray[np.bool_],
    scores: NDArray[np.float32],
    rules: ChoiceRules,
    rng: np.random.Generator,
) -> Groups:
    """Group the records that have free units.

    A record leads when no better-scored leader is near it: no two leaders are near-duplicates, and every other record is
    one of its leader.

    Args:
        units: n units.
        free: bool of shape (n,): may be chosen.
        scores: float32 of shape (n,).
        rules: how near near-duplicates are.
        rng: the source of chance.
    """
    count = len(units.first)
    best = np.full(count, -np.inf, dtype=np.float32)
    np.maximum.at(best, units.records[free], np.nan_to_num(scores[free], nan=-np.inf))
    there = np.zeros(count, dtype=bool)
    there[units.records[free]] = True
    ordered = np.flatnonzero(there)
    ordered = ordered[np.argsort(-best[ordered], kind="stable")]
    leaders = np.arange(count)
    copies = np.zeros(count, dtype=bool)
    contents = units.pool.contents
    if contents is not None:
        seen: dict[str, int] = {}
        for record in ordered.tolist():
            content = contents[units.first[record]]
            if content is not None and seen.setdefault(content, record) != record:
                leaders[record], copies[record] = seen[content], True
    if units.pool.hashes is not None and rules.near_bits is not None:
        heads = ordered[~copies[ordered]]
        near = near_leaders(units.pool.hashes[units.first[heads]], rules.near_bits)
        leaders[heads] = heads[near]
        leaders[copies] = leaders[leaders[copies]]
    return Groups(leaders, _faces(leaders, ordered, rng))


def near_to_known(units: Units, known: Known, rules: ChoiceRules) -> NDArray[np.bool_]:
    """Tell of each unit whether its picture is a near-duplicate of a known one."""
    found = np.zeros(len(units.first), dtype=bool)
    if units.pool.hashes is not None and known.hashes is not None and rules.near_bits is not None:
        found = near_known(units.pool.hashes[units.first], known.hashes, rules.near_bits) >= 0
    of_units: NDArray[np.bool_] = found[units.records]
    return of_units


def _faces(leaders: Positions, ordered: Positions, rng: np.random.Generator) -> Positions:
    faces = leaders.copy()
    # Drawn for every record in the order of ids: what is drawn does not hang on the scores.
    lot = rng.random(len(leaders))
    for record in ordered[np.argsort(lot[ordered], kind="stable")].tolist():
        faces[leaders[record]] = record
    found: Positions = faces[leaders]
    return found
