"""When a loop is at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Budget
    from agir_cvtoolkit.ledger import RoundRow


@dataclass(frozen=True)
class Spent:
    """What the rounds of a loop have taken and brought.

    Attributes:
        rounds: that have ended.
        pictures: that were chosen.
        hours: of people's work.
        score: of the model in service on the test set; None where it was never tested.
        in_vain: the newest models in a row that did not take over, and so long as none ever did, came no nearer to it.
        outcomes: how these were judged.
        serving: what was in service before them; the name of a predictor where no model ever was.
    """

    rounds: int
    pictures: int
    hours: float
    score: float | None
    in_vain: int
    outcomes: frozenset[str] = frozenset()
    serving: str = "the model in service"


def spent_of(rounds: Sequence[RoundRow], hours: float) -> Spent:
    """Add up the rounds of a loop."""
    judged = [row for row in rounds if row.state in {"promoted", "rejected"}]
    gained = _gained(judged)
    in_vain = list(takewhile(lambda row: row.number not in gained, reversed(judged)))
    scores = [
        row.figures["champion_score"] for row in judged if row.figures.get("champion_score") is not None
    ]
    return Spent(
        rounds=sum(row.is_ended for row in rounds),
        pictures=sum(int(row.figures.get("chosen", 0)) for row in rounds),
        hours=hours,
        score=float(scores[-1]) if scores else None,
        in_vain=len(in_vain),
        outcomes=frozenset(str(row.figures.get("outcome", "")) for row in in_vain),
        serving=_serving(judged),
    )


def _gained(judged: Sequence[RoundRow]) -> set[int]:
    """Return the rounds that brought a better model: in service, or nearer to what the first ones have to beat."""
    gained, best = set(), 0.0
    for row in judged:
        score = row.figures.get("score") or 0.0
        nearer = bool(row.figures.get("incumbent")) and row.figures.get("outcome") != "few" and score > best
        if row.state == "promoted" or nearer:
            gained.add(row.number)
        best = max(best, score)
    return gained


def _serving(judged: Sequence[RoundRow]) -> str:
    newest = judged[-1:]
    rejected = [str(row.figures.get("incumbent", "")) for row in newest if row.state == "rejected"]
    return next(filter(None, rejected), "the model in service")


def end_of(budget: Budget, spent: Spent) -> str | None:
    """Return why no further round begins, None where one does."""
    if budget.rounds is not None and spent.rounds >= budget.rounds:
        return "1 round is done" if spent.rounds == 1 else f"{spent.rounds} rounds are done"
    if budget.target is not None and spent.score is not None and spent.score >= budget.target:
        return f"{spent.serving} reaches {spent.score:.3f}, {budget.target:g} was asked for"
    if budget.pictures is not None and spent.pictures >= budget.pictures:
        return f"{spent.pictures} pictures were chosen"
    if budget.hours is not None and spent.hours >= budget.hours:
        return f"people have worked for {spent.hours:.1f} hours"
    if budget.patience is not None and spent.in_vain >= budget.patience:
        many = "the last model" if spent.in_vain == 1 else f"{spent.in_vain} models in a row"
        if spent.outcomes == {"blind"}:
            return f"{many} found nothing in the test set: label more at a time (loop.count), or train longer"
        if spent.outcomes == {"few"}:
            return (
                f"{many} could not be judged: the test set is too small. Draw more at random (loop.count, loop.test), or"
                " name labelled pictures as loop.test_run"
            )
        if spent.serving != "the model in service":
            return (
                f"{many} {'was' if spent.in_vain == 1 else 'were'} not better than {spent.serving}, which goes on"
                " predicting: label more at a time (loop.count), train longer, or allow more models (--patience)"
            )
        return f"no further gain: {many} did not take over"
    return None


def room_for(budget: Budget, spent: Spent, count: int) -> int:
    """Return how many pictures the next round may have."""
    return count if budget.pictures is None else max(0, min(count, budget.pictures - spent.pictures))
