"""What a capture's document says at each step of its way, whichever store holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_LEASE = ("claimedBy", "claimedUntil", "claimToken")


@dataclass(frozen=True)
class Change:
    """Fields of a document that are set, and fields that are taken away."""

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    removed: tuple[str, ...] = ()


def claimed(owner: str, until: datetime, token: str) -> Change:
    """Return the change that takes a capture; the token tells this claim from every other of the same owner."""
    return Change(
        {"status": "in_progress", "claimedBy": owner, "claimedUntil": until, "claimToken": token}, ("reason",)
    )


def renewed(until: datetime) -> Change:
    """Return the change that lengthens a lease."""
    return Change({"claimedUntil": until})


def transferred(when: datetime) -> Change:
    """Return the change of a capture that lies where people correct it."""
    fields = {
        "status": "in_progress",
        "annotation_started": when,
        "annotation_platform": "CVAT",
        "gpusrv_transfer": True,
    }
    return Change(fields, _LEASE)


def given_back() -> Change:
    """Return the change of a capture that goes back to the queue."""
    return Change({"status": "pending"}, _LEASE)


def lease_ended() -> Change:
    """Return the change that takes a lease away and nothing else."""
    return Change({}, _LEASE)


def failed(reason: str) -> Change:
    """Return the change of a capture that cannot be used."""
    return Change({"status": "failed", "reason": reason[:1500]}, _LEASE)


def completed(when: datetime) -> Change:
    """Return the change of a capture that is corrected."""
    return Change({"status": "completed", "completedAt": when}, (*_LEASE, "reason"))


def applied(document: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return a document after a change."""
    kept = {name: value for name, value in document.items() if name not in change.removed}
    return kept | dict(change.fields)
