"""``agir-cvtoolkit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.evaluate import EvaluateResult


@click.command("evaluate")
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--champion",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="Compare with this model instead of the one in service.",
)
@with_options
def command(shell: Shell, *, checkpoint: Path | None, champion: Path | None) -> None:
    """Compare CHECKPOINT (default: the run's model/best.pth) with the champion on the run's frozen test set.

    \b
    agir-cvtoolkit evaluate
    agir-cvtoolkit evaluate --run retrain/<trigger>
    agir-cvtoolkit evaluate new.pth --champion old.pth
    """

    def stage(call: Call) -> EvaluateResult:
        from agir_cvtoolkit.stages.evaluate import evaluate

        return evaluate(checkpoint, champion, call)

    shell.run(stage, _show)


def _show(result: EvaluateResult) -> None:
    click.echo(
        f"{result.kind.capitalize()} on the test set {result.test_set} of run {result.run_id}:"
        f" {counted(result.pictures, 'picture')}"
    )
    show_table(result)
    if result.warning:
        click.echo(f"Note: {result.warning}", err=True)
    echo_items(result.items)
    if not result.dry_run:
        click.echo(f"Figures and card: evaluation/ of run {result.run_id}")


def show_table(result: EvaluateResult) -> None:
    """Print the figures of both models beside each other, and the verdict."""
    mine, theirs = result.challenger, result.champion
    names = [
        *mine.metrics,
        *(name for name in (theirs.metrics if theirs else ()) if name not in mine.metrics),
    ]
    parts = [*mine.parts, *(name for name in (theirs.parts if theirs else ()) if name not in mine.parts)]
    width = max([len(name) for name in (*names, *parts)] + [10])
    heads = f"  {'':{width}}  {mine.version[:12]:>12}"
    click.echo(heads + (f"  {theirs.version[:12]:>12}  champion" if theirs else ""))
    for table, other in ((mine.metrics, theirs and theirs.metrics), (mine.parts, theirs and theirs.parts)):
        for name in names if table is mine.metrics else parts:
            line = f"  {name:{width}}  {_number(table.get(name)):>12}"
            click.echo(line + (f"  {_number(other.get(name)):>12}" if other is not None else ""))
    click.echo(f"Verdict: {result.verdict.words}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
