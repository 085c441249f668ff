"""When a request is sent again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .transport import Response, TransportFailure

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_PASSING = frozenset({502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a session is.

    Attributes:
        attempts: how often one request is sent at most.
        server_error_attempts: the same where the answer is a plain 500, which seldom passes.
        first_wait, longest_wait: seconds between attempts; they double, with jitter up to a quarter.
        throttle_patience: seconds that one request waits in all because the server asks for patience: by 429,
            or by an error that passes.
    """

    attempts: int = 6
    server_error_attempts: int = 3
    first_wait: float = 0.5
    longest_wait: float = 15.0
    throttle_patience: float = 300.0

    def wait(self, attempt: int) -> float:
        """Return the seconds to wait after attempt number `attempt`, counted from 1."""
        base = min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))
        return base * random.uniform(1.0, 1.25)

    def again_after_answer(self, method: str, response: Response, attempt: int) -> bool:
        """Tell whether a request that was answered with an error is sent again."""
        if method not in IDEMPOTENT:
            return False
        if response.status in _PASSING:
            return attempt < self.attempts
        return response.status >= 500 and attempt < self.server_error_attempts

    def again_after_failure(self, method: str, failure: TransportFailure, attempt: int) -> bool:
        """Tell whether a request without answer is sent again: if it was never sent, or may be repeated."""
        if failure.kind in {"certificate", "name"} and attempt >= 2:
            return False
        return attempt < self.attempts and (not failure.sent or method in IDEMPOTENT)


def retry_after(response: Response) -> float | None:
    """Return the seconds that an answer asks to wait, in either form of ``Retry-After``, or None."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
