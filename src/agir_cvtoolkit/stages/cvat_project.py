"""``cvat-project``: a CVAT project as a file, compared with the server, applied to it, and read from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import UNSET, CvatSession, ProjectInfo, find_project, find_projects, read_labels
from agir_cvtoolkit.cvat.project_apply import apply_plan, find_wanted, read_plan
from agir_cvtoolkit.cvat.project_file import read_project
from agir_cvtoolkit.cvat.project_plan import ProjectPlan, Step
from agir_cvtoolkit.cvat.project_spec import WantedProject
from agir_cvtoolkit.cvat.project_text import project_text
from agir_cvtoolkit.errors import (
    ConfigError,
    DataError,
    NotFoundError,
    RefusedError,
    UsageError,
    did_you_mean,
)
from agir_cvtoolkit.runs import atomic_path
from agir_cvtoolkit.sources.species import SpeciesTable

from ._call import Call
from ._connect import connect

SHIPPED = {
    "agir": "the 70 plants of AgIR, one mask label each",
    "dog24": "the 24-point dog, a point label for each joint",
    "dog24-skeleton": "the 24-point dog as one skeleton",
    "dog26": "the 26-point dog, a point label for each joint",
    "dog26-skeleton": "the 26-point dog as one skeleton",
}
"""Project files that come with the package."""
_SPECIES = ("agir",)
_LARGEST_FILE = 5_000_000


@dataclass(frozen=True)
class ProjectPlanned:
    """What would be done to a project, or was.

    Attributes:
        source: the project file.
        project_id: None where the project is still to be made.
        url: of its page.
        steps: what is done, left or refused.
        applied: it was done; else nothing was changed.
    """

    source: str
    name: str
    project_id: int | None
    url: str | None
    steps: tuple[Step, ...]
    applied: bool = False

    @property
    def refused(self) -> tuple[Step, ...]:
        """What cannot be done."""
        return tuple(step for step in self.steps if step.kind == "refuse")

    @property
    def is_done(self) -> bool:
        """The project is what the file says."""
        return all(step.kind == "keep" for step in self.steps)

    @property
    def exit_code(self) -> int:
        """0, or 4 where something is refused."""
        return 4 if self.refused else 0


@dataclass(frozen=True)
class ProjectPulled:
    """A project of the server as a project file: its text, and where it was written (None: nowhere)."""

    project_id: int
    name: str
    text: str
    path: Path | None


@dataclass(frozen=True)
class ShippedProjects:
    """The project files that come with the package: what each is, by its name."""

    projects: dict[str, str]


def cvat_project_plan(
    file: str, call: Call | None = None, *, name: str | None = None, project_id: int | None = None
) -> ProjectPlanned:
    """Compare a project file with the server, and change nothing.

    Args:
        file: a path, or the name of a file that comes with the package.
        call: options of every command.
        name: of the project, instead of the one in the file.
        project_id: of the project, instead of finding it by name.

    Raises:
        ConfigError: the file is wrong; names file, line and key.
        UsageError: several projects have that name.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    wanted = _read(file, name, project_id)
    session, project = _find(settings, wanted, writes=None)
    return _planned(session, wanted, read_plan(session, wanted, project, call.progress))


