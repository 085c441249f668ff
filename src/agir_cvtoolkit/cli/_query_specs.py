"""``agir-cvtoolkit query show``, ``query reproduce`` and ``query compare``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.query_specs import Compared, QueryShown, Reproduced


@click.command("show")
@click.argument("spec", required=False, metavar="[SPEC]")
@with_options
def show(shell: Shell, *, spec: str | None) -> None:
    """Show what a query asked: of the current run, of the run SPEC, or of the file or folder SPEC.

    \b
    agir-cvtoolkit query show
    agir-cvtoolkit query show barley/spring
    """

    def stage(call: Call) -> QueryShown:
        from agir_cvtoolkit.stages.query_specs import query_show

        return query_show(spec, call)

    shell.run(stage, _show)


@click.command("reproduce")
@click.argument("spec", required=False, metavar="[SPEC]")
@with_options
def reproduce(shell: Shell, *, spec: str | None) -> None:
    """Make a query again in a run of its own; exit code 4 says that other records came.

    A draw has the seed that it had. With --dry-run nothing is written.

    \b
    agir-cvtoolkit query reproduce --dry-run
    agir-cvtoolkit query reproduce outputs/runs/barley/query/query_spec.json --run barley-again
    """

    def stage(call: Call) -> Reproduced:
        from agir_cvtoolkit.stages.query_specs import query_reproduce

        return query_reproduce(spec, call)

    shell.run(stage, _show_reproduced)


@click.command("compare")
@click.argument("first", metavar="SPEC")
@click.argument("second", metavar="SPEC")
@with_options
def compare(shell: Shell, *, first: str, second: str) -> None:
    """Compare two queries: what was asked, and which records came. A SPEC is a run, a file or a folder.

    \b
    agir-cvtoolkit query compare barley/spring barley/autumn
    """

    def stage(call: Call) -> Compared:
        from agir_cvtoolkit.stages.query_specs import query_compare

        return query_compare(first, second, call)

    shell.run(stage, _show_compared)


COMMANDS: dict[str, click.Command] = {"show": show, "reproduce": reproduce, "compare": compare}


def _show(result: QueryShown) -> None:
    about, database = result.content["query_metadata"], result.content["database"]
    execution = result.content["execution"]
    click.echo(f"Specification  {result.path}")
    click.echo(f"Run            {about['run_id']}, {about['timestamp']}, {about['user']} on {about['host']}")
    click.echo(f"Database       {database['db_path']}, table {database['table']} ({database['type']})")
    for text in result.content["query_parameters"]["filters"]["raw"]:
        click.echo(f"Filter         {text}")
    excluded = result.content["query_parameters"].get("exclude")
    if excluded:
        click.echo(f"Left out       {excluded['records']} records ({', '.join(excluded['reasons'])})")
    click.echo(f"Result         {execution.get('count', '?')} records as {execution['output_format']}")
    click.echo(f"Again          {shlex.join(result.command)}")


def _show_reproduced(result: Reproduced) -> None:
    said = {True: "the same records", False: "other records", None: "an older result cannot tell which"}
    click.echo(f"{counted(result.count, 'record')} now, {result.recorded_count} then: {said[result.same]}")
    if result.result is not None:
        click.echo(f"-> {result.result}")
        click.echo(f"Run: {result.run_id}")


def _show_compared(result: Compared) -> None:
    for difference in result.differences:
        click.echo(f"{difference.key:18} {difference.first}  |  {difference.second}")
    if not result.differences:
        click.echo("Both asked the same.")
    click.echo(f"{counted(result.both, 'record')} in both, {result.changed} of them changed")
    sides = (
        ("first", result.only_first, result.examples_first),
        ("second", result.only_second, result.examples_second),
    )
    for side, count, examples in sides:
        shown = f": {', '.join(examples)}{', ...' if count > len(examples) else ''}" if examples else ""
        click.echo(f"{count} only in the {side}{shown}")
