"""Reading and writing documents of Firestore with preconditions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agir_cvtoolkit.errors import ServerFaultError

from ._calls import TIMEOUT_S, Calls, OvertakenError, never

GROUP = 300
"""Documents that are read or written with one request."""
_TRIES = 30
_COMMIT_S = 120.0
"""Thousands of documents at a time take their while."""


@dataclass(frozen=True)
class Update:
    """A change of a document that must not have changed since it was read."""

    snapshot: Any
    fields: Mapping[str, Any]


def version_of(when: Any) -> str:
    """Return the time of a document's last change as text, to the nanosecond."""
    return str(when.rfc3339())


def when_of(version: str) -> Any:
    """Return what `version_of` was given."""
    from google.api_core.datetime_helpers import DatetimeWithNanoseconds

    return DatetimeWithNanoseconds.from_rfc3339(version)


def read(calls: Calls, what: str, client: Any, references: Sequence[Any]) -> list[Any]:
    """Return the snapshots of documents in no order, also of those that do not exist."""
    found: list[Any] = []
    for start in range(0, len(references), GROUP):
        group = list(references[start : start + GROUP])
        found += calls.run(what, partial(_all, client, group))
    return found


def _all(client: Any, references: list[Any]) -> list[Any]:
    from google.api_core.exceptions import ServiceUnavailable

    found = list(client.get_all(references, retry=never(), timeout=TIMEOUT_S))
    if len({snapshot.reference.id for snapshot in found}) != len({reference.id for reference in references}):
        raise ServiceUnavailable("the answer ended early")
    return found


def commit(calls: Calls, what: str, batch: Any) -> list[Any]:
    """Write a batch, all of it or nothing.

    Raises:
        OvertakenError: a precondition of it does not hold.
    """
    return list(calls.run(what, lambda: batch.commit(retry=never(), timeout=_COMMIT_S), guarded=True))


def update_all(calls: Calls, what: str, client: Any, updates: Iterable[Update]) -> list[Any]:
    """Write changes in groups; return the snapshots of those that were not overtaken."""
    waiting = list(updates)
    done = []
    while waiting:
        group, waiting = waiting[:GROUP], waiting[GROUP:]
        try:
            _write(calls, what, client, group)
            done += [update.snapshot for update in group]
        except OvertakenError:
            if len(group) == 1:
                continue
            # Somebody was faster with one of them: halves find out which.
            middle = len(group) // 2
            for half in (group[:middle], group[middle:]):
                done += update_all(calls, what, client, half)
    return done


def _write(calls: Calls, what: str, client: Any, group: Sequence[Update]) -> None:
    batch = client.batch()
    for update in group:
        option = client.write_option(last_update_time=update.snapshot.update_time)
        batch.update(update.snapshot.reference, dict(update.fields), option=option)
    commit(calls, what, batch)


def until_settled(what: str, place: str, attempt: Callable[[], Any]) -> Any:
    """Return what an attempt returns, made anew while others' writes overtake it.

    Raises:
        ServerFaultError: they always do.
    """
    for tries in range(_TRIES):
        try:
            return attempt()
        except OvertakenError:
            time.sleep(min(0.5, 0.01 * (tries + 1)))
    raise ServerFaultError(
        f"{place}: cannot {what}: others write the same documents all the time", "Try again."
    )
