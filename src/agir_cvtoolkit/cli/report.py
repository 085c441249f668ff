"""``agir-cvtoolkit report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.report import ReportResult


@click.command("report")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file; an earlier one is replaced.",
)
@click.option(
    "--loop", default=None, metavar="NAME", help="Only this loop. Without it and --run: everything."
)
@with_options
def command(shell: Shell, *, out: Path, loop: str | None) -> None:
    """Write where the loop stands as one HTML file, which opens and prints without a network.

    \b
    agir-cvtoolkit report
    agir-cvtoolkit report --loop maize --out maize.html
    agir-cvtoolkit report --run round1
    """

    def stage(call: Call) -> ReportResult:
        from agir_cvtoolkit.stages.report import report

        return report(out, loop, call)

    shell.run(stage, _show)


def _show(result: ReportResult) -> None:
    verb = "Would write" if result.dry_run else "Wrote"
    size = "" if result.dry_run else f", {max(1, round(result.size / 1000)):,} kB"
    click.echo(f"{verb} {result.path}: {result.scope}, {counted(result.records, 'record')}{size}")
    for title in result.sections:
        click.echo(f"  {title}")
