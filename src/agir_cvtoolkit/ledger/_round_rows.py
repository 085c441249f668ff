"""Rows of loops and their rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._round_states import ENDED, FAILED, RoundState


@dataclass(frozen=True)
class LoopRow:
    """A loop.

    Attributes:
        kind: ``segmentation`` or ``pose``.
        plan: what it was started with, such as its pool and how many a round has.
        owner: who works on it now, or did last; None where nobody does.
        lease_until: until when nobody else may.
        ended: why it was at its end when it was last looked at; None where it goes on.
    """

    name: str
    kind: str
    plan: Mapping[str, Any] = field(hash=False)
    owner: str | None
    lease_until: str | None
    created: str
    ended: str | None


@dataclass(frozen=True)
class RoundRow:
    """One round of a loop.

    Attributes:
        number: from 1.
        failed_in: of a round that failed, the state in which it did.
        run_id: of the run in which its batch lies.
        training_run: of the run in which its model lies.
        opened, changed: when it began, and when its state changed last (ISO 8601, UTC).
        figures: what is known of it, such as how many were chosen, and how its model did.
    """

    loop: str
    number: int
    state: RoundState
    failed_in: RoundState | None
    run_id: str
    training_run: str
    opened: str
    changed: str
    figures: Mapping[str, Any] = field(hash=False)

    @property
    def is_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED

    @property
    def stands(self) -> RoundState:
        """The state that it is in, of a round that failed the one in which it did."""
        return self.failed_in if self.state == FAILED and self.failed_in is not None else self.state


@dataclass(frozen=True)
class RoundEvent:
    """Something that happened in a round.

    Attributes:
        kind: ``state``, or what hooks are told: ``batch_ready``, ``batch_finished``, ``round_finished``, ``failed``.
        sequence: which of its kind in the round, from 0.
        pending: channels that have not been told.
    """

    event_id: int
    loop: str
    number: int
    kind: str
    sequence: int
    at: str
    detail: Mapping[str, Any] = field(hash=False)
    pending: tuple[str, ...] = ()
