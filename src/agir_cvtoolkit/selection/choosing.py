"""The choice: what is known and what is double goes, chance draws its slice, the strategy draws the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Choice, Known, Pool, parted_id
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.similarity.leaders import near_known

from .alike import Groups, grouped, near_to_known
from .batch import Batch
from .decisions import Decisions
from .registry import strategy
from .rules import ChoiceRules
from .scores import mixed
from .strategy import Strategy
from .units import Positions, Units
from .walk import fill

Hashes = NDArray[np.uint64]


def choose(pool: Pool, wanted: int, rules: ChoiceRules, known: Known, seed: int) -> tuple[Choice, ...]:
    """Choose a batch and tell of every unit what became of it, in the order of their ids.

    As `decide`, in values instead of columns.
    """
    return tuple(decide(pool, wanted, rules, known, seed))


def decide(pool: Pool, wanted: int, rules: ChoiceRules, known: Known, seed: int) -> Decisions:
    """Choose a batch.

    1. What is known (its id, its record's id, its content, a near-duplicate of its picture) is left out.
    2. Of pictures that are exact copies or near-duplicates, one stands for all: the best-scored.
    3. The control slice is drawn, each unit with the same chance. What it is drawn from, and what it measures, are the
       units left after 1, one picture for each group of near-duplicates, itself drawn without a look at any score.
    4. The strategy ranks what is left; units are taken in its order unless a quota is full, the picture has enough
       regions, or the unit looks by its embedding like one that is taken or known. Least quotas are filled first.

    The same pool, rules and seed give the same batch, whatever the order of the pool's rows.

    Args:
        pool: n units.
        wanted: how many to choose; fewer are chosen where there are no more.
        rules: what to go by.
        known: what is labelled or in flight.
        seed: of all chance.

    Raises:
        ConfigError: no such strategy or score, or the pool lacks what the strategy needs.
        DataError: an id comes twice, a column has another length, or a strategy returned what is no order.
    """
    chosen_by = strategy(rules.strategy, rules.options)
    _check(rules)
    units = Units(pool)
    scores, notes = _scored(units, rules, chosen_by)
    batch = Batch(units, scores, rules, known)
    _leave_out_known(batch, units, known, rules)
    groups = grouped(units, batch.free, scores, rules, np.random.default_rng([seed, 0]))
    wanted = max(0, wanted)
    population = _draw_control(batch, units, groups, rules, wanted, seed)
    _leave_out_doubles(batch, units, groups, rules)
    fill(batch, chosen_by, wanted, np.random.default_rng([seed, 2]))
    return batch.decisions(population, notes)


def _check(rules: ChoiceRules) -> None:
    if not 0 <= rules.control <= 1:
        raise ConfigError(
            f"the control slice cannot be {rules.control} of a batch", "Give a share in [0, 1]."
        )
    if rules.near_bits is not None and not 0 <= rules.near_bits <= 32:
        raise ConfigError(
            f"near-duplicates cannot differ in {rules.near_bits} of 64 bits", "Give 0 to 32, or null."
        )


def _control_count(rules: ChoiceRules, wanted: int) -> int:
    """Return the nearest number to the share, at least one of a batch of two or more."""
    return max(int(rules.control * wanted + 0.5), int(rules.control > 0 and wanted > 1))


def _scored(units: Units, rules: ChoiceRules, by: Strategy) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    needs, notes = by.needs, []
    if "classes" in needs and not units.pool.classes:
        raise ConfigError(
            f"strategy {rules.strategy} needs predicted classes, which are not known here",
            "Take another strategy, such as uncertainty-diversity.",
        )
    if "embeddings" in needs and not units.has_embeddings:
        if units.pool.hashes is None:
            raise ConfigError(
                f"strategy {rules.strategy} needs embeddings, and here are neither they nor perceptual hashes",
                "Make embeddings, or take a strategy that needs none, such as uncertainty.",
            )
        notes.append(
            "there are no embeddings: units are spread by their perceptual hashes, which see layout and not content"
        )
    if "score" not in needs and not all(name in units.pool.scores for name in rules.scores):
        return np.full(len(units.pool), np.nan, dtype=np.float32), tuple(notes)
    if "score" in needs and not rules.scores:
        raise ConfigError(f"strategy {rules.strategy} needs a score", "Name one in select.scores.")
    scores = mixed(units.pool, rules.scores)
    without = int(np.isnan(scores).sum())
    if without and "score" in needs:
        notes.append(f"{without} of {len(scores)} units have no score and come last")
    return scores, tuple(notes)


def _leave_out_known(batch: Batch, units: Units, known: Known, rules: ChoiceRules) -> None:
    pool = units.pool
    records = pool.ids if pool.records is None else pool.records
    with_regions = {record for record, region in map(parted_id, known.ids) if region is not None}
    for position, (unit, record) in enumerate(zip(pool.ids, records, strict=True)):
        if unit in known.ids or record in known.ids:
            batch.drop(position, "labelled or in flight")
        elif unit == record and record in with_regions:
            batch.drop(position, "a region of it is labelled or in flight")
        elif pool.contents is not None and pool.contents[position] in known.contents:
            batch.drop(position, "copy of a picture that is labelled or in flight")
    for position in np.flatnonzero(near_to_known(units, known, rules) & batch.free).tolist():
        batch.drop(position, "near-duplicate of what is labelled or in flight")


def _draw_control(
    batch: Batch, units: Units, groups: Groups, rules: ChoiceRules, wanted: int, seed: int
) -> int:
    drawable = np.flatnonzero(batch.free & (groups.faces[units.records] == units.records))
    count = _control_count(rules, min(wanted, len(drawable)))
    rng = np.random.default_rng([seed, 1])
    for position in drawable[rng.permutation(len(drawable))].tolist():
        if batch.size == count:
            break
        batch.take(position, "control: drawn at random", control=True)
    return len(drawable)


def _leave_out_doubles(batch: Batch, units: Units, groups: Groups, rules: ChoiceRules) -> None:
    drawn = units.records[batch.taken]
    stands = groups.leaders.copy()
    # Where chance took another one of a group than its best-scored, that one stands for it.
    stands[groups.leaders[drawn]] = drawn
    stands = stands[groups.leaders]
    free = np.flatnonzero(batch.free)
    for position in free[stands[units.records[free]] != units.records[free]].tolist():
        other = int(units.first[stands[units.records[position]]])
        contents = units.pool.contents
        same = (
            contents is not None and contents[position] is not None and contents[position] == contents[other]
        )
        batch.drop(position, "copy of" if same else "near-duplicate of", other)
    if units.pool.hashes is not None and rules.near_bits is not None and len(drawn):
        _leave_out_near_to(batch, units, units.pool.hashes, np.unique(drawn), rules.near_bits)


def _leave_out_near_to(batch: Batch, units: Units, hashes: Hashes, drawn: Positions, bits: int) -> None:
    free = np.flatnonzero(batch.free & ~np.isin(units.records, drawn))
    near = near_known(hashes[free], hashes[units.first[drawn]], bits)
    for position, found in zip(free[near >= 0].tolist(), near[near >= 0].tolist(), strict=True):
        batch.drop(position, "near-duplicate of", int(units.first[drawn[found]]))
