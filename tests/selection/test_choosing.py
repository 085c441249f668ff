from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.choosing import Choice, Known, Pool, Region, region_id
from agir_cvtoolkit.errors import ConfigError, DataError
from agir_cvtoolkit.selection import STRATEGIES, ChoiceRules, Quota, choose, decide

from .pools import pool_of

names = st.sampled_from(sorted(STRATEGIES))


def shuffled(pool: Pool, seed: int) -> Pool:
    order = np.random.default_rng(seed).permutation(len(pool))

    def moved(values: list[str] | None) -> list[str] | None:
        return None if values is None else [values[index] for index in order]

    assert pool.embeddings is not None
    assert pool.hashes is not None
    return Pool(
        ids=[pool.ids[index] for index in order],
        scores={name: values[order] for name, values in pool.scores.items()},
        embeddings=pool.embeddings[order],
        hashes=pool.hashes[order],
        contents=moved(list(pool.contents or ())),  # type: ignore[arg-type]
        strata=moved(list(pool.strata or ())),
        classes={name: values[order] for name, values in pool.classes.items()},
    )


def chosen(choices: tuple[Choice, ...]) -> list[Choice]:
    return sorted((one for one in choices if one.chosen), key=lambda one: one.rank or 0)


@settings(max_examples=25, deadline=None)
@given(names, st.integers(0, 60), st.integers(0, 70), st.floats(0, 0.9), st.integers(0, 3))
def test_the_batch_is_as_large_as_wanted_and_holds_no_unit_twice(
    name: str, count: int, wanted: int, doubles: float, seed: int
) -> None:
    pool = pool_of(count, seed, doubles=doubles)
    rules = ChoiceRules(strategy=name, near_bits=2, alike=None)
    choices = choose(pool, wanted, rules, Known(), seed)
    assert sorted(one.unit_id for one in choices) == sorted(pool.ids)
    batch = chosen(choices)
    assert [one.rank for one in batch] == list(range(1, len(batch) + 1))
    if len(batch) < wanted:
        assert all("copy" in one.rule or "near-duplicate" in one.rule for one in choices if not one.chosen)
    else:
        assert len(batch) == wanted
    assert all(one.rule for one in choices)


@settings(max_examples=25, deadline=None)
@given(names, st.integers(2, 40), st.floats(0, 1))
def test_the_control_slice_has_its_share_and_comes_first(name: str, wanted: int, share: float) -> None:
    choices = choose(pool_of(60), wanted, ChoiceRules(strategy=name, control=share), Known(), 1)
    control = [one for one in chosen(choices) if one.control]
    assert len(control) == max(int(share * wanted + 0.5), int(share > 0))
    assert [one.rank for one in control] == list(range(1, len(control) + 1))


def test_the_control_slice_is_a_share_of_what_there_is_where_more_is_asked_for() -> None:
    choices = choose(pool_of(20), 500, ChoiceRules(near_bits=None, alike=None), Known(), 1)
    assert (len(chosen(choices)), sum(one.control for one in choices)) == (20, 2)


@settings(max_examples=25, deadline=None)
@given(names, st.integers(0, 1000))
def test_the_order_of_the_rows_changes_nothing(name: str, seed: int) -> None:
    pool = pool_of(40, 2, doubles=0.3)
    rules = ChoiceRules(strategy=name, quotas=(Quota("stratum", "rye", least=3, most=5),))
    assert choose(pool, 12, rules, Known(), 5) == choose(shuffled(pool, seed), 12, rules, Known(), 5)


