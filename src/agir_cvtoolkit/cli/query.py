"""``agir-cvtoolkit query``, and beneath it ``show``, ``reproduce`` and ``compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import _query_specs
from ._beneath import CommandWithOthers
from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.query import QueryResult

_SHEET = "outputs/query_preview.jpg"


@click.command("query", cls=CommandWithOthers, others=_query_specs.COMMANDS)
@click.option("--db", "-d", default="semif", show_default=True, type=click.Choice(["semif", "field"], False))
@click.option(
    "--filters", "-f", multiple=True, metavar="EXPR", help="For example state=NC; several are AND-ed."
)
@click.option("--projection", default=None, metavar="COLS", help="Columns to keep, separated by commas.")
@click.option("--sort", default=None, metavar="COL[:asc|desc],...", help="Default: by id.")
@click.option("--limit", type=click.IntRange(min=0), default=None, help="At most so many records; 0 counts.")
@click.option("--offset", type=click.IntRange(min=0), default=None, help="Leave out the first records.")
@click.option("--out", default="csv", show_default=True, type=click.Choice(["json", "csv", "parquet"], False))
@click.option(
    "--preview", type=click.IntRange(min=0), default=0, metavar="N", help="Show N records, write nothing."
)
@click.option(
    "--contact-sheet",
    is_flag=False,
    flag_value=_SHEET,
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="[FILE]",
    help=f"Draw the pictures of the preview, in {_SHEET} or FILE.",
)
@click.option(
    "--sample",
    default=None,
    metavar="SPEC",
    help="random:n=200 | seeded:n=200,seed=42 | stratified:by=a|b,per_group=50[,seed=42] | "
    "balanced:by=a|b,n=200 | proportional:by=a|b,n=200 | spread:by=datetime,n=200",
)
@click.option(
    "--exclude",
    multiple=True,
    type=click.Choice(["labelled", "pushed"], False),
    help="Leave out what came back from finished jobs, or what lies in tasks.",
)
@with_options
def command(
    shell: Shell,
    *,
    db: str,
    filters: tuple[str, ...],
    projection: str | None,
    sort: str | None,
    limit: int | None,
    offset: int | None,
    out: str,
    preview: int,
    contact_sheet: Path | None,
    sample: str | None,
    exclude: tuple[str, ...],
) -> None:
    """Choose records from a database and start a run.

    \b
    agir-cvtoolkit query --db semif --filters "state=NC" --limit 100
    agir-cvtoolkit query --sample "stratified:by=category_common_name,per_group=50"
    agir-cvtoolkit query --filters "state=NC" --preview 24 --contact-sheet

    \b
    query show [SPEC]        what a query asked, and how many records came
    query reproduce [SPEC]   make it again, and say whether the same records came
    query compare SPEC SPEC  what differs between two queries
    """

    def stage(call: Call) -> QueryResult:
        from agir_cvtoolkit.stages.query import query

        return query(
            db=db.lower(),
            filters=filters,
            projection=projection,
            sort=sort,
            limit=limit,
            offset=offset,
            out=out.lower(),
            preview=preview,
            sample=sample,
            exclude=exclude,
            contact_sheet=contact_sheet,
            call=call,
        )

    shell.run(stage, _show)


def _show(result: QueryResult) -> None:
    for number, row in enumerate(result.preview_rows, start=1):
        click.echo(f"--- {number}")
        for key, value in row.items():
            if value is not None:
                click.echo(f"{key:24} {value}")
    for note in result.sheet_notes:
        click.echo(f"  not shown: {note}", err=True)
    if result.sheet is not None:
        click.echo(f"Contact sheet: {result.sheet}")
    if result.path is None:
        click.echo(
            f"{counted(result.count, 'record matches', 'records match')}"
            + (" (nothing written)" if result.dry_run else "")
        )
        return
    click.echo(f"{counted(result.count, 'record')} -> {result.path}")
    click.echo(f"Run: {result.run_id} ({result.run_root})")
