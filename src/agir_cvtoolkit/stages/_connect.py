"""A conversation with the configured CVAT server, in the right organization, with the right labels."""

from __future__ import annotations

from dataclasses import dataclass

from agir_cvtoolkit.config import Settings, load_credentials
from agir_cvtoolkit.cvat import UNSET, CvatSession, LabelSet, ProjectInfo, find_project, read_labels


@dataclass(frozen=True)
class Target:
    """Where a stage works.

    Attributes:
        project: the configured project; None outside a project.
        labels: of the project; None outside a project.
    """

    session: CvatSession
    project: ProjectInfo | None
    labels: LabelSet | None


def connect(
    settings: Settings,
    group: str,
    project_id: int | None,
    *,
    writes: str | None = None,
    session: CvatSession | None = None,
) -> Target:
    """Log in, find the project and its organization, and read its labels.

    An organization that is not set is the project's own; an explicit null is the personal workspace.

    Args:
        settings: with ``io.keys_file``.
        group: the settings group whose ``organization_slug`` counts.
        project_id: of the project; None for none.
        writes: the command that is about to write to the server; None where it only reads.
        session: one that was opened with the same settings before, so that nobody logs in again.

    Raises:
        ConfigError: no credentials.
        AuthenticationError: a read-only access token, and something is to be written.
        NotFoundError: the project or organization does not exist or is hidden from this account.
        RemoteError: the server cannot be reached or does not let this account in.
    """
    slug = getattr(settings, group).organization_slug
    given = slug is not None or settings.is_explicit(f"{group}.organization_slug")
    if session is None:
        session = CvatSession.open(load_credentials(settings.io.keys_file), slug if given else UNSET)
    if writes is not None:
        session.must_write(writes)
    if project_id is None:
        return Target(session, None, None)
    project = find_project(session, project_id)
    if not given:
        session = session.in_organization(project.organization)
    return Target(session, project, read_labels(session, project_id=project_id))
