"""What a trigger says at each step of its way, whichever store holds it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from agir_cvtoolkit.captures import Trigger


def new_trigger(count: int, threshold: int, now: datetime) -> Trigger:
    """Return a waiting trigger; its id sorts by time."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    return Trigger(f"trigger_{stamp}_{uuid.uuid4().hex[:8]}", count, threshold, now)


def trigger_claimed(trigger: Trigger, owner: str, until: datetime) -> Trigger:
    """Return a trigger that a training was begun for."""
    return replace(
        trigger, status="claimed", claimed_by=owner, claimed_until=until, attempts=trigger.attempts + 1
    )


def trigger_released(trigger: Trigger, reason: str) -> Trigger:
    """Return a trigger that waits again after a failed training."""
    return replace(trigger, status="pending", claimed_by=None, claimed_until=None, reason=reason[:1500])


def trigger_finished(trigger: Trigger, model: str) -> Trigger:
    """Return a trigger whose training is done."""
    return replace(trigger, status="completed", claimed_by=None, claimed_until=None, reason="", model=model)
