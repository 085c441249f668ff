"""The states of a round, and which may follow which: the only place that says so.

::

    opened -> selected -> pushed -> in_annotation -> pulled -> trained -> evaluated -> promoted | rejected
                                                        `-> deferred

Whatever is not ended may become ``failed``; a round that failed goes on in the state in which it did.
"""

from __future__ import annotations

from typing import Literal, get_args

RoundState = Literal[
    "opened",
    "selected",
    "pushed",
    "in_annotation",
    "pulled",
    "trained",
    "evaluated",
    "promoted",
    "rejected",
    "deferred",
    "failed",
]
STATES: tuple[RoundState, ...] = get_args(RoundState)
FAILED: RoundState = "failed"
ENDED: frozenset[RoundState] = frozenset({"promoted", "rejected", "deferred"})
"""Of a round in one of them nothing more comes."""
NEXT: dict[RoundState, tuple[RoundState, ...]] = {
    "opened": ("selected",),
    "selected": ("pushed",),
    "pushed": ("in_annotation",),
    "in_annotation": ("pulled",),
    "pulled": ("trained", "deferred"),
    "trained": ("evaluated",),
    "evaluated": ("promoted", "rejected"),
    "promoted": (),
    "rejected": (),
    "deferred": (),
}


def may_follow(state: RoundState, to: RoundState, failed_in: RoundState | None = None) -> bool:
    """Whether a round may go from one state to another.

    Args:
        state: where it is.
        to: where it would go.
        failed_in: of a round that failed, the state in which it did.
    """
    if state == FAILED:
        return to == failed_in
    if to == FAILED:
        return state not in ENDED
    return to in NEXT[state]


def before(to: RoundState) -> frozenset[RoundState]:
    """Return the states from which a round may come to one that is not ``failed``."""
    return frozenset(state for state, following in NEXT.items() if to in following)
