"""All settings as one typed tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from . import _cvat, _inference, _query, _training, _workspace
from ._base import Group
from ._cvat import CvatDownload, CvatUpload
from ._fetch import Fetch
from ._firebase import Firebase
from ._inference import SegInference
from ._loop import Loop
from ._pose import PoseInference, PoseTrain
from ._query import Data, Db
from ._report import Report
from ._retrain import Retrain
from ._select import Select
from ._simulate import Simulate
from ._training import Preprocess, Train
from ._workspace import Io, Project

PACKAGED = "packaged default"
COMMAND_LINE = "command line"


class Settings(Group):
    """The composed and validated configuration.

    Attributes:
        origins: for each dotted key where its value comes from: `PACKAGED`, a file, or `COMMAND_LINE`.
    """

    io: Io = Io()
    db: Db = Db()
    data: Data = Data()
    fetch: Fetch = Fetch()
    project: Project = Project()
    seg_inference: SegInference = SegInference()
    cvat_upload: CvatUpload = CvatUpload()
    cvat_download: CvatDownload = CvatDownload()
    preprocess: Preprocess = Preprocess()
    train: Train = Train()
    firebase: Firebase = Firebase()
    pose_inference: PoseInference = PoseInference()
    pose_train: PoseTrain = PoseTrain()
    retrain: Retrain = Retrain()
    select: Select = Select()
    loop: Loop = Loop()
    report: Report = Report()
    simulate: Simulate = Simulate()
    origins: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)

    def is_explicit(self, key: str) -> bool:
        """Whether the user set a key, by file or on the command line."""
        return self.origins.get(key, PACKAGED) != PACKAGED

    def dump(self, *groups: str) -> dict[str, Any]:
        """Return groups (all without names) as plain values that YAML and JSON can hold."""
        content: dict[str, Any] = self.model_dump(mode="json", include=set(groups) or None)
        return content


RETIRED: Mapping[str, str] = {
    **_workspace.RETIRED,
    **_cvat.RETIRED,
    **_inference.RETIRED,
    **_query.RETIRED,
    **_training.RETIRED,
}
"""Keys of today's AgIR-CVToolkit that are refused, with their new name or the reason."""
