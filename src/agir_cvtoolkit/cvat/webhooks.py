"""Webhooks of a project: what the server calls when a job changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .session import CvatSession

EVENTS = ("update:job",)
"""What a pull has to hear of: a job that was completed or reopened. Saved annotations are no event."""


@dataclass(frozen=True)
class WebhookInfo:
    """A webhook.

    Attributes:
        target_url: what the server calls.
        active: whether it does.
        last_status: HTTP status of the last delivery; 502 and 504 stand for no answer; None before the first.
        last_delivery: when that was, as the server says it.
    """

    id: int
    project_id: int | None
    target_url: str
    description: str
    events: tuple[str, ...]
    active: bool
    last_status: int | None
    last_delivery: str | None


def list_webhooks(session: CvatSession, project_id: int | None = None) -> tuple[WebhookInfo, ...]:
    """Read the webhooks of a project, or all that this account sees, oldest first."""
    params = {} if project_id is None else {"project_id": project_id}
    found = [_webhook(item) for item in session.pages("/api/webhooks", "list webhooks", params)]
    # The server ignores query parameters that it does not know, so its choice is checked.
    wanted = [one for one in found if project_id is None or one.project_id == project_id]
    return tuple(sorted(wanted, key=lambda one: one.id))


def create_webhook(
    session: CvatSession,
    project_id: int,
    target_url: str,
    secret: str,
    *,
    events: Sequence[str] = EVENTS,
    description: str = "",
) -> WebhookInfo:
    """Have the server call an address when something changes in a project.

    Args:
        secret: with which it signs what it sends; at most 64 characters.

    Raises:
        RefusedError: the server does not take the address or an event, or the account may not.
    """
    item = session.send_json(
        "POST",
        "/api/webhooks",
        f"add a webhook to project {project_id}",
        _changes(target_url, secret, events, description) | {"type": "project", "project_id": project_id},
    )
    return _webhook(item)


def change_webhook(
    session: CvatSession,
    webhook_id: int,
    target_url: str,
    secret: str,
    *,
    events: Sequence[str] = EVENTS,
    description: str = "",
) -> WebhookInfo:
    """Give a webhook another secret, other events or another address, and switch it on."""
    item = session.send_json(
        "PATCH",
        f"/api/webhooks/{webhook_id}",
        f"change webhook {webhook_id}",
        _changes(target_url, secret, events, description),
    )
    return _webhook(item)


def remove_webhook(session: CvatSession, webhook_id: int) -> None:
    """Delete a webhook.

    Raises:
        NotFoundError: there is none of that number.
    """
    session.request("DELETE", f"/api/webhooks/{webhook_id}", f"remove webhook {webhook_id}")


def ping_webhook(session: CvatSession, webhook_id: int) -> int:
    """Have the server call the address now; return the HTTP status that it got (502, 504: no answer).

    Raises:
        ServerFaultError: the server fails at the call itself.
    """
    item = session.send_json("POST", f"/api/webhooks/{webhook_id}/ping", f"try webhook {webhook_id}", {})
    return int(item.get("status_code") or 0) if isinstance(item, dict) else 0


def _changes(target_url: str, secret: str, events: Sequence[str], description: str) -> dict[str, object]:
    return {
        "target_url": target_url,
        "secret": secret,
        "events": list(events),
        "description": description,
        "content_type": "application/json",
        "is_active": True,
        "enable_ssl": True,
    }


def _webhook(item: Mapping[str, Any]) -> WebhookInfo:
    status = item.get("last_status")
    return WebhookInfo(
        id=int(item["id"]),
        project_id=item.get("project_id"),
        target_url=str(item.get("target_url") or ""),
        description=str(item.get("description") or ""),
        events=tuple(item.get("events") or ()),
        active=bool(item.get("is_active", True)),
        last_status=int(status) if status is not None else None,
        last_delivery=item.get("last_delivery_date"),
    )
