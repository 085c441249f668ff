"""Make a project of the server what a project file says, in one request, and see that it was done."""

from __future__ import annotations

from agir_cvtoolkit.errors import RefusedError, ServerFaultError, UsageError
from agir_cvtoolkit.progress import Progress

from .failures import UNCERTAIN
from .labels import LabelSet, read_labels
from .project_plan import ProjectPlan, check_plan, plan_project
from .project_spec import WantedProject
from .project_uses import Uses, count_uses, saved_since
from .projects import ProjectInfo, create_project, find_project, find_projects
from .session import CvatSession


def find_wanted(session: CvatSession, wanted: WantedProject) -> ProjectInfo | None:
    """Find the project of a file: by its id, else by its name; None where it has to be made.

    Raises:
        NotFoundError: there is no project of that id.
        UsageError: several have that name.
    """
    if wanted.project_id is not None:
        return find_project(session, wanted.project_id)
    found = find_projects(session, name=wanted.name)
    if len(found) > 1:
        ids = ", ".join(str(project.id) for project in found)
        raise UsageError(
            f"{len(found)} projects are named '{wanted.name}': {ids}",
            "Give one: --project-id, or id: in the file.",
        )
    return found[0] if found else None


def read_plan(
    session: CvatSession, wanted: WantedProject, project: ProjectInfo | None, progress: Progress | None = None
) -> ProjectPlan:
    """Read the labels of a project and compare them with the file.

    Args:
        session: in the organization of the project.
        wanted: what the file says.
        project: as `find_wanted` found it.
        progress: of the jobs that are read where something depends on what is drawn.

    Raises:
        RemoteError: of its kinds.
    """
    if project is None:
        return plan_project(wanted, None, LabelSet(()), lambda ids: Uses({}, {}))
    project_id = project.id
    labels = read_labels(session, project_id=project_id)

    def uses_of(ids: frozenset[int]) -> Uses:
        return count_uses(session, project_id, labels, ids, progress)

    return plan_project(wanted, project, labels, uses_of)


def apply_plan(
    session: CvatSession, wanted: WantedProject, plan: ProjectPlan, progress: Progress | None = None
) -> ProjectInfo:
    """Carry a plan out, and read the project back.

    All changes go in one request, which the server does wholly or not at all. Where its answer is lost, the server is
    compared with the file again, and only what is missing is sent.

    Args:
        session: in the organization of the project.
        wanted: what the file says.
        plan: as `read_plan` made it a moment ago.
        progress: as in `read_plan`.

    Returns:
        The project as it is now.

    Raises:
        RefusedError: something of the plan is refused, or somebody saved a job while its shapes were counted.
        ServerFaultError: the server said yes and did something else.
        RemoteError: of its kinds.
    """
    check_plan(plan)
    if plan.project is None:
        made = create_project(session, wanted.name, wanted.labels, bug_tracker=wanted.bug_tracker or "")
        return _checked(session, wanted, made, plan.uses, progress)
    attempt = 0
    while plan.request:
        attempt += 1
        _check_unsaved(session, plan)
        assert plan.project is not None  # noqa: S101 - for the type checker: it was read again by its id
        path, subject = f"/api/projects/{plan.project.id}", f"change project '{wanted.name}'"
        try:
            session.send_json("PATCH", path, subject, plan.request)
            break
        except UNCERTAIN:
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))
            plan = read_plan(session, wanted, find_project(session, plan.project.id), progress)
            check_plan(plan)
    assert plan.project is not None  # noqa: S101 - as above
    return _checked(session, wanted, plan.project, plan.uses, progress)


def _check_unsaved(session: CvatSession, plan: ProjectPlan) -> None:
    if plan.uses is None or plan.project is None:
        return
    saved = saved_since(session, plan.project.id, plan.uses)
    if saved:
        listed = ", ".join(map(str, saved[:10]))
        raise RefusedError(
            f"Somebody saved while the shapes of project {plan.project.id} were counted (jobs {listed})",
            "Nothing was changed. Run the same command again.",
        )


def _checked(
    session: CvatSession,
    wanted: WantedProject,
    made: ProjectInfo,
    counted: Uses | None,
    progress: Progress | None,
) -> ProjectInfo:
    project = find_project(session, made.id)
    labels = read_labels(session, project_id=project.id)

    def uses_of(ids: frozenset[int]) -> Uses:
        if counted is not None and ids <= counted.by_label.keys():
            return counted
        return count_uses(session, project.id, labels, ids, progress)

    left = plan_project(wanted, project, labels, uses_of)
    missing = [step for step in left.steps if step.kind != "keep"]
    if missing:
        some = "; ".join(f"{step.what}: {step.detail or step.kind}" for step in missing[:5])
        raise ServerFaultError(
            f"The server took the changes of project {made.id}, but not all are there: {some}",
            "Run the same command again; if it stays so, make them in CVAT.",
        )
    return project
