"""What the ledger returns of pulls: jobs as they were listed and read, and what became of each shape."""

from __future__ import annotations

from dataclasses import dataclass


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
class WaitingJob:
    """A job, as it was read last, of which the server's event log is still to be asked.

    Attributes:
        project_id: of its task as last listed; None where that is not known.
    """

    job_id: int
    task_id: int
    updated_date: str
    assignee: str | None
    project_id: int | None


@dataclass(frozen=True)
class JobWork:
    """What the server's event log says of the work on a job.

    Attributes:
        updated_date: of the job when the log was looked at; after any later change it tells nothing.
        seconds: that people were at work on it; None where the log does not say.
        is_simulated: no person did it.
        is_final: the log will not say more of the job as it is.
        looked: when the log was asked, by this machine's clock.
    """

    server: str
    job_id: int
    updated_date: str
    seconds: float | None
    is_simulated: bool
    is_final: bool
    looked: str


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
