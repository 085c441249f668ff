from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agir_cvtoolkit.choosing import Known, Pool
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.selection import ChoiceRules, choose, strategy


def pool_of(classes: dict[str, list[float]], embeddings: list[list[float]] | None = None) -> Pool:
    count = len(next(iter(classes.values()))) if classes else len(embeddings or ())
    rows = None if embeddings is None else np.array(embeddings, dtype=np.float32)
    if rows is not None:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    shares = {name: np.array(values, dtype=np.float32) for name, values in classes.items()}
    return Pool(ids=[f"u{n}" for n in range(count)], classes=shares, embeddings=rows)


def ranked(
    pool: Pool, scores: list[float], wanted: int = 9, known: Known | None = None, **options: float
) -> list[int]:
    made = strategy("class-doubt", options)
    rng = np.random.default_rng(0)
    found = made.rank(pool, np.array(scores, dtype=np.float32), known or Known(), wanted, rng)
    return [int(index) for index in found]


def test_a_rare_class_weighs_as_much_as_a_frequent_one() -> None:
    # Of the doubt about weed, u0 and u1 hold half each; of that about crop, u2 holds all, though it is a tenth as much.
    pool = pool_of({"weed": [0.5, 0.5, 0.0, 0.0], "crop": [0.0, 0.0, 0.05, 0.0]})
    assert ranked(pool, [0.2, 0.2, 0.2, 0.9])[0] == 2


def test_doubt_counts_where_classes_are_alike() -> None:
    assert ranked(pool_of({"weed": [0.5, 0.5, 0.5]}), [0.1, 0.3, 0.2]) == [1, 2, 0]


def test_units_without_foreground_come_last_and_by_their_score() -> None:
    assert ranked(pool_of({"weed": [0.0, 0.1, 0.0]}), [0.1, 0.2, 0.9]) == [1, 2, 0]


def test_pools_without_classes_go_by_the_score() -> None:
    turned = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert ranked(pool_of({}, turned), [0.1, 0.9, 0.4]) == [1, 2, 0]


def test_of_poses_it_does_not_speak_of_classes() -> None:
    pool = pool_of({}, [[1.0, 0.0], [0.0, 1.0]])
    pool = replace(pool, scores={"uncertainty": np.array([0.2, 0.8], dtype=np.float32)})
    rules = ChoiceRules(strategy="class-doubt", control=0)
    found = choose(pool, 1, rules, Known(), 0)
    assert [one.rule for one in found if one.chosen] == ["holds much doubt, and is not like what was chosen"]


def test_missing_scores_come_last() -> None:
    assert ranked(pool_of({"weed": [0.5, 0.5]}), [float("nan"), 0.1]) == [1, 0]


def test_another_shot_of_the_same_thing_is_not_taken() -> None:
    same, other, third = [1.0, 0.01, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    pool = pool_of({"weed": [0.5, 0.5, 0.3, 0.3]}, [[1.0, 0.0, 0.0], same, other, third])
    assert ranked(pool, [0.9, 0.8, 0.2, 0.1], wanted=3) == [0, 2, 3]
    assert ranked(pool, [0.9, 0.8, 0.2, 0.1], wanted=3, near=0) == [0, 1, 2, 3]
    known = Known(embeddings=np.array([[1.0, 0.0, 0.0]], dtype=np.float32))
    assert ranked(pool, [0.9, 0.8, 0.2, 0.1], wanted=2, known=known) == [2, 3]


def test_a_negative_distance_is_refused() -> None:
    with pytest.raises(ConfigError, match="near -1"):
        strategy("class-doubt", {"near": -1})