def cvat_project_apply(
    file: str,
    call: Call | None = None,
    *,
    name: str | None = None,
    project_id: int | None = None,
    ask: Callable[[ProjectPlanned], bool] | None = None,
) -> ProjectPlanned:
    """Make the project of the server what a file says; where that is refused or done already, change nothing.

    Args:
        file: a path, or the name of a file that comes with the package.
        call: options of every command; with ``dry_run`` nothing is changed.
        name: of the project, instead of the one in the file.
        project_id: of the project, instead of finding it by name.
        ask: is shown the plan before anything is changed, and says whether to go on.

    Raises:
        ConfigError: the file is wrong; names file, line and key.
        UsageError: several projects have that name.
        RefusedError: the project was changed while the plan was looked at.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    wanted = _read(file, name, project_id)
    session, project = _find(settings, wanted, writes=None if call.dry_run else "cvat-project apply")
    plan = read_plan(session, wanted, project, call.progress)
    planned = _planned(session, wanted, plan)
    agreed = call.dry_run or ask is None or ask(planned)
    if call.dry_run or not agreed or plan.refused or plan.is_done:
        return planned
    if ask is not None:
        # People look at plans for minutes.
        again = find_wanted(session, wanted)
        if again != project or read_plan(session, wanted, again, call.progress).steps != plan.steps:
            raise RefusedError(
                f"Project '{wanted.name}' was changed while the plan was looked at",
                "Run the same command again.",
            )
    made = apply_plan(session, wanted, plan, call.progress)
    return replace(planned, project_id=made.id, url=f"{session.url}/projects/{made.id}", applied=True)


def cvat_project_pull(project: str, call: Call | None = None, *, output: Path | None = None) -> ProjectPulled:
    """Write the project file of a project that is there.

    Args:
        project: its id or its name.
        call: options of every command; with ``dry_run`` nothing is written.
        output: where to; None writes nothing, the text is in the result.

    Raises:
        NotFoundError: there is none.
        UsageError: several have that name, or `output` is there already.
        RemoteError: of its kinds.
    """
    call = call or Call()
    settings = call.settings()
    if output is not None and output.exists():
        raise UsageError(f"{output} is there already", "Name another file, or remove it.")
    session = connect(settings, "cvat_upload", None).session
    found = _of_name(session, project)
    session = session.in_organization(found.organization)
    text = project_text(found, read_labels(session, project_id=found.id))
    if output is None or call.dry_run:
        return ProjectPulled(found.id, found.name, text, None)
    with atomic_path(output) as path:
        path.write_text(text, encoding="utf-8")
    return ProjectPulled(found.id, found.name, text, output)


def cvat_project_list(call: Call | None = None) -> ShippedProjects:
    """Return the project files that come with the package."""
    return ShippedProjects(dict(SHIPPED))


def species_labels(table: str) -> Sequence[tuple[str, str | None]]:
    """Return the labels of a species table: names in lower case with ``_``, as AgIR's projects spell them, and colours.

    Args:
        table: ``agir``, or the path of a ``species_info.json`` or CSV.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = (
        files("agir_cvtoolkit").joinpath("conf", "species", f"{table}.csv")
        if table in _SPECIES
        else Path(table)
    )
    try:
        species = SpeciesTable.read(Path(str(path))).species
    except DataError as error:
        hint = did_you_mean(table, _SPECIES)
        raise ConfigError(
            error.problem, hint or "Name agir, or a species_info.json or CSV of yours."
        ) from error
    found: dict[str, str | None] = {}
    for one in species:
        name = "_".join(one.common_name.lower().split())
        if name != "background":
            found.setdefault(name, None if one.rgb is None else "#{:02x}{:02x}{:02x}".format(*one.rgb))
    return list(found.items())


def _read(file: str, name: str | None, project_id: int | None) -> WantedProject:
    if file in SHIPPED and not Path(file).exists():
        text = (
            files("agir_cvtoolkit").joinpath("conf", "projects", f"{file}.yaml").read_text(encoding="utf-8")
        )
    else:
        text = _text(Path(file))
    wanted = read_project(text, file, species_labels)
    if project_id is not None:
        wanted = replace(wanted, project_id=project_id)
        if name is None and file in SHIPPED:
            raise UsageError(
                f"project {project_id} would be renamed '{wanted.name}'", "Add --name with its name."
            )
    return wanted if name is None else replace(wanted, name=name)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path} is too large for a project file", "Name another one.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        hint = did_you_mean(str(path), SHIPPED)
        raise ConfigError(
            f"{path} is not there", f"{hint} Shipped are {', '.join(SHIPPED)}.".strip()
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "It must be a text file in UTF-8.") from error


def _find(
    settings: Settings, wanted: WantedProject, *, writes: str | None
) -> tuple[CvatSession, ProjectInfo | None]:
    session = connect(settings, "cvat_upload", None, writes=writes).session
    if wanted.organization is not UNSET:
        session = session.in_organization(wanted.organization)
    project = find_wanted(session, wanted)
    if project is not None:
        session = session.in_organization(project.organization)
    return session, project


def _of_name(session: CvatSession, project: str) -> ProjectInfo:
    if project.isascii() and project.isdigit() and len(project) < 19:
        return find_project(session, int(project))
    found = find_projects(session, name=project)
    if not found:
        raise NotFoundError(f"Project '{project}' not found", "Check the name, or give its id.", status=404)
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise UsageError(f"{len(found)} projects are named '{project}': {ids}", "Give the id of one.")
    return found[0]


def _planned(session: CvatSession, wanted: WantedProject, plan: ProjectPlan) -> ProjectPlanned:
    number = None if plan.project is None else plan.project.id
    url = None if number is None else f"{session.url}/projects/{number}"
    return ProjectPlanned(wanted.source, wanted.name, number, url, plan.steps)
