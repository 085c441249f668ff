"""The database of all that happened to every picture, across runs."""

from ._again import upload_again
from ._captures import RecordInTask
from ._check import NamedFile
from ._copying import backup
from ._database_care import backup_ledger, check_database, copy_ledger, describe_database
from ._findings import Finding
from ._ledger import Ledger
from ._places import Workspace
from ._rows import (
    CorrectionRow,
    DatasetMember,
    DatasetVersion,
    Event,
    ModelRow,
    PictureHash,
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
    "DatasetMember",
    "DatasetVersion",
    "Event",
    "Finding",
    "Ledger",
    "ModelRow",
    "NamedFile",
    "PictureHash",
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
    "Workspace",
    "backup",
    "backup_ledger",
    "check_database",
    "copy_ledger",
    "describe_database",
    "upload_again",
]
