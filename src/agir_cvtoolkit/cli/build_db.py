"""``agir-cvtoolkit build-db``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.build_db import BuildResult


@click.command("build-db")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("db_path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--csv", "csv_path", default=None, type=click.Path(path_type=Path), help="One line per cutout.")
@click.option("--table", default="semif", show_default=True, help="field_data for a Field database.")
@click.option("--force", is_flag=True, help="Replace whatever file is there.")
@with_options
def command(
    shell: Shell, *, folder: Path, db_path: Path, csv_path: Path | None, table: str, force: bool
) -> None:
    """Make a database DB_PATH that `query` reads from a FOLDER of pictures and a CSV.

    \b
    agir-cvtoolkit build-db pictures/ semif.db --csv pictures/records.csv
    agir-cvtoolkit query -o db.semif.db_path=semif.db --limit 10
    """

    def stage(call: Call) -> BuildResult:
        from agir_cvtoolkit.stages.build_db import build_db

        return build_db(folder, csv_path, db_path, table, force=force, call=call)

    shell.run(stage, _show)


def _show(result: BuildResult) -> None:
    verb = "Would write" if result.dry_run else "Wrote"
    click.echo(
        f"{verb} {counted(result.rows, 'row')} for {counted(result.pictures, 'picture')}"
        f" to {result.table} of {result.db_path}"
    )
    if result.without_row:
        lacking = counted(len(result.without_row), "picture has", "pictures have")
        click.echo(f"{lacking} no row, for example {result.without_row[0]}", err=True)
    echo_items(result.missing)
    if not result.dry_run:
        key = "field" if result.table == "field_data" else "semif"
        click.echo(f"Next: agir-cvtoolkit query --db {key} -o db.{key}.db_path={result.db_path} --limit 10")
