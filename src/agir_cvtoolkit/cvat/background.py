"""Work that the server does in the background, waited for with growing pauses and a deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from agir_cvtoolkit.errors import DeadlineError, NotFoundError, RefusedError, RemoteError

from .session import CvatSession

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
_GROWTH = 1.1

_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome:
    """How a request ended.

    Attributes:
        status: ``finished``, or ``vanished`` where the server has forgotten the request (it does so minutes
            after its end): look at the resource itself.
        result_url: where the result lies, if there is one.
    """

    status: Literal["finished", "vanished"]
    result_url: str | None = None
    result_id: int | None = None


def wait_for_request(
    session: CvatSession, request_id: str, subject: str, deadline_s: float = 3600.0
) -> Outcome:
    """Wait until a background request has ended.

    Args:
        session: where it runs.
        request_id: as the server named it.
        subject: what it does, for messages: ``create task 5``.
        deadline_s: longest time to wait in seconds.

    Raises:
        RefusedError: it failed; the text is the server's.
        DeadlineError: it has not ended in time.
    """
    path = f"/api/requests/{quote(request_id, safe='')}"

    def look() -> Outcome | None:
        try:
            state: Any = session.get(path, f"ask how far it is to {subject}")
        except NotFoundError:
            return Outcome("vanished")
        state = state if isinstance(state, dict) else {}
        status = str(state.get("status", "")).lower()
        if status == "finished":
            return Outcome("finished", state.get("result_url"), state.get("result_id"))
        if status == "failed":
            said = str(state.get("message") or "no reason given").strip()[:2000]
            raise RefusedError(
                f"CVAT could not {subject}: {said}", "Correct what it names and run the stage again."
            )
        return None

    return wait_until(session, look, subject, deadline_s)


def cancel_request(session: CvatSession, request_id: str) -> None:
    """Ask the server to stop a request; one that has ended already is fine."""
    path = f"/api/requests/{quote(request_id, safe='')}/cancel"
    try:
        session.request("POST", path, "cancel a request", accept_status=frozenset({400, 404, 405, 409}))
    except RemoteError:
        # The caller is on its way out already and the server forgets the request by itself.
        return


def wait_until(session: CvatSession, look: Callable[[], _T | None], subject: str, deadline_s: float) -> _T:
    """Call `look` with growing pauses until it returns something.

    Raises:
        DeadlineError: it did not in `deadline_s` seconds.
    """
    clock = session.clock
    end = clock.now() + deadline_s
    pause = FIRST_PAUSE
    while True:
        found = look()
        if found is not None:
            return found
        left = end - clock.now()
        if left <= 0:
            raise DeadlineError(
                f"CVAT was not ready to {subject} within {deadline_s:.0f} s",
                "Its workers may be busy or stopped; run the same command again later.",
            )
        clock.sleep(min(pause, left))
        pause = min(LONGEST_PAUSE, pause * _GROWTH)
