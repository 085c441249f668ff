"""What a first model is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from agir_cvtoolkit import Call
from agir_cvtoolkit.errors import AgirError, DataError, InterruptedByUser, RemoteError
from agir_cvtoolkit.stages._against import Against, unless_it_fails
from agir_cvtoolkit.stages._comparison import Counts, Verdict
from agir_cvtoolkit.stages._evaluation import Judged


def share(counts: Counts) -> Counts:
    return np.asarray(counts[:, 0] / counts[:, 1])


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


def judged(hits: float, pictures: int) -> Judged:
    counts = np.tile([hits, 24.0], (pictures, 1))
    return Judged({}, {}, counts)


@pytest.mark.parametrize(
    ("mine", "theirs", "pictures", "outcome", "takes_over"),
    [
        (20, 10, 3, "ahead", True),
        (10, 20, 3, "few", False),
        (10, 10, 3, "few", False),
        (20, 10, 5, "better", True),
        (10, 20, 5, "worse", False),
    ],
)
def test_of_few_pictures_the_figure_decides_while_no_model_is_in_service(
    mine: float, theirs: float, pictures: int, outcome: str, takes_over: bool
) -> None:
    settings = Call().settings()
    incumbent = Against(judged(theirs, pictures), incumbent="excess_green")
    found = incumbent.verdict(judged(mine, pictures), share, "pck", settings, Verdict("first", ""))
    assert (found.outcome, found.takes_over, found.than) == (outcome, takes_over, "excess_green")
    champion = Against(judged(theirs, pictures))
    later = champion.verdict(judged(mine, pictures), share, "pck", settings, Verdict("first", ""))
    assert later.outcome == (outcome if pictures >= 5 else "few")


def test_a_first_model_that_is_ahead_says_how_little_that_proves() -> None:
    words = Verdict("ahead", "pck", 0.2, 0.2, 0.2, 3, "excess_green").words
    assert words == (
        "ahead of excess_green by +0.200, and no model is in service;"
        " 3 pictures are too few to tell a difference from chance"
    )
