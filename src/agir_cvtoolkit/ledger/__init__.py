"""The database of all that happened to every picture, across runs."""

from ._again import upload_again
from ._captures import RecordInTask
from ._check import NamedFile
from ._copying import backup
from ._database_care import backup_ledger, check_database, copy_ledger, describe_database
from ._findings import Finding
from ._ledger import Ledger
from ._model_rows import DatasetMember, DatasetVersion, ModelRow, PictureHash
from ._overview import FinishedJob, PredictedRecord, RecordOutcome, SentRecord
from ._places import Workspace
from ._pull_rows import CorrectionRow, JobWork, Pull, PullCursor, PulledTaskRow, SeenJob, WaitingJob
from ._push_rows import PushedAlias, PushedFrame, PushedJob, PushedShape, PushedTask, PushKey, Replacement
from ._round_rows import LoopRow, RoundEvent, RoundRow
from ._round_states import NEXT, STATES, RoundState, may_follow
from ._rows import Event, RunNeeds
from ._selections import SelectionRow, UnderWay

__all__ = [
    "NEXT",
    "STATES",
    "CorrectionRow",
    "DatasetMember",
    "DatasetVersion",
    "Event",
    "Finding",
    "FinishedJob",
    "JobWork",
    "Ledger",
    "LoopRow",
    "ModelRow",
    "NamedFile",
    "PictureHash",
    "PredictedRecord",
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
    "RecordOutcome",
    "Replacement",
    "RoundEvent",
    "RoundRow",
    "RoundState",
    "RunNeeds",
    "SeenJob",
    "SelectionRow",
    "SentRecord",
    "UnderWay",
    "WaitingJob",
    "Workspace",
    "backup",
    "backup_ledger",
    "check_database",
    "copy_ledger",
    "describe_database",
    "may_follow",
    "upload_again",
]
