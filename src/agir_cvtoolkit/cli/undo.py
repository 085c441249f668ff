"""``agir-cvtoolkit undo``."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.undo import UndoResult


@click.command("undo")
@click.argument("push")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option("--keep-captures", is_flag=True, help="Leave captures of devices in progress.")
@click.option(
    "--service-account", metavar="FILE", help="Key of Google Cloud; else GOOGLE_APPLICATION_CREDENTIALS."
)
@with_options
def command(shell: Shell, *, push: str, yes: bool, keep_captures: bool, service_account: str | None) -> None:
    """Delete the tasks of PUSH (its id, or its name) that nobody has touched; list the others.

    The same push can then be made again. Captures that firebase transfer brought there wait in the queue again.

    \b
    agir-cvtoolkit undo 8ab74797 --dry-run
    agir-cvtoolkit undo Round1_Barley --yes
    """

    def stage(call: Call) -> UndoResult:
        from agir_cvtoolkit.errors import UsageError
        from agir_cvtoolkit.stages.undo import check_push, undo

        def act(how: Call) -> UndoResult:
            return undo(push, how, keep_captures=keep_captures, service_account=service_account)

        if not yes and not call.dry_run:
            if shell.as_json or not _on_terminal():
                check_push(push, call)  # a wrong name is said before --yes is asked for
                raise UsageError("undo deletes tasks", "Add --yes; look first with --dry-run.")
            planned = act(replace(call, dry_run=True))
            if all(task.outcome == "left" for task in planned.tasks):
                return planned
            _show(planned)
            if not click.confirm("Delete them?", err=True):
                return replace(planned, tasks=(), captures=())
        return act(call)

    shell.run(stage, _show)


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _show(result: UndoResult) -> None:
    would = "would be " if result.dry_run else ""
    words = {"deleted": f"{would}deleted", "gone": "was gone", "left": "left"}
    for task in result.tasks:
        where = task.url or "not on the server"
        click.echo(f"{words[task.outcome]}: {task.name}, {counted(task.records, 'record')}  {where}")
        if task.reason:
            click.echo(f"  {task.reason}")
    if not result.tasks:
        click.echo("Nothing was deleted.")
        return
    deleted = sum(1 for task in result.tasks if task.outcome != "left")
    click.echo(
        f"Push {result.push_id} '{result.name}' on {result.server}:"
        f" {deleted} of {counted(len(result.tasks), 'task')} {would}undone"
        + (f", {len(result.left)} left alone" if result.left else "")
    )
    if result.place is not None:
        verb = "would wait" if result.dry_run else "waits" if len(result.captures) == 1 else "wait"
        click.echo(f"{counted(len(result.captures), 'capture')} {verb} in the queue of {result.place} again")
