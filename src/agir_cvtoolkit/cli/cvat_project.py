"""``agir-cvtoolkit cvat-project``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.cvat_project import ProjectPlanned, ProjectPulled, ShippedProjects

_SIGNS = {
    "create": "+", "add": "+", "rename": ">", "change": "~", "recreate": "±", "remove": "-", "keep": "=", "refuse": "!",
}  # fmt: skip
_DONE = {
    "create": "created", "add": "added", "rename": "renamed", "change": "changed", "recreate": "made anew",
    "remove": "removed", "keep": "left as it is", "refuse": "refused",
}  # fmt: skip


@click.group("cvat-project")
def command() -> None:
    """Describe a CVAT project in a file: its labels, attributes, colours and skeletons.

    FILE is a YAML file, or the name of one that comes with the package (see list).
    """


def _of_project(function: Callable[..., None]) -> Callable[..., None]:
    function = click.option(
        "--project-id", type=click.IntRange(min=1), help="The project, instead of by name."
    )(function)
    return click.option("--name", metavar="TEXT", help="Name of the project, instead of the one in FILE.")(
        function
    )


@command.command("plan")
@click.argument("file")
@_of_project
@with_options
def plan(shell: Shell, *, file: str, name: str | None, project_id: int | None) -> None:
    """Print what apply would change.

    \b
    agir-cvtoolkit cvat-project plan plants.yaml
    agir-cvtoolkit cvat-project plan dog24
    """

    def stage(call: Call) -> ProjectPlanned:
        from agir_cvtoolkit.stages.cvat_project import cvat_project_plan

        return cvat_project_plan(file, call, name=name, project_id=project_id)

    shell.run(stage, _show_plan)


@command.command("apply")
@click.argument("file")
@click.option("--yes", is_flag=True, help="Change without asking.")
@_of_project
@with_options
def apply(shell: Shell, *, file: str, yes: bool, name: str | None, project_id: int | None) -> None:
    """Print what changes, ask, and make the project what FILE says.

    A label that has shapes is never dropped: what would do that is refused, and then nothing is changed.

    \b
    agir-cvtoolkit cvat-project apply plants.yaml
    agir-cvtoolkit cvat-project apply dog24-skeleton --name "Dogs 2026" --yes
    """

    def stage(call: Call) -> ProjectPlanned:
        from agir_cvtoolkit.errors import UsageError
        from agir_cvtoolkit.stages.cvat_project import cvat_project_apply

        def ask(planned: ProjectPlanned) -> bool:
            if planned.refused or planned.is_done:
                return True  # nothing will be done; what there is to say is said below
            if not shell.as_json:
                _show_steps(planned)
            if yes:
                return True
            if shell.as_json or not _on_terminal():
                raise UsageError("apply changes a project", "Add --yes; look first with cvat-project plan.")
            return click.confirm("Do it?", err=True)

        return cvat_project_apply(file, call, name=name, project_id=project_id, ask=ask)

    shell.run(stage, _show_applied)


@command.command("pull")
@click.argument("project")
@click.option("--output", metavar="FILE", help="Write it there instead of printing it.")
@with_options
def pull(shell: Shell, *, project: str, output: str | None) -> None:
    """Write the file of PROJECT (its id or name) as it is on the server.

    \b
    agir-cvtoolkit cvat-project pull 12 --output plants.yaml
    """

    def stage(call: Call) -> ProjectPulled:
        from agir_cvtoolkit.stages.cvat_project import cvat_project_pull

        return cvat_project_pull(project, call, output=None if output is None else Path(output))

    def show(result: ProjectPulled) -> None:
        if result.path is None:
            click.echo(result.text, nl=False)
        else:
            click.echo(f"Project {result.project_id} '{harmless(result.name)}' is in {result.path}")

    shell.run(stage, show)


@command.command("list")
@with_options
def list_all(shell: Shell) -> None:
    """List the project files that come with the package.

    \b
    agir-cvtoolkit cvat-project list
    """

    def stage(call: Call) -> ShippedProjects:
        from agir_cvtoolkit.stages.cvat_project import cvat_project_list

        return cvat_project_list(call)

    def show(result: ShippedProjects) -> None:
        for name, text in result.projects.items():
            click.echo(f"{name:<16} {text}")

    shell.run(stage, show, configured=False)


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _show_steps(result: ProjectPlanned) -> None:
    for step in result.steps:
        detail = f": {step.detail}" if step.detail else ""
        click.echo(harmless(f"{_SIGNS[step.kind]} {step.kind:<8} {step.what}{detail}"))
        if step.next_step:
            where = f" ({step.where})" if step.where else ""
            click.echo(harmless(f"             {step.next_step}{where}"))


def _show_plan(result: ProjectPlanned) -> None:
    _show_steps(result)
    where = f" ({result.url})" if result.url else ", which is not there yet"
    name = f"project '{harmless(result.name)}'{where}"
    if result.refused:
        click.echo(f"Refused: {counted(len(result.refused), 'step')}; apply would change nothing in {name}")
    elif result.is_done:
        click.echo(f"Nothing to change in {name}")
    else:
        click.echo(f"Planned for {name}: {_counts(result, planned=True)}")


def _show_applied(result: ProjectPlanned) -> None:
    if not result.applied:
        _show_plan(result)
        return
    click.echo(f"Project {result.project_id} '{harmless(result.name)}': {_counts(result)}")
    click.echo(str(result.url))


def _counts(result: ProjectPlanned, *, planned: bool = False) -> str:
    counts = Counter[str](step.kind for step in result.steps)
    words = {kind: kind for kind in _DONE} if planned else _DONE
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts[kind])
