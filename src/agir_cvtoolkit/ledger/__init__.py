"""The database of all that happened to every picture, across runs."""

from ._ledger import Ledger
from ._migrations import backup
from ._rows import (
    CorrectionRow,
    Event,
    ModelRow,
    Pull,
    PullCursor,
    PulledTaskRow,
    PushedAlias,
    PushedFrame,
    PushedJob,
    PushedShape,
    PushedTask,
    PushKey,
    Replacement,
    SeenJob,
)

__all__ = [
    "CorrectionRow",
    "Event",
    "Ledger",
    "ModelRow",
    "Pull",
    "PullCursor",
    "PulledTaskRow",
    "PushKey",
    "PushedAlias",
    "PushedFrame",
    "PushedJob",
    "PushedShape",
    "PushedTask",
    "Replacement",
    "SeenJob",
    "backup",
]
