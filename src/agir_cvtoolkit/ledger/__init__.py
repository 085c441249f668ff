"""The database of all that happened to every picture, across runs."""

from ._again import upload_again
from ._captures import RecordInTask
from ._check import Finding, NamedFile, backup_file, check_file
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
    RunNeeds,
    SeenJob,
)

__all__ = [
    "CorrectionRow",
    "Event",
    "Finding",
    "Ledger",
    "ModelRow",
    "NamedFile",
    "Pull",
    "PullCursor",
    "PulledTaskRow",
    "PushKey",
    "PushedAlias",
    "PushedFrame",
    "PushedJob",
    "PushedShape",
    "PushedTask",
    "RecordInTask",
    "Replacement",
    "RunNeeds",
    "SeenJob",
    "backup",
    "backup_file",
    "check_file",
    "upload_again",
]
