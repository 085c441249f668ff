"""Organizations, memberships and accounts."""

from __future__ import annotations

import re

from starlette.responses import Response

from .access import basic_user, whole_user
from .answers import Refusal, not_found, reply, required
from .calls import Call
from .lists import list_answer, page_answer
from .store import Json, now

_SLUG = re.compile(r"^[a-zA-Z0-9_-]{1,16}$")


def show_self(call: Call) -> Response:
    """Answer ``GET /api/users/self``."""
    return reply(whole_user(call, call.user))


def list_users(call: Call) -> Response:
    """Answer ``GET /api/users``."""
    users = call.store.all("user")
    wanted = call.query.get("username")
    if wanted:
        users = [user for user in users if user["username"] == wanted]
    search = call.query.get("search")
    if search:
        users = [user for user in users if search in user["username"]]
    return page_answer(call, users, lambda user: whole_user(call, user))


def show_user(call: Call) -> Response:
    """Answer ``GET /api/users/ID``."""
    return reply(whole_user(call, call.load("user")))


def list_organizations(call: Call) -> Response:
    """Answer ``GET /api/organizations``."""
    organizations = [
        document | {"organization": document["id"]} for document in call.store.all("organization")
    ]
    return list_answer(
        call,
        organizations,
        lambda o: {"slug": o["slug"], "name": o["name"], "id": o["id"], "updated_date": o["updated_date"]},
        lambda o: _view(call, o),
    )


def create_organization(call: Call) -> Response:
    """Answer ``POST /api/organizations``."""
    spec = call.json_object()
    slug = spec.get("slug")
    if not isinstance(slug, str) or not slug:
        raise required("slug")
    if not _SLUG.match(slug):
        raise Refusal(
            400, {"slug": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."]}
        )
    store = call.store
    with store.transaction():
        if any(o["slug"] == slug for o in store.all("organization")):
            raise Refusal(400, {"slug": ["organization with this slug already exists."]})
        at = now()
        organization: Json = {
            "id": store.next_id("organization"),
            "slug": slug,
            "name": spec.get("name") or slug,
            "description": spec.get("description") or "",
            "contact": spec.get("contact") or {},
            "created_date": at,
            "updated_date": at,
            "owner_id": call.user["id"],
        }
        store.put("organization", organization["id"], organization)
    return reply(_view(call, organization), 201)


def show_organization(call: Call) -> Response:
    """Answer ``GET /api/organizations/ID``."""
    return reply(_view(call, call.load("organization")))


def remove_organization(call: Call) -> Response:
    """Answer ``DELETE /api/organizations/ID``: an organization that still owns something stays."""
    store = call.store
    organization = call.load("organization")
    for kind in ("project", "task"):
        if any(document["organization"] == organization["id"] for document in store.all(kind)):
            raise Refusal(400, [f"The organization still has a {kind}."])
    store.remove("organization", organization["id"])
    return Response(status_code=204)


def list_memberships(call: Call) -> Response:
    """Answer ``GET /api/memberships``: the owner of each organization is its one member."""
    members = [_membership(o) for o in call.store.all("organization")]
    if call.context.organization is not None:
        members = [m for m in members if m["organization"] == call.context.organization]
    return page_answer(call, members, lambda m: _membership_view(call, m))


def show_membership(call: Call) -> Response:
    """Answer ``GET /api/memberships/ID``."""
    organization = call.store.get("organization", call.key)
    if organization is None:
        raise not_found("Membership")
    return reply(_membership_view(call, _membership(organization)))


def list_nothing(call: Call) -> Response:
    """Answer a list of things that the sandbox has none of."""
    return page_answer(call, [], lambda document: document)


def _membership(organization: Json) -> Json:
    return {
        "id": organization["id"],
        "organization": organization["id"],
        "user_id": organization["owner_id"],
        "joined_date": organization["created_date"],
    }


def _membership_view(call: Call, member: Json) -> Json:
    return {
        "id": member["id"],
        "user": basic_user(call, member["user_id"]),
        "organization": member["organization"],
        "is_active": True,
        "joined_date": member["joined_date"],
        "role": "owner",
        "invitation": None,
    }


def _view(call: Call, organization: Json) -> Json:
    keys = ("id", "slug", "name", "description", "created_date", "updated_date", "contact")
    return {key: organization[key] for key in keys} | {"owner": basic_user(call, organization["owner_id"])}
