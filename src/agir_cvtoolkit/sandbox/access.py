"""Who is asking: accounts, tokens, sessions, and the organization a request speaks in."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie

from starlette.responses import Response

from .answers import Refusal, reply
from .calls import Call, Context, World
from .store import Json, Store, now

_ROUNDS = 10_000
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIE_AGE = 14 * 24 * 3600


def ensure_user(store: Store, username: str, password: str) -> None:
    """Make an account, or give it this password."""
    with store.transaction():
        user = next((u for u in store.all("user") if u["username"] == username), None)
        if user is None:
            user = {
                "id": store.next_id("user"),
                "username": username,
                "email": f"{username}@localhost.local",
                "date_joined": now(),
                "last_login": None,
            }
        salt = secrets.token_hex(8)
        user["password"] = f"{salt}${_digest(password, salt)}"
        store.put("user", user["id"], user)


def basic_user(call: Call, user_id: int | None) -> Json | None:
    """Return an account as other objects show it."""
    user = None if user_id is None else call.store.get("user", user_id)
    if user is None:
        return None
    return {
        "url": f"{call.origin}/api/users/{user['id']}",
        "id": user["id"],
        "username": user["username"],
        "first_name": "",
        "last_name": "",
    }


def account(call: Call, spec: Json, key: str) -> int | None:
    """Return the account that a field names.

    Raises:
        Refusal: 400, there is none with that id.
    """
    value = spec.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or call.store.get("user", value) is None:
        raise Refusal(400, {key: [f'Invalid pk "{value}" - object does not exist.']})
    return value


def whole_user(call: Call, user: Json) -> Json:
    """Return an account as it sees itself."""
    return {
        **(basic_user(call, user["id"]) or {}),
        "email": user["email"],
        "groups": ["admin"],
        "is_staff": True,
        "is_superuser": True,
        "is_active": True,
        "last_login": user["last_login"],
        "date_joined": user["date_joined"],
        "has_analytics_access": True,
    }


class Throttle:
    """The sliding window of anonymous requests: so many in a minute, logins among them."""

    def __init__(self, limit: int, seconds: float = 60.0) -> None:
        self._limit = limit
        self._seconds = seconds
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def count(self) -> None:
        """Count one request.

        Raises:
            Refusal: 429 with ``Retry-After``, there were too many.
        """
        with self._lock:
            at = time.monotonic()
            while self._times and self._times[0] <= at - self._seconds:
                self._times.popleft()
            if len(self._times) >= self._limit:
                wait = max(1, round(self._seconds - (at - self._times[0])))
                unit = "second" if wait == 1 else "seconds"
                text = f"Request was throttled. Expected available in {wait} {unit}."
                raise Refusal(429, {"detail": text}, {"Retry-After": str(wait)})
            self._times.append(at)


def log_in(call: Call) -> Response:
    """Check a password and give out the account's token and a session."""
    fields = call.json_object()
    password = fields.get("password")
    if not isinstance(password, str) or not password:
        raise Refusal(400, {"password": ["This field is required."]})
    name = str(fields.get("username") or fields.get("email") or "")
    user = _user_of(call.store, name, password)
    if user is None:
        raise Refusal(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
    store = call.store
    with store.transaction():
        token = next(iter(store.all("token", parent=str(user["id"]))), None)
        if token is None:
            token = {"key": secrets.token_hex(20), "user": user["id"]}
            store.put("token", token["key"], token, parent=str(user["id"]))
        session, csrf = secrets.token_hex(16), secrets.token_hex(16)
        store.put("session", session, {"user": user["id"], "csrf": csrf}, parent=str(user["id"]))
        user["last_login"] = now()
        store.put("user", user["id"], user)
    response = reply({"key": token["key"]})
    response.set_cookie("csrftoken", csrf, max_age=_COOKIE_AGE, samesite="lax")
    response.set_cookie("sessionid", session, max_age=_COOKIE_AGE, httponly=True, samesite="lax")
    return response


def log_out(call: Call) -> Response:
    """End the session and destroy the account's one token, for every client that uses it."""
    store = call.store
    if call.user:
        with store.transaction():
            for token in store.all("token", parent=str(call.user["id"])):
                store.remove("token", token["key"])
            store.remove("session", _cookies(call.headers).get("sessionid", ""))
    response = reply({"detail": "Successfully logged out."})
    response.delete_cookie("sessionid")
    return response


def authenticate(world: World, method: str, path: str, headers: Mapping[str, str]) -> Json | None:
    """Return the account of a request, or None for an anonymous one.

    Raises:
        Refusal: 401 for wrong credentials, 403 for a session without its CSRF token.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    scheme, value, store = scheme.lower(), value.strip(), world.store
    if scheme == "token":
        token = store.get("token", value)
        if token is None:
            raise Refusal(401, {"detail": "Invalid token."}, {"WWW-Authenticate": "Token"})
        return store.get("user", token["user"])
    if scheme == "bearer" and world.generation.access_tokens:
        return _bearer(world, method, path, value)
    cookies = _cookies(headers)
    session = store.get("session", cookies.get("sessionid", ""))
    if session is not None:
        if method not in _SAFE:
            _check_csrf(headers.get("x-csrftoken"), cookies.get("csrftoken"))
        return store.get("user", session["user"])
    if scheme == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, password = "", ""
        user = _user_of(store, name, password)
        if user is None:
            raise Refusal(401, {"detail": "Invalid username/password."}, {"WWW-Authenticate": "Token"})
        return user
    return None


def find_context(store: Store, headers: Mapping[str, str], query: Mapping[str, str]) -> Context:
    """Find the organization a request speaks in.

    Raises:
        Refusal: 404 for one that does not exist, 400 where header and query contradict each other.
    """
    slug, header, number = query.get("org"), headers.get("x-organization"), query.get("org_id")
    if number is not None and (slug is not None or header is not None):
        raise Refusal(400, {"detail": 'You cannot specify "org_id" together with "org" or "X-Organization".'})
    if slug is not None and header is not None and slug != header:
        text = (
            'You cannot specify "org" query parameter and "X-Organization" HTTP header with different values.'
        )
        raise Refusal(400, {"detail": text})
    name = slug if slug is not None else header
    if number is not None:
        found = store.get("organization", int(number)) if number.isdigit() and len(number) < 19 else None
        if found is None:
            raise Refusal(404, {"detail": f"{number} organization does not exist."})
        return Context(given=True, organization=int(found["id"]))
    if name is None:
        return Context()
    if not name:
        return Context(given=True)
    for organization in store.all("organization"):
        if organization["slug"] == name:
            return Context(given=True, organization=int(organization["id"]))
    raise Refusal(404, {"detail": f"{name} organization does not exist."})


def _bearer(world: World, method: str, path: str, value: str) -> Json | None:
    """Return the account of a personal access token, with what the token may under ``token``."""
    store, given = world.store, world.options.access_token
    if given is not None and hmac.compare_digest(value.encode(), given.encode()):
        user = _named(store, world.options.username)
        return None if user is None else user | {"token": {"id": 0, "read_only": False}}
    digest = token_digest(value)
    token = next((t for t in store.all("access_token") if hmac.compare_digest(t["digest"], digest)), None)
    if token is None or expired(token):
        raise Refusal(401, {"detail": "Invalid token."}, {"WWW-Authenticate": "Bearer"})
    # An export changes nothing, though it is asked for by POST.
    reads = method in _SAFE or path.rstrip("/").endswith("/dataset/export")
    if token["read_only"] and not reads:
        raise Refusal(403, {"detail": "You do not have permission to perform this action."})
    store.put("access_token", token["id"], token | {"last_used_date": now()})
    user = store.get("user", token["owner_id"])
    return None if user is None else user | {"token": token}


def token_digest(value: str) -> str:
    """Return what is kept of an access token."""
    return hashlib.sha256(value.encode()).hexdigest()


def expired(token: Json) -> bool:
    """Whether an access token may no longer be used."""
    expiry = token["expiry_date"]
    return expiry is not None and datetime.fromisoformat(expiry) <= datetime.now(UTC)


def _check_csrf(sent: str | None, cookie: str | None) -> None:
    if cookie is None:
        raise Refusal(403, {"detail": "CSRF Failed: CSRF cookie not set."})
    if sent is None:
        raise Refusal(403, {"detail": "CSRF Failed: CSRF token missing."})
    if not hmac.compare_digest(sent.encode(), cookie.encode()):
        raise Refusal(
            403, {"detail": "CSRF Failed: CSRF token from the 'X-Csrftoken' HTTP header incorrect."}
        )


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


def _named(store: Store, name: str) -> Json | None:
    return next((u for u in store.all("user") if name in {u["username"], u["email"]}), None)


def _user_of(store: Store, name: str, password: str) -> Json | None:
    user = _named(store, name)
    if user is None:
        return None
    salt, _, digest = str(user["password"]).partition("$")
    return user if hmac.compare_digest(_digest(password, salt), digest) else None


def _digest(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _ROUNDS).hex()
