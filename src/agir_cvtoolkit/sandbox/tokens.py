"""Personal access tokens, which servers have since 2.48: made, listed, changed and revoked by their owner."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from starlette.responses import Response

from .access import basic_user, expired, token_digest
from .answers import PageRefusal, Refusal, not_found, reply, required
from .calls import Call
from .lists import page_answer
from .store import Json, now

_LONGEST_NAME = 50


def list_tokens(call: Call) -> Response:
    """Answer ``GET /api/auth/access_tokens``: those of the account that can still be used."""
    _known(call)
    own = [t for t in call.store.all("access_token") if t["owner_id"] == call.user["id"] and not expired(t)]
    return page_answer(call, own, lambda token: _view(call, token))


def create_token(call: Call) -> Response:
    """Answer ``POST /api/auth/access_tokens``; the value is told here and never again."""
    _known(call)
    _by_password(call)
    spec = call.json_object()
    name = spec.get("name")
    if name is None:
        raise required("name")
    if not isinstance(name, str) or not name.strip():
        raise Refusal(400, {"name": ["This field may not be blank."]})
    value = secrets.token_urlsafe(30)
    at = now()
    token: Json = {
        "id": call.store.next_id("access_token"),
        "name": name[:_LONGEST_NAME],
        "created_date": at,
        "updated_date": at,
        "expiry_date": _date(spec.get("expiry_date")),
        "last_used_date": None,
        "read_only": bool(spec.get("read_only", False)),
        "owner_id": call.user["id"],
        "digest": token_digest(value),
    }
    call.store.put("access_token", token["id"], token)
    return reply(_view(call, token) | {"value": value}, 201)


def show_own_token(call: Call) -> Response:
    """Answer ``GET /api/auth/access_tokens/self``: the token that the request carries."""
    _known(call)
    token = call.user.get("token")
    found = None if token is None else call.store.get("access_token", token["id"])
    if found is None:
        raise not_found("AccessToken")
    return reply(_view(call, found))


def show_token(call: Call) -> Response:
    """Answer ``GET /api/auth/access_tokens/ID``."""
    return reply(_view(call, _own(call)))


def patch_token(call: Call) -> Response:
    """Answer ``PATCH /api/auth/access_tokens/ID``."""
    _by_password(call)
    token = _own(call)
    spec = call.json_object()
    if isinstance(spec.get("name"), str):
        token["name"] = spec["name"][:_LONGEST_NAME]
    if "expiry_date" in spec:
        token["expiry_date"] = _date(spec["expiry_date"])
    if "read_only" in spec:
        token["read_only"] = bool(spec["read_only"])
    token["updated_date"] = now()
    call.store.put("access_token", token["id"], token)
    return reply(_view(call, token))


def remove_token(call: Call) -> Response:
    """Answer ``DELETE /api/auth/access_tokens/ID``."""
    _by_password(call)
    call.store.remove("access_token", _own(call)["id"])
    return Response(status_code=204)


def _known(call: Call) -> None:
    if not call.generation.access_tokens:
        raise PageRefusal(404)


def _by_password(call: Call) -> None:
    if "token" in call.user:
        raise Refusal(403, {"detail": "You do not have permission to perform this action."})


def _own(call: Call) -> Json:
    _known(call)
    token = call.store.get("access_token", call.key)
    if token is None or token["owner_id"] != call.user["id"]:
        raise not_found("AccessToken")
    return token


def _date(value: object) -> str | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        form = "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]"
        text = f"Datetime has wrong format. Use one of these formats instead: {form}."
        raise Refusal(400, {"expiry_date": [text]}) from error
    aware = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _view(call: Call, token: Json) -> Json:
    keys = ("id", "name", "created_date", "updated_date", "expiry_date", "last_used_date", "read_only")
    return {key: token[key] for key in keys} | {"owner": basic_user(call, token["owner_id"])}
