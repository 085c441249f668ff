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


@dataclass(frozen=True)
class SeenJob:
    """A job as the server last listed it."""

    server: str
    job_id: int
    task_id: int
    project_id: int | None
    type: str
    state: str
    stage: str
    start_frame: int
    stop_frame: int
    updated_date: str
    assignee: str | None = None
    parent_job_id: int | None = None


@dataclass(frozen=True)
class CorrectionRow:
    """What became of one shape: see `agir_cvtoolkit.corrections.Match`.

    Attributes:
        outcome: as there, or ``empty`` for a record without proposals in which the person found none missing;
            label and kind are empty then.
        label: after the person's work; of a deleted shape the one that it had.
        label_before: of the prediction; None for an added shape.
        iou: of areas, before against after.
        boundary_px: mean distance of the two outlines in pixels.
        moved_points: how many points of a point shape moved.
        moved_px: mean way of these points in pixels.
        changed_points: how many points appeared, vanished or changed whether they are occluded or absent.
        annotator: who was assigned to the job, None where nobody was.
        changed: of an edited or relabelled proposal what the person changed, in words with blanks between them:
            ``label``, ``geometry``, ``occluded``, ``outside``, ``attributes``; None where it is not known, as
            in what an earlier version of this tool has read.
    """

    server: str
    run_id: str
    task_id: int
    job_id: int
    frame: int
    record_id: str
    outcome: str
    label: str
    label_before: str | None
    kind: str
    iou: float | None
    boundary_px: float | None
    moved_points: int | None
    moved_px: float | None
    changed_points: int | None
    annotator: str | None
    updated_date: str
    changed: str | None = None

    @property
    def is_redrawn(self) -> bool:
        """Whether it was edited in its geometry, not in flags or attributes alone."""
        return self.outcome == "edited" and (self.changed is None or "geometry" in self.changed.split())


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
    assignee: str | None = None
    type: str | None = None


@dataclass(frozen=True)
class PulledTaskRow:
    """A task that a run pulls from.

    Attributes:
        updated_date: as the server last listed it.
        frames_of: the `updated_date` under which its frames were read; None before.
        frames_read: when that was, by this machine's clock.
    """

    server: str
    run_id: str
    task_id: int
    name: str
    updated_date: str
    frames_of: str | None = None
    frames_read: str | None = None


@dataclass(frozen=True)
class PullCursor:
    """How far a run has read what it was asked for.

    Attributes:
        scope: what was asked for, as text.
        cursor: date of the server; every change below it lies in the run.
        jobs: how many there were.
    """

    server: str
    run_id: str
    scope: str
    cursor: str
    jobs: int


@dataclass(frozen=True)
class ModelRow:
    """A trained model.

    Attributes:
        kind: ``segmentation`` or ``pose``; each has a champion of its own.
        metrics: by name, as it was last evaluated; before that those of its card.
        test_set: hash of the pictures and corrections that it was last evaluated on.
        card: as it was recorded: architecture, configuration, what it was trained on.
    """

    version: str
    path: str
    name: str
    run_id: str | None
    is_champion: bool
    champion_since: str | None
    created: str
    kind: str = "segmentation"
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    test_set: str | None = None
    card: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class PictureHash:
    """How a picture looks.

    Attributes:
        sha256: of its file.
        width, height: in pixels.
        phash: 64 bits, see `agir_cvtoolkit.similarity`.
    """

    sha256: str
    width: int
    height: int
    phash: int


@dataclass(frozen=True)
class DatasetVersion:
    """A data set as it was made.

    Attributes:
        version: fingerprint of its content, its classes and its split.
        run_id: of the run that made it first.
        parent: the version that the run had before; None for the first one.
        path: of its folder when it was made, absolute.
        made_from: tasks, runs and settings.
        pictures, records: how many.
        tiles: how many, by side.
        classes: names, the background first.
        class_pixels: of the training pictures, by class.
        created: when; set by the ledger.
    """

    version: str
    run_id: str
    parent: str | None
    path: str
    made_from: Mapping[str, object] = field(hash=False)
    pictures: int
    records: int
    tiles: Mapping[str, int] = field(hash=False)
    classes: tuple[str, ...]
    class_pixels: tuple[int, ...]
    created: str = ""


@dataclass(frozen=True)
class DatasetMember:
    """A record of a version of a data set.

    Attributes:
        sha256, mask_sha256: of its two files.
        picture: that it is, or is a cutout of.
        side: ``train``, ``val`` or ``test``; ``train+val`` where they are the same pictures.
    """

    record_id: str
    sha256: str
    mask_sha256: str
    picture: str
    side: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a record, a run or a model."""

    at: str
    kind: str
    run_id: str | None
    record_id: str | None
    detail: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class RunNeeds:
    """Runs that something else stands on, by id.

    Attributes:
        unfinished: have a task, or new proposals, that are not wholly on the server yet.
        pushed: have records in a task.
        pulled: have read jobs.
        champions: have trained a model that is or was in service.
        champion_files: where these models lie.
    """

    unfinished: frozenset[str]
    pushed: frozenset[str]
    pulled: frozenset[str]
    champions: frozenset[str]
    champion_files: tuple[str, ...]
