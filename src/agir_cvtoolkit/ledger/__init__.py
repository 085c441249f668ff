"""The database of all that happened to every picture, across runs."""

from ._ledger import Ledger
from ._migrations import backup
from ._rows import Event, ModelRow, Pull, PushedFrame, PushedShape, PushedTask, PushKey

__all__ = [
    "Event",
    "Ledger",
    "ModelRow",
    "Pull",
    "PushKey",
    "PushedFrame",
    "PushedShape",
    "PushedTask",
    "backup",
]
