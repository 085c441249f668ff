"""What every part of a push is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from agir_cvtoolkit.config import CvatUpload
from agir_cvtoolkit.cvat import CvatSession, Member, NewLabel
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.progress import Progress

from ._connect import Target


@dataclass(frozen=True, eq=False)
class Push:
    """One push under way.

    Attributes:
        name: of the push; its tasks are called ``<name> [<push id>-<n>]``.
        labels: of tasks without a project.
        members: who is given the jobs, in turn; nobody where it is empty.
        lost: records of which not all proposals are there although they were sent, each with the reason; filled
            on the way.
    """

    push_id: str
    name: str
    run_id: str
    target: Target
    ledger: Ledger
    upload: CvatUpload
    progress: Progress
    labels: tuple[NewLabel, ...] = ()
    members: tuple[Member, ...] = ()
    lost: dict[str, str] = field(default_factory=dict)

    @property
    def session(self) -> CvatSession:
        """The conversation with the server."""
        return self.target.session


def job_page(session: CvatSession, task_id: int, job_id: int, frame: int | None = None) -> str:
    """Return the page of a job for people, on a frame where one is given."""
    page = f"{session.task_url(task_id)}/jobs/{job_id}"
    return page if frame is None else f"{page}?frame={frame}"
