"""Settings: composed with overrides in the grammar of Hydra, validated into typed models, credentials kept apart."""

from ._base import Group
from ._compose import load_settings
from ._credentials import describe_credentials, load_credentials
from ._cvat import CvatDownload, CvatUpload, PoseProposals, UploadSource
from ._explanations import settings_keys, unfit
from ._fetch import Fetch
from ._firebase import Firebase
from ._inference import InferenceOutput, SegInference, UncertaintyScore, Workers
from ._loop import Budget, Hook, Loop, LoopTestSet, Policy
from ._pose import PoseInference, PoseTrain
from ._query import Data, Db
from ._redact import redacted
from ._retrain import Judgement, Retrain
from ._select import Quotas, RegionGrid, Select
from ._settings import COMMAND_LINE, PACKAGED, RETIRED, Settings
from ._training import Preprocess, Train
from ._webhook_secret import made_webhook_secret
from ._workspace import Io, Project

__all__ = [
    "COMMAND_LINE",
    "PACKAGED",
    "RETIRED",
    "Budget",
    "CvatDownload",
    "CvatUpload",
    "Data",
    "Db",
    "Fetch",
    "Firebase",
    "Group",
    "Hook",
    "InferenceOutput",
    "Io",
    "Judgement",
    "Loop",
    "LoopTestSet",
    "Policy",
    "PoseInference",
    "PoseProposals",
    "PoseTrain",
    "Preprocess",
    "Project",
    "Quotas",
    "RegionGrid",
    "Retrain",
    "SegInference",
    "Select",
    "Settings",
    "Train",
    "UncertaintyScore",
    "UploadSource",
    "Workers",
    "describe_credentials",
    "load_credentials",
    "load_settings",
    "made_webhook_secret",
    "redacted",
    "settings_keys",
    "unfit",
]
