"""What a first model is compared with."""

from __future__ import annotations

import pytest

from agir_cvtoolkit.errors import AgirError, DataError, InterruptedByUser, RemoteError
from agir_cvtoolkit.stages._against import unless_it_fails


def fails(error: AgirError) -> int:
    raise error


def test_what_cannot_be_compared_with_says_why() -> None:
    assert unless_it_fails(lambda: 7) == (7, "")
    gone = DataError("what devices have sent is gone", "It was deleted.")
    assert unless_it_fails(lambda: fails(gone)) == (None, "what devices have sent is gone")


@pytest.mark.parametrize(
    "error", [RemoteError("the store does not answer", "Try again."), InterruptedByUser("stop")]
)
def test_a_server_that_is_away_for_a_moment_lets_no_model_take_over_unjudged(error: AgirError) -> None:
    with pytest.raises(type(error)):
        unless_it_fails(lambda: fails(error))
