"""Better, worse, or only luckier."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit.config import Judgement
from agir_cvtoolkit.stages._comparison import _student_quantile, compare

SETTINGS = Judgement()


def share(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts[:, 0] / counts[:, 1])


def hits(chance: float, pictures: int, seed: int) -> NDArray[np.float64]:
    found = np.random.default_rng(seed).binomial(24, chance, pictures)
    return np.stack([found, np.full(pictures, 24)], axis=1).astype(np.float64)


def test_a_clear_difference_is_seen_from_both_sides() -> None:
    good, bad = hits(0.9, 30, 1), hits(0.6, 30, 2)
    better, worse = compare(good, bad, share, "pck", SETTINGS), compare(bad, good, share, "pck", SETTINGS)
    assert (better.outcome, worse.outcome) == ("better", "worse")
    assert better.takes_over
    assert not worse.takes_over
    assert better.low < better.difference < better.high
    assert better.difference == pytest.approx(0.3, abs=0.06)
    assert "beyond chance" in better.words
    assert "30 pictures" in better.words


def test_equal_models_are_not_told_apart() -> None:
    same = hits(0.7, 40, 1)
    verdict = compare(same, same, share, "pck", SETTINGS)
    assert (verdict.outcome, verdict.difference) == ("unclear", 0.0)
    assert not verdict.takes_over


def pictures_of(chances: NDArray[np.float64], seed: object) -> NDArray[np.float64]:
    """Return how a model does on pictures of which some are hard, and where the joints of one fail together."""
    rng = np.random.default_rng(seed)  # type: ignore[arg-type]
    found = rng.binomial(24, np.clip(chances + rng.normal(0, 0.15, len(chances)), 0.02, 0.98))
    return np.stack([found, np.full(len(chances), 24)], axis=1).astype(np.float64)


@pytest.mark.parametrize("pictures", [5, 8, 20])
def test_chance_makes_a_model_better_as_seldom_as_is_promised(pictures: int) -> None:
    better, tries, settings = 0, 600, Judgement(resamples=1000)
    for seed in range(tries):
        hard = np.random.default_rng([seed, pictures]).beta(4, 2, pictures)
        one, other = (pictures_of(hard, [seed, pictures, side]) for side in (1, 2))
        better += compare(one, other, share, "pck", settings).outcome == "better"
    # 5 % of the tries, and three standard deviations of that count.
    assert better <= 0.05 * tries + 3 * (0.05 * 0.95 * tries) ** 0.5


@pytest.mark.parametrize(
    ("confidence", "freedom", "expected"), [(0.95, 4, 2.1318), (0.975, 9, 2.2622), (0.95, 499, 1.6479)]
)
def test_quantiles_of_student_are_those_of_the_tables(
    confidence: float, freedom: int, expected: float
) -> None:
    assert _student_quantile(confidence, freedom) == pytest.approx(expected, abs=2e-4)


def test_pairing_sees_a_small_but_steady_difference() -> None:
    hard = np.linspace(4, 20, 30)
    champion = np.stack([hard, np.full(30, 24)], axis=1)
    challenger = champion + np.array([1.0, 0.0])
    verdict = compare(challenger, champion, share, "pck", SETTINGS)
    assert verdict.outcome == "better"
    assert verdict.low == pytest.approx(1 / 24)


def test_a_few_pictures_tell_nothing() -> None:
    assert compare(hits(1.0, 4, 1), hits(0.1, 4, 2), share, "pck", SETTINGS).outcome == "few"
    assert compare(hits(1.0, 5, 1), hits(0.1, 5, 2), share, "pck", SETTINGS).outcome == "better"
    assert compare(np.zeros((0, 2)), np.zeros((0, 2)), share, "pck", SETTINGS).outcome == "few"


def test_the_same_pictures_give_the_same_verdict() -> None:
    good, bad = hits(0.72, 30, 1), hits(0.68, 30, 2)
    assert compare(good, bad, share, "pck", SETTINGS) == compare(good, bad, share, "pck", SETTINGS)


def test_pictures_without_any_joint_say_nothing() -> None:
    rare = np.zeros((12, 2))
    rare[:6] = [3, 4]
    with np.errstate(invalid="ignore"):
        verdict = compare(rare, rare * [0.5, 1], share, "pck", SETTINGS)
        few = compare(rare[5:], rare[5:] * [0.5, 1], share, "pck", SETTINGS)
    assert (verdict.outcome, verdict.pictures) == ("better", 6)
    assert (few.outcome, few.pictures) == ("few", 1)
