"""Outcomes on their way to another process."""

from __future__ import annotations

import pickle
import traceback
from typing import TypeVar

_Made = TypeVar("_Made")


def portable(outcome: _Made | BaseException) -> _Made | BaseException:
    """Return an outcome as it can be sent: errors that cannot be pickled become their text."""
    if not isinstance(outcome, BaseException):
        return outcome
    try:
        copy: object = pickle.loads(pickle.dumps(outcome))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever an error of a plug-in does when it is copied
        copy = None
    if type(copy) is type(outcome) and str(copy) == str(outcome):
        return outcome
    return RuntimeError("".join(traceback.format_exception_only(outcome)).strip())
