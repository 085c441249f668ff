"""Google's Firestore emulator with this product's rules, spoken to as a device does: REST and an unsigned token."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.firebase.emulators import emulator_command, running_firestore

PROJECT = "demo-rules"
OWNER = "owner"


def token(uid: str) -> str:
    """Return a token as the emulator takes it: not signed."""

    def part(content: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    now = int(time.time())
    claims = {
        "sub": uid,
        "user_id": uid,
        "aud": PROJECT,
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "iat": now,
        "exp": now + 3600,
        "firebase": {"sign_in_provider": "anonymous", "identities": {}},
    }
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


@dataclass(frozen=True)
class Time:
    """A value of Firestore's own type for times."""

    text: str


def encoded(value: object) -> dict[str, Any]:
    """Return a value as Firestore's REST interface writes it."""
    match value:
        case None:
            return {"nullValue": None}
        case bool():
            return {"booleanValue": value}
        case int():
            return {"integerValue": str(value)}
        case float():
            return {"doubleValue": "NaN" if value != value else value}
        case str():
            return {"stringValue": value}
        case Time(text):
            return {"timestampValue": text}
        case Mapping():
            return {"mapValue": {"fields": {str(k): encoded(v) for k, v in value.items()}}}
        case list() | tuple():
            return {"arrayValue": {"values": [encoded(item) for item in value]}}
    raise TypeError(type(value))


@dataclass(frozen=True)
class Ruled:
    """The emulator, its rules in force for everyone but the owner."""

    host: str
    http: urllib3.PoolManager

    @property
    def documents(self) -> str:
        return f"http://{self.host}/v1/projects/{PROJECT}/databases/(default)/documents"

    def call(
        self, method: str, path: str, who: str | None, fields: Mapping[str, object] | None = None
    ) -> int:
        """Send a request as a device (its uid), as the owner or as nobody; return the status."""
        headers = {}
        if who is not None:
            headers["Authorization"] = f"Bearer {OWNER if who == OWNER else token(who)}"
        body = None
        if fields is not None:
            body = {"fields": {str(k): encoded(v) for k, v in fields.items()}}
        answer = self.http.request(method, f"{self.documents}/{path}", headers=headers, json=body)
        return int(answer.status)

    def create(self, path: str, fields: Mapping[str, object], who: str | None) -> int:
        """Create a document; 403 where the rules forbid it."""
        collection, _, name = path.rpartition("/")
        return self.call("POST", f"{collection}?documentId={name}", who, fields)

    def clear(self) -> None:
        url = f"http://{self.host}/emulator/v1/projects/{PROJECT}/databases/(default)/documents"
        assert self.http.request("DELETE", url).status == 200


@contextmanager
def ruled_emulator(rules: Path, log: Path) -> Iterator[Ruled]:
    """Start the emulator with rules, and end it."""
    try:
        emulator_command(0)
    except LookupError as why:
        pytest.skip(str(why))
    http = urllib3.PoolManager(retries=False, timeout=60)
    with running_firestore(log, rules, lasting=False) as host:
        yield Ruled(host, http)
        http.clear()
