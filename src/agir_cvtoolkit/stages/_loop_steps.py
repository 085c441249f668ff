"""A loop, step by step: which state its newest round is in says what comes next."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from agir_cvtoolkit.errors import AgirError, InterruptedByUser, RemoteError, UsageError
from agir_cvtoolkit.ledger import RoundRow, RoundState

from ._loop_budget import end_of, room_for, spent_of
from ._policy import decide
from ._policy_evidence import evidence_of

if TYPE_CHECKING:
    from ._loop_hooks import Hooks
    from ._loop_lease import LoopLease
    from ._round_work import Figures, LoopPlace, RoundWork

EXHAUSTED = "the pool is exhausted"
NOTHING = "nothing is there to choose from now"
_log = logging.getLogger("agir_cvtoolkit.stages.loop")


@dataclass(frozen=True)
class Step:
    """What one step of a loop did.

    Attributes:
        state: ``worked``: the next one can follow at once; ``waiting``: for people; ``ended``: no round is left.
        words: what was done, or why nothing.
        round: that it was done in; None before the first one.
    """

    state: Literal["worked", "waiting", "ended"]
    words: str
    round: RoundRow | None = None


class LoopSteps:
    """Brings a loop that is held forward, one state at a time.

    Args:
        place: where it works.
        work: what its rounds do.
        lease: on it.
        hooks: who is told.
        patient: a server that does not answer is no failure of the round: somebody tries again.
    """

    def __init__(
        self, place: LoopPlace, work: RoundWork, lease: LoopLease, hooks: Hooks, *, patient: bool = False
    ) -> None:
        self._place, self._work, self._hooks = place, work, hooks
        self._lease, self._patient = lease, patient
        self._loop = place.settings.loop

    def step(self) -> Step:
        """Do what comes next.

        Raises:
            AgirError: it failed; the round says so, and the next step tries again.
        """
        rounds = self._rounds()
        row = rounds[-1] if rounds else None
        if row is None or row.is_ended:
            return self._next(rounds)
        try:
            return self._forward(row, rounds)
        except (InterruptedByUser, UsageError):
            raise
        except Exception as error:
            if not (self._patient and isinstance(error, RemoteError)):
                self._failed(row, error)
            raise
        finally:
            self._hooks.wake()

    def _forward(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Step:
        if row.state == "failed":
            row = self._move(row, row.stands)
        does = {
            "opened": self._choose,
            "selected": self._push,
            "pushed": self._announce,
            "in_annotation": self._look,
            "pulled": self._train,
            "trained": self._evaluate,
            "evaluated": self._settle,
        }
        return does[row.state](row, rounds)

    # --- from state to state ----------------------------------------------------------------------

    def _next(self, rounds: Sequence[RoundRow]) -> Step:
        if rounds:
            rounds = [*rounds[:-1], self._completed(rounds[-1])]
            self._tell_ended(rounds[-1])
            self._measure(rounds)
        champion = self._place.ledger.champion(self._loop.kind)
        version = champion.version if champion else ""
        spent = spent_of(rounds, self._hours(rounds), version)
        why = end_of(self._loop.budget, spent)
        if why is not None:
            return self._ended(why, rounds)
        number = len(rounds) + 1
        figures = {
            "wanted": room_for(self._loop.budget, spent, self._loop.count),
            "predictor": version,
        }
        row = self._place.ledger.open_round(
            self._place.name, self._lease.owner, self._place.run_id(number), figures
        )
        return Step("worked", f"round {number} begins", row)

    def _choose(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Step:
        chosen = self._work.choose(row, rounds, int(row.figures["wanted"]))
        if not chosen.count and chosen.comes_later and self._patient:
            return Step("waiting", "nothing to choose from yet", row)
        if not chosen.count:
            self._place.ledger.drop_round(row, self._lease.owner)
            return self._ended(NOTHING if chosen.comes_later else EXHAUSTED, rounds[:-1])
        figures = {**chosen.figures, "chosen": chosen.count}
        row = self._move(row, "selected", figures, run_id=chosen.run_id)
        return Step("worked", f"{chosen.count} of the pool chosen", row)

    def _push(self, row: RoundRow, _rounds: Sequence[RoundRow]) -> Step:
        row = self._move(row, "pushed", dict(self._work.push(row)))
        return Step("worked", f"tasks: {', '.join(map(str, row.figures.get('tasks', ()))) or 'none'}", row)

    def _announce(self, row: RoundRow, _rounds: Sequence[RoundRow]) -> Step:
        row = self._move(row, "in_annotation", tell="batch_ready")
        return Step("worked", "waits for people", row)

    def _look(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Step:
        back = self._work.look(row, rounds)
        for number in back.drained:
            told = {"loop": row.loop, "round": number, "state": "finished", "run": self._place.run_id(number)}
            self._place.ledger.tell_once(row.loop, number, "batch_finished", told, self._hooks.channels)
        decision = decide(self._loop.policy, evidence_of(self._place.ledger, self._lease.row, rounds))
        if not back.finished and not decision.fires:
            jobs = f"{back.waiting} job{'' if back.waiting == 1 else 's'} not finished"
            return Step("waiting", f"{jobs}; {decision.words}" if decision.asked else jobs, row)
        learns = decision.fires or not decision.asked
        figures: dict[str, Any] = {
            "train": learns,
            "why": decision.words,
            "asked": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        if learns:
            figures |= dict(self._work.ask(row, rounds))
        row = self._move(row, "pulled", figures, training_run=figures.pop("training_run", None))
        return Step("worked", "came back", row)

    def _train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Step:
        if not row.figures.get("train", True):
            row = self._move(row, "deferred", tell="round_finished")
            return Step("worked", "waits for the labels of the next round", row)
        figures = dict(self._work.train(row, rounds))
        row = self._rounds()[-1]
        if row.state != "pulled":  # the ledger has followed what was done
            row = self._place.ledger.note_round(row, self._lease.owner, figures)
        elif figures.get("train", True):
            row = self._move(row, "trained", figures)
        else:
            row = self._place.ledger.note_round(row, self._lease.owner, figures)
            return Step("worked", str(figures.get("why", "")), row)
        return Step("worked", f"model {row.figures.get('version', '')} trained", row)

    def _evaluate(self, row: RoundRow, _rounds: Sequence[RoundRow]) -> Step:
        row = self._move(row, "evaluated", dict(self._work.evaluate(row)))
        return Step("worked", str(row.figures.get("words", "")), row)

    def _settle(self, row: RoundRow, _rounds: Sequence[RoundRow]) -> Step:
        if "takes_over" not in row.figures:
            row = self._place.ledger.note_round(row, self._lease.owner, dict(self._work.evaluate(row)))
        if row.figures["takes_over"]:
            self._work.promote(row)
            row = self._move(row, "promoted")
        else:
            row = self._move(row, "rejected")
        self._tell_ended(row)
        return Step("worked", f"{row.state}: {row.figures.get('words', '')}", row)

    # --- the ledger -------------------------------------------------------------------------------

    def _rounds(self) -> list[RoundRow]:
        return self._place.ledger.rounds(self._place.name)

    def _move(
        self,
        row: RoundRow,
        to: RoundState,
        figures: Figures | None = None,
        *,
        tell: str | None = None,
        run_id: str | None = None,
        training_run: str | None = None,
    ) -> RoundRow:
        return self._place.ledger.move_round(
            row,
            to,
            self._lease.owner,
            figures=figures,
            run_id=run_id,
            training_run=training_run,
            tell=tell,
            channels=self._hooks.channels,
        )

    def _failed(self, row: RoundRow, error: Exception) -> None:
        reason = error.problem if isinstance(error, AgirError) else f"{type(error).__name__}: {error}"
        known = [e for e in self._place.ledger.round_events(row.loop) if e.kind == "failed"]
        said_before = bool(known) and known[-1].detail.get("figures", {}).get("reason") == reason
        try:
            self._move(row, "failed", {"reason": reason}, tell=None if said_before else "failed")
        except AgirError as another:
            _log.warning("round %d was not marked as failed: %s", row.number, another)

    def _completed(self, row: RoundRow) -> RoundRow:
        """Add what a round lacks whose end was written by the stage that ended it, and then killed."""
        if row.state == "deferred" or "outcome" in row.figures:
            return row
        return self._place.ledger.note_round(row, self._lease.owner, self._work.evaluate(row))

    def _tell_ended(self, row: RoundRow) -> None:
        """Tell that a round is finished; whoever was killed before it could has the next call tell."""
        told = {
            "loop": row.loop,
            "round": row.number,
            "state": row.state,
            "run": row.run_id,
            "figures": dict(row.figures),
        }
        self._place.ledger.tell_once(row.loop, row.number, "round_finished", told, self._hooks.channels)

    def _ended(self, why: str, rounds: Sequence[RoundRow]) -> Step:
        self._lease.ended = why
        return Step("ended", why, rounds[-1] if rounds else None)

    def _hours(self, rounds: Sequence[RoundRow]) -> float:
        from .effort import effort

        hours = effort(self._place.call).hours_by_run
        return sum(hours.get(row.run_id, 0.0) for row in rounds)

    def _measure(self, rounds: Sequence[RoundRow]) -> None:
        row = rounds[-1]
        if self._loop.measure_benefit and "benefit" not in row.figures:
            from ._round_benefit import benefit_of

            found = benefit_of(self._place, row, rounds)
            self._place.ledger.note_round(row, self._lease.owner, found)
