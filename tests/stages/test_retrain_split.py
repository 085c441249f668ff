"""The frozen test set: who is in it stays, and nothing like it is trained on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.config import Retrain
from agir_cvtoolkit.stages._retrain_split import APART, TEST, TRAIN, Member, draw_sides

SETTINGS = Retrain().test_set
START = datetime(2026, 1, 1, tzinfo=UTC)


def alone(count: int, first: int = 0) -> list[Member]:
    return [Member(f"c{i:04d}", f"sha{i}") for i in range(first, first + count)]


def drawn(members: list[Member], known: dict[str, str]) -> dict[str, str]:
    return known | draw_sides(members, known, SETTINGS)[0]


def in_test(sides: dict[str, str]) -> set[str]:
    return {name for name, side in sides.items() if side == TEST}


def test_ten_give_three_and_the_share_follows_from_twenty_five_on() -> None:
    counts = {n: len(in_test(drawn(alone(n), {}))) for n in (1, 2, 3, 10, 15, 25, 50, 5000)}
    assert counts == {1: 0, 2: 0, 3: 1, 10: 3, 15: 5, 25: 5, 50: 10, 5000: 500}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_however_it_grows_who_is_in_stays_in_and_order_plays_no_part(
    sizes: list[int], random: object
) -> None:
    sides: dict[str, str] = {}
    members: list[Member] = []
    for size in sizes:
        members += alone(size, len(members))
        shuffled = list(members)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert drawn(shuffled, sides) == drawn(members, sides)
        after = drawn(members, sides)
        assert {name: after[name] for name in sides} == sides
        assert set(after) == {m.name for m in members}
        sides = after
    assert len(in_test(sides)) <= max(round(0.2 * len(members)), 5)


def test_like_pictures_follow_those_that_have_a_side_and_both_sides_put_apart() -> None:
    members = [Member("a", "1"), Member("b", "2"), Member("a2", "1"), Member("b2", "2")]
    sides = drawn(members, {"a": TEST, "b": TRAIN})
    assert (sides["a2"], sides["b2"]) == (TEST, TRAIN)
    bridge = [
        Member("a", "1", "dog", START),
        Member("b", "2", "dog", START + timedelta(seconds=6)),
        Member("x", "3", "dog", START + timedelta(seconds=3)),
        *alone(8),
    ]
    assert drawn(bridge, {"a": TEST, "b": TRAIN})["x"] == APART


def test_what_one_device_took_in_a_row_is_on_one_side() -> None:
    members = [
        Member(f"c{scene}{shot}", f"{scene}-{shot}", "phone", START + timedelta(hours=scene, seconds=shot))
        for scene in range(20)
        for shot in range(4)
    ]
    sides, warning = draw_sides(members, {}, SETTINGS)
    for scene in range(20):
        assert len({sides[f"c{scene}{shot}"] for shot in range(4)}) == 1
    assert len(in_test(sides)) == 16
    assert warning == ""


def test_near_duplicates_are_on_one_side() -> None:
    looks = [scene * 0x9E3779B97F4A7C15 % 2**64 for scene in range(20)]
    members = [
        Member(f"c{scene}{shot}", f"{scene}-{shot}", phash=look ^ (0b111 << 3 * shot))
        for scene, look in enumerate(looks)
        for shot in range(4)
    ]
    sides, warning = draw_sides(members, {}, SETTINGS)
    for scene in range(20):
        assert len({sides[f"c{scene}{shot}"] for shot in range(4)}) == 1
    assert warning == ""
    each = SETTINGS.model_copy(update={"near_duplicates": None})
    alone_there = draw_sides(members, {}, each)[0]
    assert any(len({alone_there[f"c{scene}{shot}"] for shot in range(4)}) > 1 for scene in range(20))
    later = Member("late", "late", phash=looks[0] ^ 1)
    assert drawn([*members, later], sides)["late"] == sides["c00"]


def test_where_most_look_alike_each_stands_for_itself_and_it_is_said() -> None:
    members = [Member(f"c{i:02d}", f"{i}", phash=1 << i) for i in range(20)]
    sides, warning = draw_sides(members, {}, SETTINGS)
    assert len(in_test(sides)) == 5
    assert "look much like another" in warning
    assert "device" not in warning


def test_cameras_that_stand_still_leave_a_test_set() -> None:
    looks = [camera * 0x9E3779B97F4A7C15 % 2**64 for camera in (1, 2, 3)]
    members = [
        Member(f"c{look}{i}", f"{look}-{i}", phash=look ^ (1 << i)) for look in looks for i in range(10)
    ]
    sides, warning = draw_sides(members, {}, SETTINGS)
    assert len(in_test(sides)) == 6
    assert "look much like another" in warning


def test_where_everything_is_one_scene_each_stands_for_itself_and_it_is_said() -> None:
    members = [Member(f"c{i:02d}", f"{i}", "phone", START + timedelta(seconds=i)) for i in range(20)]
    sides, warning = draw_sides(members, {}, SETTINGS)
    assert len(in_test(sides)) == 5
    assert "one by one" in warning
