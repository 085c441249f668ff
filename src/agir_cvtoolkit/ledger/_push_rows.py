"""What the ledger returns of pushes: tasks, frames, shapes and jobs."""

from __future__ import annotations

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
    """A shape that this tool wrote, known by the hash of its geometry.

    Attributes:
        geometry: the shape itself, packed by `agir_cvtoolkit.plain_shapes.pack`; None in ledgers of earlier
            versions.
    """

    frame: int
    position: int
    label: str
    kind: str
    geometry_hash: str
    geometry: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PushedJob:
    """A job as a push left it.

    Attributes:
        updated_date: as the server wrote it after the push's last write; empty until the task is done.
        state: ``left`` as it was written, ``replacing`` while its proposals are being replaced, ``touched``
            once a person has been seen in it: nothing is ever written into it again.
        written: while replacing, how many of the new shapes the server is known to have taken; -1 as long as
            it is not known that the old ones are gone.
    """

    push_id: str
    ordinal: int
    job_id: int
    start_frame: int
    stop_frame: int
    updated_date: str
    state: Literal["left", "replacing", "touched"]
    written: int = -1

    @property
    def frames(self) -> range:
        """The frames of the task that are in the job."""
        return range(self.start_frame, self.stop_frame + 1)


@dataclass(frozen=True)
class PushedAlias:
    """A record whose picture was on the server already, as the frame of another record of the same push."""

    record_id: str
    ordinal: int
    frame: int


@dataclass(frozen=True)
class Replacement:
    """New proposals for one frame, on their way into its job."""

    frame: int
    prediction_hash: str
    units: int