@settings(max_examples=25, deadline=None)
@given(names, st.integers(0, 12), st.integers(0, 12), st.integers(0, 2))
def test_quotas_are_kept_but_for_the_control_slice(name: str, least: int, most: int, seed: int) -> None:
    least, most = min(least, most), max(least, most)
    pool = pool_of(60, seed)
    quotas = (Quota("stratum", "rye", least=least, most=most), Quota("class", "vetch", most=4))
    choices = choose(pool, 20, ChoiceRules(strategy=name, quotas=quotas), Known(), seed)
    of = dict(zip(pool.ids, pool.strata or (), strict=True))
    vetch = {unit for unit, share in zip(pool.ids, pool.classes["vetch"], strict=True) if share > 0.01}
    batch = chosen(choices)
    rye = [one for one in batch if of[one.unit_id] == "rye"]
    assert len(rye) >= least
    assert len(rye) <= max(most, sum(one.control for one in rye))
    grown = [one for one in batch if one.unit_id in vetch]
    assert len(grown) <= max(4, sum(one.control for one in grown))
    assert len(batch) == 20


@settings(max_examples=25, deadline=None)
@given(names, st.integers(0, 5), st.floats(0, 0.9))
def test_nothing_like_what_is_known_is_chosen(name: str, bits: int, doubles: float) -> None:
    pool = pool_of(50, 3, doubles=doubles)
    assert pool.hashes is not None
    assert pool.embeddings is not None
    known = Known(
        ids=frozenset(pool.ids[:3]),
        contents=frozenset(str(content) for content in (pool.contents or ())[3:6]),
        hashes=pool.hashes[6:12],
        embeddings=pool.embeddings[12:15],
    )
    choices = choose(pool, 20, ChoiceRules(strategy=name, near_bits=bits, alike=0.99), known, 0)
    place = {unit: index for index, unit in enumerate(pool.ids)}
    taken = [place[one.unit_id] for one in chosen(choices)]
    control = {place[one.unit_id] for one in chosen(choices) if one.control}
    assert not set(taken) & set(range(15))
    for index in taken:
        apart = [int(one ^ pool.hashes[index]).bit_count() for one in pool.hashes[6:12]]
        assert min(apart) > bits
        for other in taken:
            if other < index:
                assert int(pool.hashes[index] ^ pool.hashes[other]).bit_count() > bits
                if not {index, other} <= control:
                    assert float(pool.embeddings[index] @ pool.embeddings[other]) < 0.99


def test_of_near_duplicates_the_best_scored_is_kept() -> None:
    pool = Pool(
        ids=["a", "b", "c"],
        scores={"uncertainty": np.array([0.1, 0.9, 0.5], dtype=np.float32)},
        hashes=np.array([7, 6, 1 << 60], dtype=np.uint64),
    )
    rules = ChoiceRules(strategy="uncertainty", control=0, near_bits=1)
    rules_of = {one.unit_id: one.rule for one in choose(pool, 2, rules, Known(), 0)}
    assert rules_of == {"a": "near-duplicate of b", "b": "highest score", "c": "highest score"}


def test_every_unit_is_as_likely_in_the_control_slice() -> None:
    pool = pool_of(20)
    rules = ChoiceRules(strategy="uncertainty", control=0.5)
    drawn = np.zeros(20)
    for seed in range(2000):
        found = decide(pool, 8, rules, Known(), seed)
        drawn += found.control
    # Four of twenty each time: 400 expected, 18 the standard deviation.
    assert np.all(np.abs(drawn - 400) < 5 * 18)


def test_likeness_cuts_nothing_off_the_control_slice() -> None:
    pool = replace(pool_of(10), embeddings=np.full((10, 4), 0.5, dtype=np.float32))
    choices = choose(pool, 10, ChoiceRules(strategy="uncertainty", control=0.5), Known(), 0)
    assert [one.control for one in choices if one.chosen] == [True] * 5
    assert sum(one.rule.startswith("looks like ") for one in choices) == 5


def test_a_copy_is_called_one_whichever_was_drawn() -> None:
    pool = replace(pool_of(4), contents=["x"] * 4)
    for seed in range(4):
        choices = choose(pool, 2, ChoiceRules(control=0.5), Known(), seed)
        (drawn,) = [one.unit_id for one in choices if one.chosen]
        assert {one.rule for one in choices if not one.chosen} == {f"copy of {drawn}"}


