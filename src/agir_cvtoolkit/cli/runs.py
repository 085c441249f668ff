"""``agir-cvtoolkit runs``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.runs_list import RunShown, RunsListed
    from agir_cvtoolkit.stages.runs_prune import PruneResult


@click.group("runs")
def command() -> None:
    """List runs, show one, and remove what can be had again."""


@command.command("list")
@with_options
def list_all(shell: Shell) -> None:
    """List all runs: when they were started, how far they are, and what they take on the disk.

    \b
    agir-cvtoolkit runs list
    """

    def stage(call: Call) -> RunsListed:
        from agir_cvtoolkit.stages.runs_list import runs_list

        return runs_list(call)

    shell.run(stage, _show_list)


@command.command("show")
@click.argument("run", required=False, metavar="[ID]")
@with_options
def show(shell: Shell, *, run: str | None) -> None:
    """Show the run ID, or the current one: its stages with their figures, and its files.

    \b
    agir-cvtoolkit runs show
    agir-cvtoolkit runs show barley/spring --json
    """

    def stage(call: Call) -> RunShown:
        from agir_cvtoolkit.stages.runs_list import runs_show

        return runs_show(run, call)

    shell.run(stage, _show_run)


@command.command("prune")
@click.option("--yes", is_flag=True, help="Remove what is listed.")
@click.option(
    "--only",
    multiple=True,
    metavar="KIND",
    help="temporary, history, cutouts or run; may be repeated. All without it.",
)
@click.option(
    "--older-than", metavar="AGE", help="Whole runs too in which nothing happened for 90d, 12w, 48h."
)
@with_options
def prune(shell: Shell, *, yes: bool, only: tuple[str, ...], older_than: str | None) -> None:
    """List what can be had again, and with --yes remove it.

    That is: temporary files of killed calls; earlier passes of query, infer-seg and preprocess; cutouts and
    coloured masks; with --older-than whole runs that were never pushed or pulled and gave no champion.

    \b
    agir-cvtoolkit runs prune
    agir-cvtoolkit runs prune --older-than 90d --yes
    """

    def stage(call: Call) -> PruneResult:
        from agir_cvtoolkit.stages.runs_prune import runs_prune

        return runs_prune(call if yes else replace(call, dry_run=True), only=only, older_than=older_than)

    shell.run(stage, _show_pruned)


def _show_list(result: RunsListed) -> None:
    from agir_cvtoolkit.stages._disk import size_text

    click.echo(f"  {'id':32} {'started':17} {'records':>7} {'tasks':>5} {'size':>8}  stages done")
    for run in result.runs:
        mark = "*" if run.current else " "
        records = "-" if run.records is None else str(run.records)
        started = (run.started or "-")[:16].replace("T", " ")
        click.echo(
            f"{mark} {run.run_id:32} {started:17} {records:>7} {run.tasks:>5} {size_text(run.bytes):>8}"
            f"  {', '.join(run.stages) or '-'}"
        )
    total = sum(run.bytes for run in result.runs)
    click.echo(f"{len(result.runs)} runs in {result.out_root}, {size_text(total)}")


def _show_run(result: RunShown) -> None:
    from agir_cvtoolkit.stages._disk import size_text

    summary = result.summary
    click.echo(f"{summary.run_id}{' (current)' if summary.current else ''}  {result.root}")
    click.echo(
        f"  started {summary.started or '-'}, {counted(summary.tasks, 'task')}, {size_text(summary.bytes)}"
    )
    for stage in result.stages:
        figures = ", ".join(f"{key} {_short(value)}" for key, value in stage.figures.items())
        passes = f"pass {stage.passes}"
        click.echo(f"  {stage.stage:14}{stage.state:8} {passes:8} {figures}")
    for entry in result.files:
        click.echo(f"  {size_text(entry.bytes):>8}  {entry.files:6} files  {entry.name}")


def _show_pruned(result: PruneResult) -> None:
    from agir_cvtoolkit.stages._disk import size_text

    for part in result.parts:
        click.echo(f"{size_text(part.bytes):>8}  {part.kind:9} {part.path}  ({part.why})")
    for run in result.kept:
        click.echo(f"    kept  run       {run.run_id}  ({run.why})")
    echo_items(result.items)
    size = size_text(result.bytes)
    if not result.dry_run:
        click.echo(f"Removed {counted(len(result.parts), 'thing')}, {size}")
    elif result.parts:
        click.echo(f"Would remove {counted(len(result.parts), 'thing')}, {size}. Remove them with --yes.")
    else:
        click.echo("Nothing to remove")


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
