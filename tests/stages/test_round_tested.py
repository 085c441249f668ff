from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.config import LoopTestSet
from agir_cvtoolkit.stages._round_tested import drawn_for_testing


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 8))
def test_it_grows_to_what_was_asked_and_never_beyond_half(first: int, control: int, least: int) -> None:
    settings = LoopTestSet(least=least, share=0.25, most=200)
    tested: set[str] = set()
    drawn = 0
    for number in range(12):
        came = [f"r{number}_{at}" for at in range(first if not number else control)]
        drawn += len(came)
        new = drawn_for_testing(came, drawn, len(tested), settings)
        assert set(new) <= set(came)
        tested |= set(new)
        assert len(tested) <= drawn // 2
    wanted = max(least, round(0.25 * drawn))
    assert len(tested) >= min(wanted, drawn // 2) - 1
    assert len(tested) <= max(least, round(0.25 * drawn))
