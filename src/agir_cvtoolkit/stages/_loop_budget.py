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
        score: of what is in service on the test set; None where it was never tested.
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


def spent_of(rounds: Sequence[RoundRow], hours: float, champion: str = "") -> Spent:
    """Add up the rounds of a loop.

    Args:
        rounds: of the loop.
        hours: of people's work.
        champion: version of the model in service, who ever has put it there; empty where there is none.
    """
    judged = [row for row in rounds if row.state in {"promoted", "rejected"}]
    gained = _gained(judged, champion)
    in_vain = list(takewhile(lambda row: row.number not in gained, reversed(judged)))
    scores = [found for row in judged if (found := _score_in(row, champion)) is not None]
    return Spent(
        rounds=sum(row.is_ended for row in rounds),
        pictures=sum(int(row.figures.get("chosen", 0)) for row in rounds),
        hours=hours,
        score=float(scores[-1]) if scores else None,
        in_vain=len(in_vain),
        outcomes=frozenset(str(row.figures.get("outcome", "")) for row in in_vain),
        serving="the model in service" if champion else _serving(judged),
    )


def _score_in(row: RoundRow, champion: str) -> float | None:
    """Return what a round found of the model in service: its own, or the one that was in service when it began."""
    figures = row.figures
    if champion and figures.get("version") == champion:
        key = "score"
    elif champion and (figures.get("incumbent") or figures.get("predictor", champion) != champion):
        return None
    else:
        key = "champion_score"
    found: float | None = figures.get(key)
    return found


def _gained(judged: Sequence[RoundRow], champion: str) -> set[int]:
    """Return the rounds that brought a better model: in service, or nearer to what the first ones have to beat."""
    gained, best = set(), 0.0
    for row in judged:
        score = row.figures.get("score") or 0.0
        nearer = bool(row.figures.get("incumbent")) and row.figures.get("outcome") != "few" and score > best
        serves = bool(champion) and row.figures.get("version") == champion
        if row.state == "promoted" or nearer or serves:
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
