"""What a webhook has delivered: whether it is genuine, whether it is new, and whether it matters."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

_KNOWN_AT_MOST = 10_000
_PREFIX = "sha256="

Verdict = Literal["forged", "garbled", "known", "idle", "news"]


@dataclass(frozen=True)
class Counted:
    """How many deliveries came, by what they were.

    Attributes:
        forged: with a wrong signature, or none.
        garbled: signed, and no JSON object with an event.
        known: delivered before.
        idle: of something that no pull has to hear of, such as a ping.
        news: a job whose state or stage has changed.
        refused: turned away unread, since they were too large, too slow or too many.
    """

    forged: int = 0
    garbled: int = 0
    known: int = 0
    idle: int = 0
    news: int = 0
    refused: int = 0


def signature(secret: str, body: bytes) -> str:
    """Return what the header ``X-Signature-256`` must say: HMAC-SHA256 (RFC 2104) over the body as it was sent."""
    return _PREFIX + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Deliveries:
    """Judges deliveries; safe to use from several threads.

    Args:
        secret: that the server signs with.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._guard = threading.Lock()
        self._counted = Counted()

    @property
    def counted(self) -> Counted:
        """How many came until now."""
        with self._guard:
            return self._counted

    def count(self, kind: Literal[Verdict, "refused"]) -> None:
        """Count one delivery."""
        with self._guard:
            self._counted = replace(self._counted, **{kind: getattr(self._counted, kind) + 1})

    def judge(self, body: bytes, signed: str) -> Verdict:
        """Judge and count one delivery.

        Args:
            body: as it was sent, byte for byte.
            signed: the header ``X-Signature-256``; empty where it is missing.
        """
        verdict = self._judged(body, signed)
        self.count(verdict)
        return verdict

    def _judged(self, body: bytes, signed: str) -> Verdict:
        expected = signature(self._secret, body)
        if not hmac.compare_digest(expected.encode(), signed.strip().lower().encode("utf-8", "replace")):
            return "forged"
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return "garbled"
        if not isinstance(content, dict) or not isinstance(content.get("event"), str):
            return "garbled"
        if content["event"] == "ping":
            return "idle"
        if self._was_here(body):
            return "known"
        before = content.get("before_update")
        # CVAT leaves this out where it found no difference; then to look is safer.
        matters = before is None or (
            isinstance(before, dict) and not before.keys().isdisjoint({"state", "stage"})
        )
        return "news" if content["event"] == "update:job" and matters else "idle"

    def _was_here(self, body: bytes) -> bool:
        digest = hashlib.sha256(body).digest()
        with self._guard:
            known = digest in self._known
            self._known[digest] = None
            self._known.move_to_end(digest)
            if len(self._known) > _KNOWN_AT_MOST:
                self._known.popitem(last=False)
        return known
