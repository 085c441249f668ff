from __future__ import annotations

from dataclasses import replace

import pytest

from agir_cvtoolkit.config import Budget
from agir_cvtoolkit.ledger import RoundRow, RoundState
from agir_cvtoolkit.stages._loop_budget import end_of, spent_of


def rounds(*ended: tuple[RoundState, str]) -> list[RoundRow]:
    return [
        RoundRow(
            "l",
            number,
            state,
            None,
            f"loop/l-{number:03d}",
            f"loop/l-{number:03d}",
            "",
            "",
            {"outcome": outcome},
        )
        for number, (state, outcome) in enumerate(ended, start=1)
    ]


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        ([("promoted", "first"), ("rejected", "few")], None),
        ([("promoted", "first"), ("rejected", "unclear"), ("rejected", "few")], "no further gain: 2 models in a row"),
        ([("promoted", "first"), ("rejected", "few"), ("rejected", "few")], "2 models in a row could not be judged"),
        ([("rejected", "few"), ("rejected", "few"), ("promoted", "better")], None),
        ([("rejected", "blind"), ("rejected", "blind")], "2 models in a row found nothing in the test set"),
    ],
)  # fmt: skip
def test_models_that_nobody_could_judge_are_not_called_no_gain(
    ended: list[tuple[RoundState, str]], why: str | None
) -> None:
    found = end_of(Budget(patience=2), spent_of(rounds(*ended), 0.0))
    assert (found or "").startswith(why or "")
    assert (found is None) == (why is None)


def test_where_no_model_was_ever_in_service_the_predictor_is_named() -> None:
    beaten = [
        replace(row, figures={**row.figures, "incumbent": "excess_green", "champion_score": 0.7})
        for row in rounds(("rejected", "worse"), ("rejected", "unclear"))
    ]
    spent = spent_of(beaten, 0.0)
    assert (spent.score, spent.serving) == (0.7, "excess_green")
    found = end_of(Budget(patience=2), spent)
    assert found is not None
    assert found.startswith("2 models in a row were not better than excess_green, which goes on predicting")
    assert end_of(Budget(patience=3), spent) is None
    scores = (0.3, 0.5, 0.5, 0.4)
    worse: tuple[RoundState, str] = ("rejected", "worse")
    nearing = [
        replace(row, figures={**row.figures, "incumbent": "excess_green", "score": score})
        for row, score in zip(rounds(*[worse] * 4), scores, strict=True)
    ]
    assert [spent_of(nearing[:many], 0.0).in_vain for many in range(1, 5)] == [0, 0, 1, 2]
    assert end_of(Budget(target=0.6), spent) == "excess_green reaches 0.700, 0.6 was asked for"
    taken_over = [*beaten, *rounds(("promoted", "better"))]
    assert spent_of(taken_over, 0.0).serving == "the model in service"


def test_what_was_put_into_service_by_hand_has_its_own_score() -> None:
    """Its round was rejected, and another round found how the predictor does, or another champion."""
    beaten, later = rounds(("rejected", "worse"), ("rejected", "unclear"))
    first = {"version": "m1", "score": 0.5, "incumbent": "excess_green", "champion_score": 0.7}
    beaten = replace(beaten, figures={**beaten.figures, **first})
    by_hand = spent_of([beaten], 0.0, "m1")
    assert (by_hand.score, by_hand.serving, by_hand.in_vain) == (0.5, "the model in service", 0)
    assert end_of(Budget(target=0.6, patience=1), by_hand) is None
    assert spent_of([beaten], 0.0, "of another loop").score is None
    second = {"version": "m2", "score": 0.6, "predictor": "m1", "champion_score": 0.55}
    later = replace(later, figures={**later.figures, **second})
    assert spent_of([beaten, later], 0.0, "m1").score == 0.55, "by the newest test set"
    assert spent_of([beaten, later], 0.0, "m2").score == 0.6
    assert spent_of([beaten, later], 0.0, "of another loop").score is None
