"""Which jobs are checked, and what is known of each before its annotations are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.config import Settings, load_credentials
from agir_cvtoolkit.cvat import (
    ANNOTATION,
    GROUND_TRUTH,
    CvatSession,
    FrameMap,
    JobInfo,
    LabelSet,
    Scope,
    list_jobs,
    list_tasks,
    read_frame_map,
    read_frames_of_jobs,
    read_job_frames,
)
from agir_cvtoolkit.cvat.raw_shapes_json import raw_labels
from agir_cvtoolkit.errors import NoRunError, RefusedError, UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.raw_shapes import RawJob

from ._call import Call
from ._connect import connect
from ._pull_context import Labels


@dataclass(frozen=True)
class LintScope:
    """What is checked.

    Attributes:
        jobs: of all types, by task and first frame.
        tasks: names by id, as far as this account may see them.
    """

    session: CvatSession
    jobs: tuple[JobInfo, ...]
    tasks: dict[int, str]


def find_scope(
    call: Call, settings: Settings, project_id: int | None, task_ids: Sequence[int], *, writes: str | None
) -> LintScope:
    """Find the jobs: of a project, of tasks, of what a run has pushed, or of the configured project.

    Raises:
        UsageError: nothing is named, or a run that has pushed nothing.
        RemoteError: of its kinds.
    """
    if call.run is not None and (project_id is not None or task_ids):
        raise UsageError("--run goes with neither --project-id nor --task-id", "Name one of them.")
    configured = settings.cvat_download.project_id or settings.cvat_upload.project_id
    if call.run is None and not task_ids and project_id is None:
        project_id = configured
    if call.run is not None or (not task_ids and project_id is None):
        task_ids = _tasks_of_run(call, settings)
    session = connect(settings, "cvat_download", project_id, writes=writes).session
    scope = Scope(project_id, tuple(dict.fromkeys(task_ids)) or None)
    jobs = list_jobs(session, scope).items
    if task_ids and not jobs:
        listed = ", ".join(map(str, task_ids))
        raise UsageError(
            f"no jobs of task {listed} are to be seen", "Check the ids, and that the account sees them."
        )
    names = {task.id: task.name for task in list_tasks(session, scope).items}
    return LintScope(session, tuple(sorted(jobs, key=lambda j: (j.task_id, j.start_frame, j.id))), names)


def _tasks_of_run(call: Call, settings: Settings) -> tuple[int, ...]:
    try:
        run = call.open_run(settings)
    except NoRunError as error:
        raise UsageError(
            "nothing is named that could be checked", "Give --project-id, --task-id or --run."
        ) from error
    server = load_credentials(settings.io.keys_file).base_url
    with Ledger.open_to_read(settings.io.ledger_url, Path(settings.io.out_root)) as ledger:
        found = tuple(
            task.task_id for task in ledger.tasks_of_run(run.run_id, server) if task.task_id is not None
        )
    if not found:
        raise UsageError(
            f"run {run.run_id} has pushed nothing to {server}", "Give --project-id or --task-id."
        )
    return found


class JobFacts:
    """Finds out what is known of jobs; frames of a task and labels of a project are read once."""

    def __init__(self, session: CvatSession) -> None:
        self._session = session
        self._labels = Labels(session, {})
        self._frames: FrameMap | None = None

    def of(self, job: JobInfo) -> tuple[RawJob, FrameMap]:
        """Return what is known of a job, and the frames of its task.

        Raises:
            FrameMapError: two pictures of the task have one name.
            RemoteError: of its kinds.
        """
        frames = self._frames_of(job)
        own: range | frozenset[int] | None = job.frames
        if job.kind == GROUND_TRUTH:
            own, _ = read_job_frames(self._session, job.id)
        raw = RawJob(
            job.id,
            {entry.frame: (entry.width, entry.height) for entry in frames.entries},
            frames.deleted_frames,
            own,
            raw_labels(self._labels.of(job)),
            job.state == "completed" and job.kind == ANNOTATION,
        )
        return raw, frames

    def labels_of(self, job: JobInfo) -> LabelSet:
        """Return the labels of a job."""
        return self._labels.of(job)

    def _frames_of(self, job: JobInfo) -> FrameMap:
        if (
            self._frames is None
            or self._frames.task_id != job.task_id
            or job.start_frame not in self._frames.by_frame
        ):
            try:
                self._frames = read_frame_map(self._session, job.task_id)
            except RefusedError as error:
                if error.status != 403:
                    raise
                # An annotator sees her jobs and not their task.
                self._frames = read_frames_of_jobs(self._session, job.task_id, [(job.id, job.start_frame)])
        return self._frames
