"""A task's data are named or complete: the server is told to prepare them, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from agir_cvtoolkit.errors import DeadlineError, NotFoundError, RefusedError

from .background import Outcome, cancel_request, wait_for_request, wait_until
from .failures import UNCERTAIN
from .session import CvatSession, parsed, to_json
from .tasks import creation_request, get_task

_BEGUN = "Adding more data is not supported"


def prepare(
    session: CvatSession,
    task_id: int,
    content: Mapping[str, object],
    headers: Mapping[str, str],
    deadline_s: float,
) -> None:
    """Tell the server to make frames of a task's data, and wait until it has.

    Where the answer is lost, the server is asked whether it has begun before it is told again. Whoever gives
    up waiting, by Ctrl-C or at the deadline, asks the server to stop, so that its workers are free for others.

    Raises:
        RefusedError: the server does not take the data; with a status where it said so at once, without one
            where it found out while it prepared them.
        DeadlineError: it was not ready in time.
        RemoteError: of its kinds.
    """
    subject = f"prepare task {task_id}"
    request_id: str | None = None

    told = False

    def tell() -> None:
        nonlocal request_id, told
        again, told = told, True
        try:
            request_id = _tell(session, task_id, subject, content, headers)
        except RefusedError as error:
            # The first telling, whose answer was lost, was carried out late.
            if not (again and _BEGUN in error.problem):
                raise
            request_id = creation_request(task_id)

    def begun() -> bool:
        nonlocal request_id
        usual = creation_request(task_id)
        try:
            state: Any = session.get(
                f"/api/requests/{quote(usual, safe='')}", f"ask how far it is to {subject}"
            )
        except NotFoundError:
            return get_task(session, task_id).size > 0
        request_id = str(state.get("id") or usual) if isinstance(state, dict) else usual
        return True

    try:
        send_until_known(session, tell, begun)
        if request_id is None or wait_for_request(session, request_id, subject, deadline_s) == Outcome(
            "vanished"
        ):
            wait_until(session, lambda: get_task(session, task_id).size or None, subject, deadline_s)
    except (KeyboardInterrupt, DeadlineError):
        cancel_request(session, request_id or creation_request(task_id))
        raise


def send_until_known(
    session: CvatSession, send: Callable[[], None], done: Callable[[], bool] = lambda: False
) -> None:
    """Send something until it is known to have arrived: after a lost answer `done` is asked before again."""
    attempt = 0
    while True:
        attempt += 1
        try:
            send()
            return
        except UNCERTAIN:
            if done():
                return
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))


def _tell(
    session: CvatSession,
    task_id: int,
    subject: str,
    content: Mapping[str, object],
    headers: Mapping[str, str],
) -> str | None:
    response = session.request(
        "POST",
        f"/api/tasks/{task_id}/data/",
        subject,
        headers=headers,
        body=to_json(content),
        content_type="application/json",
        timeout=300.0,
    )
    answer = parsed(response, subject) if response.body else None
    found = answer.get("rq_id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found else None