def test_scores_decide_nothing_about_the_control_slice() -> None:
    pool = pool_of(60, doubles=0.5)
    turned = replace(pool, scores={"uncertainty": 1 - pool.scores["uncertainty"]})
    rules = ChoiceRules(strategy="uncertainty", control=0.2, alike=None, near_bits=None)
    drawn = [decide(one, 20, rules, Known(), 3).control.tolist() for one in (pool, turned)]
    assert drawn[0] == drawn[1]


def regions_pool() -> Pool:
    regions = [Region(left, top, 100, 100) for _ in range(6) for left in (0, 60, 120) for top in (0, 60, 120)]
    records = [f"p{index // 9}" for index in range(54)]
    rng = np.random.default_rng(0)
    return Pool(
        ids=[region_id(record, region) for record, region in zip(records, regions, strict=True)],
        records=records,
        regions=regions,
        scores={"uncertainty": rng.random(54).astype(np.float32)},
        hashes=np.repeat(rng.integers(0, 1 << 63, 6, dtype=np.uint64), 9),
    )


@settings(max_examples=25, deadline=None)
@given(names.filter(lambda name: name != "class-deficit"), st.integers(1, 4), st.integers(0, 9))
def test_no_picture_gives_more_regions_than_it_may(name: str, most: int, seed: int) -> None:
    choices = chosen(choose(regions_pool(), 18, ChoiceRules(strategy=name, per_record=most), Known(), seed))
    of = [one.record_id for one in choices]
    assert max(of.count(record) for record in of) <= most
    for one in choices:
        for other in choices:
            if one.record_id == other.record_id and one is not other:
                assert one.region is not None
                assert other.region is not None
                assert one.region.shared_with(other.region) <= 0.5


def test_the_regions_of_a_labelled_picture_and_the_picture_of_a_labelled_region_are_known() -> None:
    known = Known(ids=frozenset({"p0", "p1@0,0,100x100"}))
    by_id = {one.unit_id: one for one in choose(regions_pool(), 54, ChoiceRules(), known, 0)}
    assert by_id["p0@60,60,100x100"].rule == "labelled or in flight"
    assert by_id["p1@0,0,100x100"].rule == "labelled or in flight"
    whole = Pool(ids=["p0", "p1", "p2"], scores={"uncertainty": np.ones(3, dtype=np.float32)})
    rules = [one.rule for one in choose(whole, 3, ChoiceRules(strategy="uncertainty"), known, 0)]
    assert rules[:2] == ["labelled or in flight", "a region of it is labelled or in flight"]


def test_a_large_pool_is_thinned_out_and_still_gives_a_whole_batch() -> None:
    found = decide(pool_of(300), 120, ChoiceRules(exact_up_to=50), Known(), 0)
    assert len(found.chosen) == 120


def test_without_embeddings_hashes_spread_and_the_choice_says_so() -> None:
    pool = replace(pool_of(30), embeddings=None)
    found = decide(pool, 5, ChoiceRules(strategy="diversity"), Known(), 0)
    assert len(found.chosen) == 5
    assert "perceptual hashes" in found.notes[0]
    with pytest.raises(ConfigError, match="needs embeddings"):
        decide(replace(pool, hashes=None), 5, ChoiceRules(strategy="diversity"), Known(), 0)


def test_a_missing_score_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'margin'"):
        choose(pool_of(5), 2, ChoiceRules(scores={"margins": 1.0}), Known(), 0)


def test_an_id_twice_and_a_short_column_are_refused() -> None:
    with pytest.raises(DataError, match="twice"):
        choose(Pool(ids=["a", "a"]), 1, ChoiceRules(strategy="random"), Known(), 0)
    with pytest.raises(DataError, match="of strata"):
        choose(Pool(ids=["a", "b"], strata=["x"]), 1, ChoiceRules(strategy="random"), Known(), 0)
