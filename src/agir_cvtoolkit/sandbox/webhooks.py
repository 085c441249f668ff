"""Webhooks: who wants to be told of what, and the telling.

As the real server (2.42): the signature is HMAC-SHA256 over the body with the webhook's secret, each delivery is
tried once within 10 s, and an annotation that is saved is no event.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from functools import partial

import urllib3
from starlette.responses import Response

from .access import basic_user
from .answers import Refusal, not_found, reply, required
from .calls import Call
from .lists import list_answer, page_answer
from .store import Json, Store, now

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 10.0
_EVENTS = frozenset(
    f"{action}:{resource}"
    for resource in ("project", "task", "job", "issue", "comment")
    for action in ("create", "update", "delete")
) - {"create:project"}
_TEXTS = {"target_url": 8192, "description": 128, "secret": 64}
_FLAGS = ("is_active", "enable_ssl")


def list_webhooks(call: Call) -> Response:
    """Answer ``GET /api/webhooks``."""
    return list_answer(
        call,
        call.store.all("webhook"),
        lambda w: {name: w[name] for name in ("target_url", "type", "description", "id", "project_id")},
        lambda w: _view(call, w),
    )


def show_webhook(call: Call) -> Response:
    """Answer ``GET /api/webhooks/ID``."""
    return reply(_view(call, call.load("webhook")))


def create_webhook(call: Call) -> Response:
    """Answer ``POST /api/webhooks``: of projects only."""
    spec = call.json_object()
    for name in ("target_url", "type", "events"):
        if not spec.get(name):
            raise required(name)
    if spec["type"] != "project":
        raise Refusal(400, {"type": [f'"{spec["type"]}" is not a valid choice.']})
    store = call.store
    with store.transaction():
        project = store.get("project", int(spec.get("project_id") or 0))
        if project is None:
            raise not_found("Project")
        at = now()
        webhook: Json = {
            "id": store.next_id("webhook"),
            "type": "project",
            "project_id": project["id"],
            "organization": project["organization"],
            "owner_id": call.user["id"],
            "content_type": "application/json",
            "description": "",
            "secret": "",
            "is_active": True,
            "enable_ssl": True,
            "created_date": at,
        }
        _change(webhook, spec)
        store.put("webhook", webhook["id"], webhook, parent=f"project:{project['id']}")
    return reply(_view(call, webhook), 201)


def patch_webhook(call: Call) -> Response:
    """Answer ``PATCH /api/webhooks/ID``."""
    store = call.store
    with store.transaction():
        webhook = call.load("webhook")
        _change(webhook, call.json_object())
        store.put("webhook", webhook["id"], webhook, parent=f"project:{webhook['project_id']}")
    return reply(_view(call, webhook))


def remove_webhook(call: Call) -> Response:
    """Answer ``DELETE /api/webhooks/ID``."""
    with call.store.transaction():
        forget_webhook(call.store, call.load("webhook"))
    return Response(status_code=204)


def forget_webhook(store: Store, webhook: Json) -> None:
    """Remove a webhook and what is known of its deliveries."""
    for delivery in store.all("delivery", parent=f"webhook:{webhook['id']}"):
        store.remove("delivery", delivery["id"])
    store.remove("webhook", webhook["id"])


def list_deliveries(call: Call) -> Response:
    """Answer ``GET /api/webhooks/ID/deliveries``."""
    webhook = call.load("webhook")
    found = call.store.all("delivery", parent=f"webhook:{webhook['id']}")
    return page_answer(call, sorted(found, key=lambda d: -int(d["id"])), dict)


def ping(call: Call) -> Response:
    """Answer ``POST /api/webhooks/ID/ping``: deliver at once and say how it went."""
    webhook = call.load("webhook")
    call.json_object()
    payload = {"event": "ping", "webhook": _view(call, webhook), "sender": basic_user(call, call.user["id"])}
    return reply(_deliver(call.store, webhook, payload))


def announce(call: Call, resource: str, project_id: int | None, view: Json, before: Json) -> None:
    """Tell the webhooks of a project that something has changed, in the background.

    Args:
        resource: ``job`` or ``task``.
        view: as it is now.
        before: the fields that have changed, with their old values.
    """
    event = f"update:{resource}"
    if project_id is None or not before:
        return
    for webhook in call.store.all("webhook", parent=f"project:{project_id}"):
        if webhook["is_active"] and event in webhook["events"]:
            payload = {
                "event": event,
                resource: view,
                "before_update": before,
                "sender": basic_user(call, call.user["id"]),
                "webhook_id": webhook["id"],
            }
            call.world.workers.tell(partial(_deliver, call.store, webhook, payload))


def _deliver(store: Store, webhook: Json, payload: Json) -> Json:
    body = json.dumps(payload).encode()
    headers = {"Content-Type": "application/json"}
    if webhook["secret"]:
        digest = hmac.new(webhook["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers["X-Signature-256"] = f"sha256={digest}"
    try:
        with urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S) as http:
            answer = http.request("POST", webhook["target_url"], body=body, headers=headers)
        status = answer.status
    except urllib3.exceptions.HTTPError as error:
        late = isinstance(error, urllib3.exceptions.TimeoutError)
        status = 504 if late and not isinstance(error, urllib3.exceptions.NewConnectionError) else 502
    at = now()
    with store.transaction():
        delivery: Json = {
            "id": store.next_id("delivery"),
            "webhook_id": webhook["id"],
            "event": payload["event"],
            "status_code": status,
            "redelivery": False,
            "created_date": at,
            "updated_date": at,
            "changed_fields": ",".join(payload.get("before_update", {})),
            "request": payload,
            "response": {},
        }
        store.put("delivery", delivery["id"], delivery, parent=f"webhook:{webhook['id']}")
    _LOG.info("webhook %d: %s answered %d", webhook["id"], payload["event"], status)
    return delivery


def _change(webhook: Json, spec: Json) -> None:
    for name, longest in _TEXTS.items():
        if name in spec:
            if not isinstance(spec[name], str) or len(spec[name]) > longest:
                raise Refusal(400, {name: [f"Ensure this field has no more than {longest} characters."]})
            webhook[name] = spec[name]
    if "events" in spec:
        events = spec["events"]
        if not isinstance(events, list) or not set(events) <= _EVENTS:
            raise Refusal(400, ["Invalid events list for project webhook"])
        webhook["events"] = sorted(set(events))
    for name in _FLAGS:
        if name in spec:
            webhook[name] = bool(spec[name])
    webhook["updated_date"] = now()


def _view(call: Call, webhook: Json) -> Json:
    deliveries = call.store.all("delivery", parent=f"webhook:{webhook['id']}")
    last = max(deliveries, key=lambda d: int(d["id"]), default=None)
    shown = {name: value for name, value in webhook.items() if name not in {"secret", "owner_id"}}
    return shown | {
        "url": f"{call.origin}/api/webhooks/{webhook['id']}",
        "owner": basic_user(call, webhook["owner_id"]),
        **(
            {"last_status": last["status_code"], "last_delivery_date": last["updated_date"]}
            if last is not None
            else {}
        ),
    }
