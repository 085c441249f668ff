"""How far a replacement is, judged by what the job holds: every state of ours is known, all others are not."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat.replacing import HeldShape, JobContent
from agir_cvtoolkit.stages._replace_words import OLD_THERE, Exchange, exchange_of

SIGNATURES = st.lists(st.sampled_from("abcdef"), max_size=5)
LEFT = st.dictionaries(st.integers(0, 3), SIGNATURES, max_size=4)


def of_frames(listed: dict[int, list[str]]) -> dict[int, list[str]]:
    """Signatures tell the frame, as real ones do."""
    return {frame: [f"{frame}{signature}" for signature in found] for frame, found in listed.items()}


def held(signatures: Counter[str], others: int = 0) -> JobContent:
    shapes = tuple(HeldShape(i, 0, s) for i, s in enumerate(signatures.elements()))
    return JobContent(shapes, others)


def made(left: dict[int, list[str]], staged: dict[int, list[str]]) -> Exchange:
    return exchange_of(of_frames(left), sorted(of_frames(staged).items()))


def total(listed: dict[int, list[str]]) -> Counter[str]:
    return Counter(signature for found in of_frames(listed).values() for signature in found)


@given(LEFT, LEFT)
def test_before_and_after(left: dict[int, list[str]], staged: dict[int, list[str]]) -> None:
    exchange = made(left, staged)
    assert exchange.keep + exchange.old == total(left)
    assert exchange.keep + Counter(exchange.new) == total({**left, **staged})
    assert not exchange.old & Counter(exchange.new)
    assert exchange.is_done_in(held(total({**left, **staged})))
    if not exchange.is_empty:
        assert exchange.found_in(held(total(left))) == OLD_THERE
        assert exchange.found_in(held(total({**left, **staged}))) == exchange.end
        assert not exchange.is_done_in(held(total(left)))


@given(LEFT, LEFT, st.data())
def test_every_step_is_recognised_and_nothing_before_it(
    left: dict[int, list[str]], staged: dict[int, list[str]], data: st.DataObject
) -> None:
    exchange = made(left, staged)
    assume(not exchange.is_empty)
    count = data.draw(st.integers(0, exchange.end))
    content = held(exchange.keep + Counter(exchange.new[:count]))
    looks_untouched = not exchange.old and not count
    assert exchange.found_in(content) == (OLD_THERE if looks_untouched else count)
    known = data.draw(st.integers(0, exchange.end))
    assert exchange.found_in(content, known) == (count if count >= known else None)
    if exchange.old:
        assert exchange.found_in(held(total(left)), known) is None, "what is known to be gone is back"


@given(LEFT, LEFT, st.data())
def test_anything_else_is_somebody_elses_doing(
    left: dict[int, list[str]], staged: dict[int, list[str]], data: st.DataObject
) -> None:
    exchange = made(left, staged)
    assume(not exchange.is_empty)
    found = data.draw(
        st.lists(st.sampled_from([*total(left), *total(staged), "stranger"]), max_size=12).map(Counter)
    )
    ours = [total(left)]
    ours += [exchange.keep + Counter(exchange.new[:n]) for n in range(exchange.end + 1)]
    assert (exchange.found_in(held(found)) is not None) == (found in ours)
    assert exchange.found_in(held(total(left), others=1)) is None
    assert not exchange.is_done_in(held(exchange.keep + Counter(exchange.new), others=1))


@given(LEFT, LEFT, st.data())
def test_only_copies_of_new_shapes_are_doubled_and_the_newest_of_them_go(
    left: dict[int, list[str]], staged: dict[int, list[str]], data: st.DataObject
) -> None:
    exchange = made(left, staged)
    assume(exchange.new)
    done = exchange.keep + Counter(exchange.new)
    again = Counter(exchange.new[: data.draw(st.integers(1, exchange.end))])
    content = held(done + again)
    copies = exchange.doubled_in(content)
    assert Counter(copy.signature for copy in copies) == again
    stay = [shape for shape in content.shapes if shape not in copies]
    for copy in copies:
        assert all(shape.id < copy.id for shape in stay if shape.signature == copy.signature)
    assert exchange.doubled_in(held(done)) == []
    assert exchange.doubled_in(held(done + again, others=1)) == []
    assert exchange.doubled_in(held(done + again + Counter(["hers"]))) == []
