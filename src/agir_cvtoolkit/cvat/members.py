"""People who can be given work, and their jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agir_cvtoolkit.errors import NotFoundError, did_you_mean

from .failures import UNCERTAIN
from .jobs import ANNOTATION, JobInfo, job_from_json
from .session import CvatSession


@dataclass(frozen=True)
class Member:
    """Somebody who has an account."""

    id: int
    username: str


def find_members(session: CvatSession, usernames: Sequence[str]) -> tuple[Member, ...]:
    """Find accounts by exact username, in the order given.

    Args:
        session: in the organization whose members they are.
        usernames: may name one several times.

    Raises:
        NotFoundError: this account sees none of that name; the text names the nearest.
    """
    if not usernames:
        return ()
    known = {
        str(item.get("username")): int(item["id"])
        for item in session.pages("/api/users", "list users")
        if isinstance(item.get("id"), int)
    }
    for name in usernames:
        if name not in known:
            raise NotFoundError(
                f"User '{name}' not found",
                f"{did_you_mean(name, known)} Check cvat_upload.assignees. An account that does not administer "
                "the server sees others only in an organization of both.".strip(),
                status=404,
            )
    return tuple(Member(known[name], name) for name in usernames)


def assign_jobs(
    session: CvatSession, jobs: Sequence[JobInfo], members: Sequence[Member], first: int = 0
) -> tuple[JobInfo, ...]:
    """Give jobs to people in turn, and return the jobs as they are afterwards.

    A job that somebody has already, or has begun, stays as it is; its turn passes, so that a call that is
    repeated gives each job to the same person.

    Args:
        session: in the organization of the jobs.
        jobs: in their order.
        members: who takes part; for nobody nothing changes.
        first: how many jobs of the same push come before these.

    Raises:
        RemoteError: of its kinds.
    """
    if not members:
        return tuple(jobs)
    return tuple(
        job
        if job.assignee is not None or job.state != "new" or job.kind != ANNOTATION
        else _assign(session, job, members[(first + turn) % len(members)])
        for turn, job in enumerate(jobs)
    )


def _assign(session: CvatSession, job: JobInfo, member: Member) -> JobInfo:
    subject = f"assign job {job.id} to '{member.username}'"
    attempt = 0
    while True:
        attempt += 1
        try:
            return job_from_json(
                session.send_json("PATCH", f"/api/jobs/{job.id}", subject, {"assignee": member.id})
            )
        except UNCERTAIN:
            now = job_from_json(session.get(f"/api/jobs/{job.id}", f"read job {job.id}"))
            if now.assignee is not None:
                return now
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))
