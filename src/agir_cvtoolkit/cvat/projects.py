"""Projects and the organizations that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agir_cvtoolkit.errors import NotFoundError, RemoteError, ServerFaultError

from .failures import UNCERTAIN
from .session import UNSET, CvatSession


@dataclass(frozen=True)
class ProjectInfo:
    """A project.

    Attributes:
        organization: slug of the organization, None for the personal workspace.
    """

    id: int
    name: str
    organization: str | None
    bug_tracker: str = ""


class LabelToCreate(Protocol):
    """A label that does not exist yet."""

    def as_request(self) -> Mapping[str, object]:
        """Return the label as the server wants to read it."""
        ...


def find_project(session: CvatSession, project_id: int) -> ProjectInfo:
    """Read a project and the slug of its organization.

    Raises:
        NotFoundError: it does not exist, is hidden from this account, or belongs to another organization than
            the session's.
    """
    try:
        item = session.get(f"/api/projects/{project_id}", f"read project {project_id}")
    except NotFoundError as error:
        if error.problem.startswith("Organization "):
            raise
        raise NotFoundError(
            f"Project {project_id} not found",
            "Check project_id, and that the account and its organization_slug can see it "
            f"(open {session.url}/projects/{project_id}).",
            status=404,
        ) from error
    project = _project(session, item)
    # To some accounts the server shows it all the same, but then without labels, tasks and jobs.
    if session.organization is not UNSET and project.organization != (session.organization or None):
        raise NotFoundError(
            f"Project {project_id} belongs to {_place(project.organization)}, "
            f"not to {_place(session.organization)}",
            "Leave organization_slug unset: it is found from the project.",
        )
    return project


def _place(organization: str | None) -> str:
    return f"organization '{organization}'" if organization else "the personal workspace"


def find_projects(session: CvatSession, *, name: str) -> tuple[ProjectInfo, ...]:
    """Find the projects of exactly that name that this account sees, oldest first; none is an empty tuple."""
    items = session.pages("/api/projects", f"look for project '{name}'", {"name": name})
    # The server ignores query parameters that it does not know, so its choice is checked.
    found = (_project(session, item) for item in items if item.get("name") == name)
    return tuple(sorted(found, key=lambda project: project.id))


def create_project(
    session: CvatSession, name: str, labels: Sequence[LabelToCreate], *, bug_tracker: str = ""
) -> ProjectInfo:
    """Create a project; where the answer is lost, a project of that name that came into being is taken.

    Args:
        session: where, and in which organization.
        name: of the project; the server allows twins.
        labels: all of them.
        bug_tracker: an address that its pages link to.

    Raises:
        RefusedError: the server does not like the name or a label.
    """
    subject = f"create project '{name}'"
    before = {_id(item) for item in session.pages("/api/projects", subject, {"name": name})}
    content: dict[str, object] = {"name": name, "labels": [label.as_request() for label in labels]}
    if bug_tracker:
        content["bug_tracker"] = bug_tracker
    attempt = 0
    while True:
        attempt += 1
        try:
            return _project(session, session.send_json("POST", "/api/projects", subject, content))
        except UNCERTAIN:
            items = session.pages("/api/projects", subject, {"name": name})
            new = [item for item in items if item.get("name") == name and _id(item) not in before]
            if new:
                return _project(session, new[0])
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))


def organization_slug(session: CvatSession, organization_id: int) -> str:
    """Return the slug of an organization.

    Raises:
        NotFoundError: this account does not see it.
    """
    subject = f"read organization {organization_id}"
    try:
        item = session.get(f"/api/organizations/{organization_id}", subject)
    except RemoteError as error:
        if error.status not in {403, 404}:
            raise
        found = (
            item for item in session.pages("/api/organizations", subject) if item.get("id") == organization_id
        )
        item = next(found, {})
    slug = item.get("slug") if isinstance(item, dict) else None
    if not isinstance(slug, str):
        raise NotFoundError(
            f"Organization {organization_id} not found",
            "Set organization_slug to its short name.",
            status=404,
        )
    return slug


def _project(session: CvatSession, item: Mapping[str, Any]) -> ProjectInfo:
    organization = item.get("organization") or item.get("organization_id")
    if isinstance(organization, dict):
        organization = organization.get("slug") or organization.get("id")
    if isinstance(organization, int):
        organization = organization_slug(session, organization)
    return ProjectInfo(
        _id(item),
        str(item.get("name", "")),
        organization if isinstance(organization, str) else None,
        str(item.get("bug_tracker") or ""),
    )


def _id(item: Mapping[str, Any]) -> int:
    found = item.get("id") if isinstance(item, dict) else None
    if not isinstance(found, int):
        raise ServerFaultError("The server named no id for a project", "Check that cvat.url is CVAT itself.")
    return found
