"""``trigger explain``: why a model is trained, or not yet."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import Ledger

from ._call import Call
from ._policy import Decision, decide
from ._policy_evidence import Condition, evidence_of

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

__all__ = ["CaptureTrigger", "Condition", "LoopTrigger", "TriggerResult", "trigger_explain"]


@dataclass(frozen=True)
class LoopTrigger:
    """What the policy of a loop says.

    Attributes:
        round: that is under way or was last; 0 where none was.
        state: of it; empty where there is none.
        decision: of the policy.
        words: what will happen, or what is missing.
    """

    loop: str
    round: int
    state: str
    decision: Decision
    words: str


@dataclass(frozen=True)
class CaptureTrigger:
    """What the store of captures says: Firebase's ``retraining_triggers``.

    Attributes:
        store: that was asked.
        unreserved: corrections that no trigger has reserved.
        threshold: so many make one.
        waiting: triggers that are not completed, oldest first, each with its corrections.
        fires: a trigger waits, or the next ``firebase return --trigger-retraining`` makes one.
        missing: in words, what is missing; empty where it fires.
        passed_over: captures that loops looked at and did not choose so far.
    """

    store: str
    unreserved: int
    threshold: int
    waiting: tuple[tuple[str, int], ...]
    fires: bool
    missing: str
    passed_over: int = 0


@dataclass(frozen=True)
class TriggerResult:
    """Why a model is trained, or not yet.

    Attributes:
        loops: each, or the one that was asked for.
        captures: of the store; None where it was not looked at.
    """

    loops: tuple[LoopTrigger, ...]
    captures: CaptureTrigger | None


def trigger_explain(
    name: str | None = None, call: Call | None = None, *, captures: bool | None = None
) -> TriggerResult:
    """Say of each condition what it asks for, what is there, and what is missing.

    Args:
        name: of a loop; None explains all of them.
        call: the common options.
        captures: ask the store of captures too; None does so where there is a loop of captures, or none at all and the
            credentials of a store.

    Raises:
        UsageError: there is no such loop.
        RemoteError: the store fails.
    """
    call = call or Call()
    settings = call.settings()
    asked = captures is True
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        known = {row.name: row for row in ledger.loops()}
        if name is not None and name not in known:
            near = did_you_mean(name, known)
            raise UsageError(
                f"there is no loop {name}", f"{near} Known: {', '.join(known) or 'none'}.".strip()
            )
        wanted = [known[name]] if name is not None else list(known.values())
        if captures is None:
            captures = not wanted or any(row.plan.get("source") == "captures" for row in wanted)
        found = []
        for row in wanted:
            rounds = ledger.rounds(row.name)
            decision = decide(settings.loop.policy, evidence_of(ledger, row, rounds))
            newest = rounds[-1] if rounds else None
            state = newest.state if newest else ""
            found.append(
                LoopTrigger(
                    row.name, newest.number if newest else 0, state, decision, _words(state, decision)
                )
            )
    if captures and not asked and not wanted:
        with suppress(ConfigError):
            return TriggerResult((), _captures(settings))
        return TriggerResult((), None)
    return TriggerResult(tuple(found), _captures(settings) if captures else None)


def _words(state: str, decision: Decision) -> str:
    if state not in {"in_annotation", "pulled"}:
        return "nothing is with people now" if state != "trained" else "a model was trained a moment ago"
    if state == "pulled":
        return "a model is being trained"
    if decision.fires:
        return f"trains at the next look: {decision.words}"
    return decision.words if not decision.asked else f"does not train yet; missing: {decision.words}"


def _captures(settings: Settings) -> CaptureTrigger:
    from agir_cvtoolkit.firebase import open_store

    threshold = settings.firebase.retraining_threshold
    with closing(open_store(settings.firebase)) as store:
        unreserved = store.unreserved()
        waiting = sorted((t for t in store.triggers() if t.status != "completed"), key=lambda t: t.made)
        place = store.place
    fires = bool(waiting) or unreserved >= threshold
    more = threshold - unreserved
    missing = "" if fires else f"{more} more correction{'' if more == 1 else 's'}"
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        passed_over = len(ledger.looked_at(place))
    triggers = tuple((t.trigger_id, t.count) for t in waiting)
    return CaptureTrigger(place, unreserved, threshold, triggers, fires, missing, passed_over)
