"""``agir-cvtoolkit status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.status import Status


@click.command("status")
@with_options
def command(shell: Shell) -> None:
    """Show where the current run, the pushed tasks and the models stand, and what comes next.

    \b
    agir-cvtoolkit status
    """

    def stage(call: Call) -> Status:
        from agir_cvtoolkit.stages.status import status

        return status(call)

    shell.run(stage, _show)


def _show(result: Status) -> None:
    click.echo(f"Runs in {result.out_root}: {len(result.runs)}; shown: {result.run_id or 'none'}")
    for stage in result.stages:
        figures = ", ".join(f"{key} {_short(value)}" for key, value in stage.figures.items())
        click.echo(f"  {stage.stage:14}{stage.state:8}  {figures}")
    if result.chosen:
        click.echo(f"  {result.chosen}")
    if result.effort is not None:
        pace, pictures = result.effort.pace, sum(result.effort.pictures_by_run.values())
        time = f"{pace.seconds:.1f} s a picture ({pace.how})"
        click.echo(f"People: {counted(pictures, 'picture')} came back, {result.effort.hours:.1f} h, {time}")
    for loop in result.loops:
        where = f"round {loop.round} {loop.state.replace('_', ' ')}; " if loop.round else ""
        click.echo(f"Loop {loop.name}: {where}{loop.words}")
        if loop.passed_over:
            click.echo(f"  {counted(loop.passed_over, 'capture')} looked at and not chosen so far")
    if result.tasks:
        click.echo("Tasks:")
    for task in result.tasks:
        state = "sent" if task.state == "done" else task.state
        url = task.url or "not on the server"
        noun = "record" if task.records == 1 else "records"
        pulled = f"{counted(task.pulled_jobs, 'job')} pulled"
        click.echo(f"  {state:8} {task.records:5} {noun}, {pulled}  {task.name}  {url}")
    if result.models:
        click.echo("Models:")
    for model in result.models:
        click.echo(
            f"  {model.version[:12]}  {model.name}{'  champion' if model.is_champion else ''}  {model.path}"
        )
    click.echo(f"Next: {result.next_step}")


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
