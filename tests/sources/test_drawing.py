from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.sources.drawing import Draw, balanced, draw_key, proportional

_COUNTS = st.dictionaries(
    st.tuples(st.text(max_size=3) | st.none()), st.integers(1, 40), min_size=1, max_size=8
)
_N = st.integers(0, 200)


def draw(rows: list[tuple[object, ...]], seed: int, quota: int) -> list[object]:
    drawing = Draw(seed, lambda _group: quota)
    for row in rows:
        if drawing.may_come(*row[1:]):
            drawing.add(*row)
            drawing.add(*row)
    return drawing.drawn()


@given(_COUNTS, _N, st.integers(0, 5))
def test_balanced_quotas_differ_only_where_a_group_is_used_up(
    counts: dict[tuple[object, ...], int], n: int, seed: int
) -> None:
    quotas = balanced(counts, n, seed)
    assert sum(quotas.values()) == min(n, sum(counts.values()))
    assert all(0 <= quotas[group] <= counts[group] for group in counts)
    most = max(quotas.values())
    assert all(quotas[group] in {most, most - 1, counts[group]} for group in counts)


@given(_COUNTS, _N, st.integers(0, 5))
def test_proportional_quotas_are_shares_rounded(
    counts: dict[tuple[object, ...], int], n: int, seed: int
) -> None:
    quotas = proportional(counts, n, seed)
    total = sum(counts.values())
    wanted = min(n, total)
    assert sum(quotas.values()) == wanted
    assert all(abs(quotas[group] - wanted * counts[group] / total) < 1 for group in counts)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("abc")), max_size=120), st.integers(0, 7))
def test_a_draw_takes_the_first_of_each_group_by_their_hash(rows: list[tuple[int, str]], quota: int) -> None:
    members: list[tuple[object, ...]] = [
        (place, f"r{number}", group) for place, (number, group) in enumerate(rows)
    ]
    expected: list[str] = []
    for group in "abc":
        own = sorted((draw_key(9, name), str(name)) for _, name, of in members if of == group)
        expected += [name for _, name in own[:quota]]
    names = {place: str(name) for place, name, _ in members}
    assert sorted(names[place] for place in draw(members, 9, quota)) == sorted(expected)


def test_a_draw_does_not_depend_on_the_order_of_the_rows() -> None:
    rows: list[tuple[object, ...]] = [(n, f"id{n}", n % 7) for n in range(5000)]
    other = random.Random(1).sample(rows, len(rows))
    assert sorted(map(str, draw(rows, 3, 20))) == sorted(map(str, draw(other, 3, 20)))


def test_every_record_is_as_likely() -> None:
    times = [0] * 20
    for seed in range(1000):
        for place in draw([(n, f"id{n}") for n in range(20)], seed, 5):
            times[int(str(place))] += 1
    assert all(190 < count < 310 for count in times), times
