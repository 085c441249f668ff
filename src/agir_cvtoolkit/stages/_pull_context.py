"""What a pull knows of its run and its server, found out once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import CvatSession, JobInfo, LabelSet, normal_name, read_labels
from agir_cvtoolkit.errors import NoRunError, RefusedError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run

from ._batch import known_entries
from ._originals import Originals
from ._pulled import folders, new_folder


class Labels:
    """The labels of each project and each task outside one, read once; usable from several threads."""

    def __init__(self, session: CvatSession, known: Mapping[int, LabelSet]) -> None:
        self._session = session
        self._found: dict[tuple[str, int], LabelSet] = {("project", id_): set_ for id_, set_ in known.items()}
        self._lock = threading.Lock()

    def of(self, job: JobInfo) -> LabelSet:
        """Return the labels of a job's task; through the job where this account may not see the task.

        Raises:
            RemoteError: of its kinds.
        """
        key = ("task", job.task_id) if job.project_id is None else ("project", job.project_id)
        with self._lock:
            if key not in self._found:
                try:
                    self._found[key] = (
                        read_labels(self._session, task_id=job.task_id)
                        if job.project_id is None
                        else read_labels(self._session, project_id=job.project_id)
                    )
                except RefusedError as error:
                    if error.status != 403:
                        raise
                    self._found[key] = read_labels(self._session, job_id=job.id)
            return self._found[key]


@dataclass(frozen=True, eq=False)
class PullContext:
    """Where is pulled from, and where to.

    Attributes:
        labels: of projects and tasks.
    """

    run: Run
    settings: Settings
    session: CvatSession
    ledger: Ledger
    labels: Labels = field(repr=False)

    @cached_property
    def entries(self) -> dict[str, ManifestEntry]:
        """The run's manifest and its regions by record; empty in a run without predictions."""
        with suppress(NoRunError):
            return {entry.record_id: entry for entry in known_entries(self.run)}
        return {}

    @cached_property
    def named_values(self) -> dict[str, int]:
        """Mask values by normal label name, as the label map names them, else the model that predicted."""
        configured = self.settings.cvat_upload.label_map.get("_class")
        by_model = self.run.read_metrics("infer-seg").get("classes", {})
        names = configured if isinstance(configured, dict) else by_model
        return {normal_name(str(name)): int(value) for value, name in names.items()}

    def folder_of(self, task_id: int, name: str) -> Path:
        """Return the folder of a task; one that is there keeps its name although the task was renamed."""
        if task_id not in self._folders:
            self._folders[task_id] = new_folder(self.run, task_id, name)
        return self._folders[task_id]

    @cached_property
    def _folders(self) -> dict[int, Path]:
        return folders(self.run)

    @cached_property
    def originals(self) -> Originals:
        """Where the run's pictures lie."""
        return Originals(self.run)
