"""What the ledger returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agir_cvtoolkit.runs import fingerprint

TaskState = Literal["planned", "created", "filled", "done"]


@dataclass(frozen=True)
class PushKey:
    """What makes a push the same: server, project, organization, name, and the kind of shapes it carries."""

    server: str
    project_id: int | None
    organization: str | None
    name: str
    kind: str

    @property
    def push_id(self) -> str:
        """Eight hex digits, the same for the same push wherever it is computed."""
        parts = ("push", self.server, self.project_id, self.organization, self.name, self.kind)
        return fingerprint(*parts)[:8]


@dataclass(frozen=True)
class PushedTask:
    """One task of a push.

    Attributes:
        state: ``planned`` (its name is reserved), ``created`` (on the server, data unsure), ``filled``
            (pictures verified, frame map known), ``done`` (annotations read back and counted).
    """

    push_id: str
    ordinal: int
    name: str
    run_id: str
    state: TaskState
    task_id: int | None
    url: str | None


@dataclass(frozen=True)
class PushedFrame:
    """One record in one task.

    Attributes:
        prediction_hash: of the shapes that were to be sent.
        units: what the record counts for: 1, or its boxes.
        shapes: how many shapes were read back; None until then.
    """

    push_id: str
    ordinal: int
    frame: int
    record_id: str
    file_name: str
    sha256: str
    width: int
    height: int
    prediction_hash: str
    units: int = 1
    shapes: int | None = None


@dataclass(frozen=True)
class PushedShape:
    """A shape that this tool wrote, known by the hash of its geometry."""

    frame: int
    position: int
    label: str
    kind: str
    geometry_hash: str


@dataclass(frozen=True)
class Pull:
    """One job as it was read."""

    server: str
    run_id: str
    task_id: int
    job_id: int
    updated_date: str
    state: str
    stage: str
    frames: int
    shapes: int
    stored: str


@dataclass(frozen=True)
class ModelRow:
    """A trained model."""

    version: str
    path: str
    name: str
    run_id: str | None
    is_champion: bool
    champion_since: str | None
    created: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a record, a run or a model."""

    at: str
    kind: str
    run_id: str | None
    record_id: str | None
    detail: Mapping[str, object] = field(default_factory=dict, hash=False)
