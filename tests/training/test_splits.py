"""Splits without leaks: property tests over random pictures, and the rules one by one."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.config._training import Split
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.training.groups import Sample, groups_of
from agir_cvtoolkit.training.splits import Memory, Splits, split

_SHARES = st.sampled_from(
    [(0.8, 0.15, 0.05), (0.5, 0.5, 0.0), (0.34, 0.33, 0.33), (0.9, 0.1, 0.0), (0.1, 0.0, 0.9)]
)


def _settings(shares: tuple[float, float, float] = (0.6, 0.2, 0.2), **values: object) -> Split:
    return Split(train=shares[0], val=shares[1], test=shares[2], **values)


def _sample(number: int, **values: object) -> Sample:
    # Multiplied so that no two looks are close by chance.
    looks = (number + 1) * 0x9E3779B97F4A7C15 % 2**64
    known: dict[str, object] = {
        "record_id": f"r{number}",
        "picture": f"p{number}",
        "sha256": f"{number:064x}",
        "phash": looks,
        "size": (8, 8),
    }
    return Sample(**{**known, **values})  # type: ignore[arg-type]


@st.composite
def _samples(draw: st.DrawFn) -> list[Sample]:
    count = draw(st.integers(1, 30))
    found = []
    for number in range(count):
        picture = draw(st.integers(0, count))
        found.append(
            _sample(
                number,
                picture=f"p{picture}",
                phash=draw(st.sampled_from([0, 3, 2**64 - 1, number * 0x9E3779B97F4A7C15 % 2**64])),
                stratum=draw(st.sampled_from(["maize", "barley", ""])),
                together=tuple(draw(st.sets(st.sampled_from(["plant=1", "plant=2", "plant=3"]), max_size=1))),
            )
        )
    return found


def _remembered(samples: Sequence[Sample], splits: Splits) -> Memory:
    by_record = {sample.record_id: sample for sample in samples}
    tested = {by_record[r].sha256: by_record[r].phash for r in splits.records("test")}
    sides = {by_record[r].sha256: side for r, side in splits.sides.items() if side != "test"}
    return Memory(tested, {} if splits.same else sides)


@settings(max_examples=30)
@given(_samples(), _SHARES, st.integers(0, 5))
def test_nothing_that_belongs_together_is_on_two_sides(
    samples: list[Sample], shares: tuple[float, float, float], seed: int
) -> None:
    splits = split(samples, _settings(shares), seed)
    assert set(splits.sides) == {sample.record_id for sample in samples}
    assert splits.apart == ()
    for one in samples:
        for other in samples:
            linked = (
                one.picture == other.picture
                or bool(set(one.together) & set(other.together))
                or (one.phash ^ other.phash).bit_count() <= 6
            )
            assert not linked or splits.sides[one.record_id] == splits.sides[other.record_id]
    groups = groups_of(samples, {}, 6, by_session=False)
    assert splits.records("train")
    assert splits.records("val")
    assert splits.same == (len(groups) == 1)
    assert bool(splits.records("test")) == (shares[2] > 0 and len(groups) >= 3)


@settings(max_examples=30)
@given(_samples(), st.integers(0, 5), st.randoms())
def test_the_order_of_the_input_plays_no_part(samples: list[Sample], seed: int, order: random.Random) -> None:
    shuffled = list(samples)
    order.shuffle(shuffled)
    assert split(shuffled, _settings(), seed) == split(samples, _settings(), seed)


@settings(max_examples=30)
@given(_samples(), _SHARES, st.integers(0, 5), st.integers(0, 5))
def test_what_was_tested_on_is_never_learned_from(
    samples: list[Sample], shares: tuple[float, float, float], first_seed: int, seed: int
) -> None:
    some = samples[: max(1, len(samples) // 2)]
    memory = _remembered(some, split(some, _settings(shares), first_seed))
    try:
        later = split(samples, _settings((0.5, 0.3, 0.2)), seed, Memory(memory.tested))
    except DataError:
        return
    learned = [s for s in samples if s.record_id in {*later.records("train"), *later.records("val")}]
    for sample in learned:
        assert sample.sha256 not in memory.tested
        assert all((sample.phash ^ (phash or 0)).bit_count() > 6 for phash in memory.tested.values())
    tested = {s.record_id for s in samples if s.sha256 in memory.tested}
    assert tested <= set(later.records("test"))


@settings(max_examples=30)
@given(st.integers(4, 40), st.integers(1, 20), st.integers(0, 5))
def test_added_pictures_change_no_side(count: int, more: int, seed: int) -> None:
    samples = [_sample(number) for number in range(count + more)]
    first = split(samples[:count], _settings(), seed)
    second = split(samples, _settings(), seed, _remembered(samples[:count], first))
    assert {record: second.sides[record] for record in first.sides} == dict(first.sides)
    tested = len(second.records("test"))
    assert abs(tested - 0.2 * (count + more)) <= 1


def test_shares_and_species_are_kept() -> None:
    species = ("maize", "barley", "pea", "rye")
    samples = [_sample(n, stratum=species[n % 4]) for n in range(100)]
    splits = split(samples, _settings(), 1)
    strata = {sample.record_id: sample.stratum for sample in samples}
    assert [len(splits.records(side)) for side in ("train", "val", "test")] == [60, 20, 20]
    for side in ("val", "test"):
        counted = Counter(strata[record] for record in splits.records(side))
        assert all(4 <= counted[name] <= 6 for name in species)


def test_another_seed_deals_otherwise() -> None:
    samples = [_sample(number) for number in range(30)]
    first, second = (split(samples, _settings((0.5, 0.5, 0.0)), seed).records("train") for seed in (1, 2))
    assert first != second


def test_names_play_no_part() -> None:
    samples = [_sample(number) for number in range(20)]
    renamed = [_sample(n, record_id=f"x{n}", picture=f"y{n}") for n in range(20)]
    first, second = (split(each, _settings(), 3).sides for each in (samples, renamed))
    assert {r[1:]: side for r, side in first.items()} == {r[1:]: side for r, side in second.items()}


def test_a_single_picture_is_both_and_says_so() -> None:
    splits = split([_sample(1)], _settings(), 0)
    assert splits.records("train") == splits.records("val") == ("r1",)
    assert splits.records("test") == ()
    assert "same pictures" in splits.warning


@pytest.mark.parametrize(("count", "test", "said"), [(2, 0.2, True), (3, 0.2, False), (2, 0.0, False)])
def test_too_few_pictures_for_a_test_set_are_said(count: int, test: float, said: bool) -> None:
    settings = _settings((0.8 - test, 0.2, test))
    splits = split([_sample(n) for n in range(count)], settings, 0)
    assert ("too few different pictures for a test set" in splits.warning) == said
    assert bool(splits.records("test")) == (count == 3)


@pytest.mark.parametrize("settings", [_settings(enabled=False), _settings((1.0, 0.0, 0.0))])
def test_without_a_split_all_is_training_and_validation(settings: Split) -> None:
    splits = split([_sample(n) for n in range(9)], settings, 0)
    assert splits.same
    assert len(splits.records("train")) == 9
    frozen = Memory({_sample(4).sha256: _sample(4).phash})
    assert split([_sample(n) for n in range(9)], settings, 0, frozen).records("test") == ("r4",)


def test_a_near_duplicate_of_the_test_set_is_kept_out_even_where_the_original_is_gone() -> None:
    near = _sample(5, sha256="f" * 64, phash=_sample(1).phash ^ 0b101)
    frozen = Memory({_sample(1).sha256: _sample(1).phash}, {"f" * 64: "train"})
    new = split([_sample(n) for n in (2, 3, 4)] + [near], _settings(), 0, Memory(frozen.tested))
    assert new.records("test") == ("r5",)
    learned = split([_sample(n) for n in (2, 3, 4)] + [near], _settings(), 0, frozen)
    assert learned.apart == ("r5",)
    assert "r5" not in learned.sides


def test_nothing_left_to_train_on_names_the_way_out() -> None:
    frozen = Memory({_sample(n).sha256: None for n in range(3)})
    with pytest.raises(DataError, match="nothing is left to train on") as caught:
        split([_sample(n) for n in range(3)], _settings(), 0, frozen)
    assert "preprocess.split.test_set" in caught.value.next_step


def test_a_picture_between_two_sides_is_trained_on_with_both() -> None:
    one, other = _sample(0, phash=0), _sample(1, phash=0b111111111111)
    between = _sample(2, phash=0b111111)
    sides = {one.sha256: "train", other.sha256: "val"}
    splits = split(
        [one, other, between, *(_sample(n) for n in range(3, 9))], _settings(), 0, Memory({}, sides)
    )
    assert {splits.sides[r] for r in ("r0", "r1", "r2")} == {"train"}


def test_sessions_stay_together_while_none_is_large() -> None:
    small = [_sample(n, session=f"s{n // 2}") for n in range(40)]
    splits = split(small, _settings(), 0)
    assert all(splits.sides[f"r{n}"] == splits.sides[f"r{n + 1}"] for n in range(0, 40, 2))
    assert splits.warning == ""
    large = [_sample(n, session=f"s{n // 10}") for n in range(40)]
    splits = split(large, _settings(), 0)
    assert "one of 4 sessions holds 10 of 40 pictures" in splits.warning
    assert [len(splits.records(side)) for side in ("train", "val", "test")] == [24, 8, 8]
    one = [_sample(n, session="s") for n in range(40)]
    assert split(one, _settings(), 0).warning == ""


def test_sessions_that_were_divided_before_they_were_small_stay_so() -> None:
    few = [_sample(n, session=f"s{n // 5}") for n in range(10)]
    first = split(few, _settings(), 0)
    assert len(set(first.sides.values())) == 3
    many = [_sample(n, session=f"s{n // 5}") for n in range(100)]
    later = split(many, _settings(), 0, _remembered(few, first))
    assert later.apart == ()
    assert {record: later.sides[record] for record in first.sides} == dict(first.sides)
    assert all(len({later.sides[f"r{n}"] for n in range(m, m + 5)}) == 1 for m in range(10, 100, 5))
    assert "an earlier split has divided 2" in later.warning


def test_named_columns_stay_together_however_large() -> None:
    samples = [_sample(n, together=(f"plant={n // 10}",)) for n in range(40)]
    splits = split(samples, _settings(), 0)
    by_plant: Mapping[int, set[str]] = defaultdict(set)
    for record, side in splits.sides.items():
        by_plant[int(record[1:]) // 10].add(side)
    assert all(len(sides) == 1 for sides in by_plant.values())
    assert {side for sides in by_plant.values() for side in sides} == {"train", "val", "test"}


def test_listed_sides_go_before_the_draw() -> None:
    samples = [_sample(n) for n in range(10)]
    listed = {"r0": "test", "p1": "test", "r2": "val"}
    splits = split(samples, _settings((0.9, 0.1, 0.0)), 0, None, listed)
    assert splits.records("test") == ("r0", "r1")
    assert splits.records("val") == ("r2",)
    assert len(splits.records("train")) == 7
    again = split(samples, _settings(), 0, Memory({}, {_sample(0).sha256: "train"}), listed)
    assert "r0" in again.records("test")
    frozen = split(samples, _settings(), 0, Memory({_sample(2).sha256: None}), listed)
    assert "r2" in frozen.records("test")


def test_pictures_that_were_all_on_one_side_are_divided_all_the_same() -> None:
    samples = [_sample(n) for n in range(6)]
    for side in ("train", "val"):
        memory = Memory({}, {sample.sha256: side for sample in samples})
        splits = split(samples, _settings((0.8, 0.2, 0.0)), 0, memory)
        assert not splits.same
        assert splits.records("train")
        assert splits.records("val")
