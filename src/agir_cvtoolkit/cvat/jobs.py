"""Jobs: the pieces of a task that people work on, and how far they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agir_cvtoolkit.errors import ConfigError, did_you_mean

from .session import CvatSession
from .whole_numbers import LARGEST_ID, MOST_FRAMES, whole_number

STATES = ("new", "in progress", "completed", "rejected")
STAGES = ("annotation", "validation", "acceptance")
ANNOTATION, GROUND_TRUTH, REPLICA = "annotation", "ground_truth", "replica"
_REPLICA_NAMES = frozenset({"replica", "consensus_replica"})


@dataclass(frozen=True)
class JobInfo:
    """A job.

    Attributes:
        state: ``new``, ``in progress``, ``completed`` or ``rejected``.
        stage: ``annotation``, ``validation`` or ``acceptance``.
        type: as the server names it: ``annotation``, ``ground_truth``, ``consensus_replica`` or ``replica``.
        start_frame, stop_frame: frames of the task, both inclusive; a ground-truth job says the whole task
            and holds only some of it.
        updated_date: as the server writes it (ISO 8601, UTC).
        assignee: username, or None.
        parent_job_id: of a replica, the job that it repeats.
        assigned_date: when it was last given to somebody, as the server writes it; empty where it does not say.
    """

    id: int
    task_id: int
    state: str
    stage: str
    type: str
    start_frame: int
    stop_frame: int
    updated_date: str
    assignee: str | None = None
    project_id: int | None = None
    parent_job_id: int | None = None
    assigned_date: str = ""

    @property
    def kind(self) -> str:
        """The type under one name: what servers call ``consensus_replica`` or ``replica`` is ``replica``."""
        return REPLICA if self.type in _REPLICA_NAMES else self.type

    @property
    def frames(self) -> range:
        """The frames of the task that are in the job."""
        return range(self.start_frame, self.stop_frame + 1)


def find_jobs(
    session: CvatSession,
    *,
    project_id: int | None = None,
    task_ids: Sequence[int] | None = None,
    required_status: str | None = "completed",
) -> tuple[JobInfo, ...]:
    """Find the annotation jobs of a project or of tasks that have come far enough; ordered by task and frame.

    Ground-truth jobs and replicas are left out: they are not the task's own work.

    Args:
        session: where to look.
        project_id: all tasks of the project; with `task_ids` those of them that are in the project.
        task_ids: these tasks.
        required_status: ``completed``, ``new``, ``in progress`` or ``rejected`` (state of the job);
            ``annotation``, ``validation`` or ``acceptance`` (its stage); None for any.

    Raises:
        ConfigError: an unknown status.
    """
    state, stage = split_status(required_status)
    wanted: dict[str, object] = {}
    if state is not None:
        wanted["state"] = state
    if stage is not None:
        wanted["stage"] = stage
    if project_id is not None:
        wanted["project_id"] = project_id
    queries = (
        [wanted]
        if task_ids is None
        else [wanted | {"task_id": task_id} for task_id in dict.fromkeys(task_ids)]
    )
    found: dict[int, JobInfo] = {}
    for query in queries:
        for job in _jobs(session, query):
            right_task = task_ids is None or job.task_id in task_ids
            right_project = project_id is None or job.project_id in {None, project_id}
            far_enough = has_come_to(job.state, job.stage, required_status)
            if job.kind == ANNOTATION and right_task and right_project and far_enough:
                found[job.id] = job
    return tuple(sorted(found.values(), key=lambda job: (job.task_id, job.start_frame, job.id)))


def has_come_to(
    state: str, stage: str, required_status: str | None, required_stage: str | None = None
) -> bool:
    """Whether a job of that state and stage is one that is asked for.

    Args:
        state: of the job.
        stage: of the job.
        required_status: a state or a stage; None for any.
        required_stage: a stage that it must have besides; None for any.

    Raises:
        ConfigError: an unknown status.
    """
    wanted_state, wanted_stage = split_status(required_status)
    return wanted_state in {None, state} and wanted_stage in {None, stage} and required_stage in {None, stage}


def split_status(required_status: str | None) -> tuple[str | None, str | None]:
    """Return the state and the stage of a job that `required_status` asks for.

    Raises:
        ConfigError: an unknown status.
    """
    if required_status is None:
        return None, None
    word = required_status.strip().lower().replace("_", " ")
    if word in STATES:
        return word, None
    if word in STAGES:
        return None, word
    known = STATES + STAGES
    raise ConfigError(
        f"required_status '{required_status}' is unknown",
        f"{did_you_mean(word, known)} Use one of {', '.join(known)}, or null for any.".strip(),
    )


def _jobs(session: CvatSession, query: Mapping[str, object]) -> Iterator[JobInfo]:
    about = ", ".join(f"{name} {value}" for name, value in query.items())
    return (job_from_json(item) for item in session.pages("/api/jobs", f"list jobs ({about})", query))


def job_from_json(item: Mapping[str, Any]) -> JobInfo:
    """Read a job as the server lists it; fields and values of newer servers do no harm.

    Raises:
        ServerFaultError: its ids or frames make no sense.
    """
    assignee = item.get("assignee")
    of = f"job {str(item.get('id'))[:30]}"
    start = whole_number(item, "start_frame", of, most=MOST_FRAMES, missing=0)
    return JobInfo(
        id=whole_number(item, "id", of, most=LARGEST_ID),
        task_id=whole_number(item, "task_id", of, most=LARGEST_ID, missing=0),
        state=str(item.get("state") or "new"),
        stage=str(item.get("stage") or "annotation"),
        type=str(item.get("type") or "annotation"),
        start_frame=start,
        stop_frame=whole_number(item, "stop_frame", of, least=start - 1, most=MOST_FRAMES, missing=start),
        updated_date=str(item.get("updated_date") or ""),
        assignee=assignee.get("username") if isinstance(assignee, dict) else None,
        project_id=item.get("project_id"),
        parent_job_id=item.get("parent_job_id"),
        assigned_date=str(item.get("assignee_updated_date") or ""),
    )
