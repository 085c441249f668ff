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


_PARTS = {"pose": "test_pck_05 by joint:", "segmentation": "test_iou by class:"}


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
    rows = [
        (name, value, theirs.metrics.get(name) if theirs else None) for name, value in mine.metrics.items()
    ]
    parts = [(name, value, theirs.parts.get(name) if theirs else None) for name, value in mine.parts.items()]
    width = max([10, *(len(name) for name, _, _ in (*rows, *parts))])
    heads = f"  {'':{width}}  {mine.version[:12]:>12}"
    who = result.incumbent or (f"{theirs.version[:12]:>12}  champion" if theirs else "")
    click.echo(heads + (f"  {who:>12}" if theirs else ""))
    for heading, lines in (("", rows), (_PARTS.get(result.kind, ""), parts)):
        if heading and lines:
            click.echo(f"  {heading}")
        for name, value, other in lines:
            line = f"  {name:{width}}  {_number(value):>12}"
            click.echo(line + (f"  {_number(other):>12}" if theirs else ""))
    for name, verdict in result.by_class.items():
        click.echo(f"IoU of {name}: {verdict.words}")
    click.echo(f"Verdict: {result.words}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
