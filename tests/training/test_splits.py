from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.training.splits import split_groups

_NAMES = st.sampled_from(["maize", "barley", None])
_STRATA = st.dictionaries(st.text(max_size=8), st.lists(_NAMES, min_size=1, max_size=3), max_size=40)
_SHARES = st.sampled_from(
    [(0.8, 0.15, 0.05), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (0.9, 0.1, 0.0), (0.1, 0.0, 0.9)]
)


@given(_STRATA, _SHARES, st.integers(0, 5))
def test_every_picture_is_on_exactly_one_side(
    strata: dict[str, list[str | None]], shares: tuple[float, float, float], seed: int
) -> None:
    dealt = split_groups(strata, shares, seed).groups
    if len(strata) < 2:
        assert dealt["train"] == dealt["val"] == tuple(strata)
        return
    everyone = [group for side in dealt.values() for group in side]
    assert sorted(everyone) == sorted(strata)
    assert dealt["train"]
    assert dealt["val"]
    assert bool(dealt["test"]) == (shares[2] > 0 and len(strata) >= 3)


@given(_STRATA, st.integers(0, 5), st.randoms())
def test_the_order_of_the_input_plays_no_part(
    strata: dict[str, list[str | None]], seed: int, random: object
) -> None:
    keys = list(strata)
    random.shuffle(keys)  # type: ignore[attr-defined]
    shares = (0.7, 0.2, 0.1)
    assert split_groups({k: strata[k] for k in keys}, shares, seed) == split_groups(strata, shares, seed)


def test_shares_and_species_are_kept() -> None:
    strata = {f"{name}{i}": [name] for name in ("maize", "barley", "pea", "rye") for i in range(25)}
    dealt = split_groups(strata, (0.6, 0.2, 0.2), 1).groups
    assert [len(dealt[s]) for s in ("train", "val", "test")] == [60, 20, 20]
    for side in ("val", "test"):
        for name in ("maize", "barley", "pea", "rye"):
            assert 4 <= sum(g.startswith(name) for g in dealt[side]) <= 6


def test_another_seed_deals_otherwise() -> None:
    strata: dict[str, list[str | None]] = {str(i): [None] for i in range(30)}
    first, second = (split_groups(strata, (0.5, 0.5, 0.0), seed).groups["train"] for seed in (1, 2))
    assert first != second


def test_a_single_picture_is_both_and_says_so() -> None:
    splits = split_groups({"a": ["maize"]}, (0.8, 0.1, 0.1), 0)
    assert splits.groups == {"train": ("a",), "val": ("a",), "test": ()}
    assert "same pictures" in splits.warning
