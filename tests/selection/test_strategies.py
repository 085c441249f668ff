from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.errors import ConfigError, DataError
from agir_cvtoolkit.selection import STRATEGIES, ChoiceRules, choose, mixed, ranked, shipped, strategy
from agir_cvtoolkit.selection.spread import distances_to, farthest_first

from .pools import pool_of, unit_rows


def plain_farthest_first(
    rows: NDArray[np.float32], weights: NDArray[np.float32], known: NDArray[np.float32], wanted: int
) -> list[int]:
    apart = distances_to(rows, known)
    chosen: list[int] = []
    for _ in range(wanted):
        best = int(np.argmax(np.where(apart < 0, -1, apart * weights)))
        chosen.append(best)
        apart = np.minimum(apart, np.maximum(0, 1 - rows @ rows[best]))
        apart[best] = -1
    return chosen


@settings(max_examples=8)
@given(st.integers(0, 1000), st.booleans())
def test_comparing_only_what_may_be_farthest_gives_what_comparing_all_gives(
    seed: int, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = unit_rows(rng, 9000, 16)
    weights = rng.random(9000, dtype=np.float32) + np.float32(0.01) if weighted else np.ones(9000, np.float32)
    known = unit_rows(rng, 3, 16)
    wanted = plain_farthest_first(rows, weights, known, 30)
    found = farthest_first(rows, weights if weighted else None, known, 30)
    # Where two are equally far but for rounding, either may come first.
    assert len(set(found.tolist()) & set(wanted)) >= 27
    covered = [float(distances_to(rows, rows[np.array(chosen)]).max()) for chosen in (found.tolist(), wanted)]
    assert covered[0] == pytest.approx(covered[1], abs=0.02)


def test_all_are_chosen_where_more_are_wanted() -> None:
    rows = unit_rows(np.random.default_rng(0), 12)
    same = np.concatenate([rows, rows])
    assert sorted(farthest_first(same, np.zeros(24, np.float32), None, 50).tolist()) == list(range(24))
    assert len(farthest_first(rows[:0], None, None, 5)) == 0


def three_heaps() -> Pool:
    """Return 30 units in three heaps of 20, 6 and 4 that look alike; the largest has the best scores."""
    rng = np.random.default_rng(0)
    heaps = np.repeat([0, 1, 2], [20, 6, 4])
    rows = np.eye(3, 8, dtype=np.float32)[heaps] + rng.normal(scale=0.05, size=(30, 8)).astype(np.float32)
    scores = (1 - heaps * 0.3 + rng.random(30) * 0.01).astype(np.float32)
    return Pool(
        ids=[f"{heap}-{index:02d}" for index, heap in enumerate(heaps.tolist())],
        scores={"uncertainty": scores},
        embeddings=rows / np.linalg.norm(rows, axis=1, keepdims=True),
    )


@pytest.mark.parametrize("name", ["diversity", "uncertainty-diversity", "clusters", "typical"])
def test_a_batch_reaches_every_heap(name: str) -> None:
    options = (
        {"keep": 1.0} if name == "uncertainty-diversity" else {"spare": 10} if name == "clusters" else {}
    )
    rules = ChoiceRules(strategy=name, options=options, control=0, alike=None)
    for seed in range(5):
        choices = choose(three_heaps(), 3, rules, Known(), seed)
        assert {one.unit_id[0] for one in choices if one.chosen} == {"0", "1", "2"}


def test_uncertainty_takes_what_is_least_sure_however_alike() -> None:
    rules = ChoiceRules(strategy="uncertainty", control=0, alike=None)
    choices = choose(three_heaps(), 5, rules, Known(), 0)
    assert {one.unit_id[0] for one in choices if one.chosen} == {"0"}


def test_diversity_goes_away_from_what_is_known() -> None:
    pool = three_heaps()
    assert pool.embeddings is not None
    known = Known(embeddings=pool.embeddings[[0, 22]])
    rules = ChoiceRules(strategy="diversity", control=0, alike=None)
    (chosen,) = (one for one in choose(pool, 1, rules, known, 0) if one.chosen)
    assert chosen.unit_id.startswith("2")


def test_typical_begins_with_the_largest_heap_and_then_those_without_labels() -> None:
    pool = three_heaps()
    assert pool.embeddings is not None
    rules = ChoiceRules(strategy="typical", options={"groups": 3}, control=0, alike=None)
    order = sorted(
        (one for one in choose(pool, 3, rules, Known(), 1) if one.chosen), key=lambda one: one.rank or 0
    )
    assert [one.unit_id[0] for one in order] == ["0", "1", "2"]
    known = Known(embeddings=pool.embeddings[[0]])
    order = sorted(
        (one for one in choose(pool, 2, rules, known, 1) if one.chosen), key=lambda one: one.rank or 0
    )
    assert {one.unit_id[0] for one in order} == {"1", "2"}


@pytest.mark.parametrize("by", ["rank", "power", "softmax"])
def test_a_better_score_is_likelier_and_none_is_impossible(by: str) -> None:
    pool = Pool(ids=list("abcd"), scores={"uncertainty": np.array([0.1, 0.2, 0.4, 0.8], np.float32)})
    rules = ChoiceRules(
        strategy="stochastic", options={"by": by, "coldness": 4 if by == "softmax" else 1}, control=0
    )
    drawn = dict.fromkeys("abcd", 0)
    for seed in range(1000):
        for one in choose(pool, 1, rules, Known(), seed):
            drawn[one.unit_id] += one.chosen
    assert drawn["d"] > drawn["c"] > drawn["b"] > drawn["a"] > 0
    if by == "power":
        assert drawn["d"] == pytest.approx(1000 * 0.8 / 1.5, abs=80)


def test_the_class_with_the_fewest_labels_comes_first() -> None:
    rng = np.random.default_rng(0)
    classes = {name: np.zeros(12, np.float32) for name in ("common", "rare")}
    classes["common"][:9] = 0.5
    classes["rare"][9:] = 0.5
    pool = Pool(
        ids=[f"{index:02d}" for index in range(12)],
        scores={"uncertainty": rng.random(12).astype(np.float32)},
        classes=classes,
    )
    rules = ChoiceRules(strategy="class-deficit", control=0)
    known = Known(class_counts={"common": 50, "rare": 2})
    chosen = {one.unit_id for one in choose(pool, 3, rules, known, 0) if one.chosen}
    assert chosen == {"09", "10", "11"}
    with pytest.raises(ConfigError, match="needs predicted classes"):
        choose(replace(pool, classes={}), 3, rules, known, 0)


def test_ranks_are_shares_of_the_others_and_ties_are_in_the_middle() -> None:
    values = np.array([3, 1, np.nan, 2, 2], np.float32)
    assert ranked(values).tolist() == pytest.approx([1, 0, np.nan, 0.5, 0.5], nan_ok=True)


def test_scores_are_mixed_by_rank_and_weight() -> None:
    pool = Pool(
        ids=list("abc"),
        scores={
            "one": np.array([1, 2, 3], np.float32),
            "other": np.array([900, np.nan, 1], np.float32),
        },
    )
    assert mixed(pool, {"one": 1}).tolist() == [1, 2, 3]
    assert mixed(pool, {"one": -1}).tolist() == [-1, -2, -3]
    assert mixed(pool, {"one": 3, "other": 1}).tolist() == pytest.approx([0.25, 0.5, 0.75])
    assert mixed(pool, {"one": 1, "other": -1}).tolist() == pytest.approx([0, 0.5, 1])
    with pytest.raises(ConfigError, match="no score has a weight"):
        mixed(pool, {"one": 0})


def test_every_shipped_strategy_is_described() -> None:
    assert shipped().keys() == STRATEGIES.keys()
    assert all(sentence.endswith(".") for sentence in shipped().values())


MINE = '''
import numpy as np


class Newest:
    """The last ids."""

    needs = frozenset()
    says = "newest"

    def rank(self, pool, scores, known, wanted, rng):
        return np.arange(len(pool))[::-1]


class Twice(Newest):
    def rank(self, pool, scores, known, wanted, rng):
        return np.zeros(2, dtype=int)


class Greedy(Newest):
    needs = frozenset({"pixels"})


class Broken:
    def __init__(self):
        raise RuntimeError("no luck")


nothing = 3
'''


def test_a_strategy_of_the_users_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    rules = ChoiceRules(strategy=f"{path}:Newest", control=0)
    chosen = [one for one in choose(pool_of(9), 2, rules, Known(), 0) if one.chosen]
    assert {one.unit_id for one in chosen} == {"r00007", "r00008"}
    assert {one.rule for one in chosen} == {"newest"}
    with pytest.raises(DataError, match="returned no order"):
        choose(pool_of(9), 2, ChoiceRules(strategy=f"{path}:Twice"), Known(), 0)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("clumps", "there is no strategy 'clumps'"),
        ("uncertainti", "Did you mean 'uncertainty'"),
        ("no.such.module:Class", "cannot be imported"),
        ("agir_cvtoolkit.selection:nothing", "there is no 'nothing'"),
        ("agir_cvtoolkit.selection:STRATEGIES", "is no class"),
        ("gone.py:Class", "there is no file gone.py"),
        ("{}:Greedy", "needs pixels"),
        ("{}:Broken", "RuntimeError: no luck"),
        ("{}:nothing", "is no class"),
        ("pathlib:Path", "is no strategy"),
    ],
)
def test_what_is_wrong_with_a_strategy_is_said(name: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    with pytest.raises(ConfigError, match=problem):
        strategy(name.format(path))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("uncertainty-diversity", {"keep": 0}),
        ("clusters", {"spare": 0}),
        ("stochastic", {"by": "luck"}),
        ("class-deficit", {"power": 0}),
        ("random", {"seed": 3}),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        strategy(name, options)
