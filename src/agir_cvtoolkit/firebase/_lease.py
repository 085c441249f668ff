"""What a capture's document says at each step of its way, whichever store holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agir_cvtoolkit.captures import Capture

from ._values import moment

_LEASE = ("claimedBy", "claimedUntil", "claimToken")


@dataclass(frozen=True)
class Change:
    """Fields of a document that are set, and fields that are taken away."""

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    removed: tuple[str, ...] = ()


def claimed(owner: str, until: datetime, token: str) -> Change:
    """Return the change that takes a capture; the token tells this claim from every other of the same owner."""
    return Change(
        {"status": "in_progress", "claimedBy": owner, "claimedUntil": until, "claimToken": token},
        ("reason", "transferredBy"),
    )


def renewed(until: datetime) -> Change:
    """Return the change that lengthens a lease."""
    return Change({"claimedUntil": until})


def transferred(when: datetime, by: str | None) -> Change:
    """Return the change of a capture that lies where people correct it, brought there by who held its lease."""
    fields: dict[str, Any] = {
        "status": "in_progress",
        "annotation_started": when,
        "annotation_platform": "CVAT",
        "gpusrv_transfer": True,
    }
    # The lease goes; who was killed before the answer came must still see that it was told.
    return Change(fields | ({"transferredBy": by} if by else {}), _LEASE)


def given_back() -> Change:
    """Return the change of a capture that goes back to the queue."""
    return Change({"status": "pending"}, _LEASE)


def requeued() -> Change:
    """Return the change of a capture that waits again, without a trace of what became of it."""
    return Change(
        {"status": "pending"},
        (*_LEASE, "reason", "transferredBy", "annotation_started", "annotation_platform", "gpusrv_transfer"),
    )


def lease_mended(document: Mapping[str, Any]) -> Change | None:
    """Return what becomes of a lease whose end has another type than this package writes; None where there is none.

    One that can be read as a time ends then; any other has ended, or nobody could ever have the capture.
    """
    given = document.get("claimedUntil")
    if "claimedUntil" not in document or isinstance(given, datetime):
        return None
    until = moment(given)
    if until is not None:
        return renewed(until)
    is_transferred = document.get("gpusrv_transfer") is True
    return given_back() if document.get("status") == "in_progress" and not is_transferred else lease_ended()


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


def capture_after(capture: Capture, change: Change, version: str) -> Capture:
    """Return a capture after a change, without reading its document again."""
    gone = change.removed
    until = change.fields.get("claimedUntil", None if "claimedUntil" in gone else capture.claimed_until)
    return replace(
        capture,
        status=change.fields.get("status", capture.status),
        reason=change.fields.get("reason", "" if "reason" in gone else capture.reason),
        claimed_by=change.fields.get("claimedBy", None if "claimedBy" in gone else capture.claimed_by),
        claimed_until=until,
        version=version,
        transferred_by=change.fields.get(
            "transferredBy", None if "transferredBy" in gone else capture.transferred_by
        ),
    )


def has_landed(document: Mapping[str, Any], change: Change) -> bool:
    """Return whether a document says all that a change would have made it say."""
    return not any(name in document for name in change.removed) and all(
        document.get(name) == value for name, value in change.fields.items()
    )


def queue_floor(min_priority: int) -> float:
    """Return the least number that a query asks for: what devices number below 1 is a 1 too."""
    return float(min_priority) if min_priority > 1 else -1e18
