"""``agir-cvtoolkit demo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.demo.run import DemoResult
    from agir_cvtoolkit.stages import Call


@dataclass(frozen=True)
class _Plan:
    out: Path
    data: Path | None
    dry_run: bool = True


@click.command("demo")
@click.option("--data", default=None, type=click.Path(path_type=Path, file_okay=False), help="Real pictures.")
@click.option(
    "--out", default="demo_output", show_default=True, type=click.Path(path_type=Path, file_okay=False)
)
@click.option("--count", default=27, show_default=True, type=click.IntRange(min=6), help="Scenes to draw.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--epochs", default=None, type=click.IntRange(min=1), help="Of the training.")
@with_options
def command(shell: Shell, *, data: Path | None, out: Path, count: int, seed: int, epochs: int | None) -> None:
    """Run the whole loop on this machine: pictures, sandbox, simulated annotator, training, judgement.

    \b
    agir-cvtoolkit demo
    agir-cvtoolkit demo --data pictures/
    """

    def run(call: Call) -> DemoResult | _Plan:
        if call.dry_run:
            return _Plan(out, data)
        from agir_cvtoolkit.demo.run import demo

        return demo(
            out,
            data,
            count=count,
            seed=seed,
            epochs=epochs,
            progress=call.progress,
            tell=lambda line: click.echo(line, err=True) if not shell.quiet else None,
        )

    shell.run(run, _show, configured=False)


def _show(result: DemoResult | _Plan) -> None:
    if isinstance(result, _Plan):
        click.echo(f"Would run the loop on {result.data or 'drawn scenes'} in {result.out}")
        return
    verdict = result.judgement
    width = max(len(score.name) for score in verdict.species) + 2
    click.echo(f"\nIoU on {result.held_out} pictures that were not trained on (of {result.pictures}):")
    click.echo(f"{'':{width}}{'pictures':>9}{'excess green':>14}{'trained':>9}")
    for score in (*verdict.species, verdict.all):
        name = "mean" if score is verdict.all else score.name
        click.echo(f"{name:{width}}{score.pictures:>9}{score.before:>14.3f}{score.after:>9.3f}")
    click.echo(f"Excess green on all {result.pictures} pictures: {verdict.proposals:.3f}")
    better = verdict.all.after - verdict.all.before
    winner = "The trained model is better" if better > 0 else "Excess green is better"
    click.echo(f"{winner} by {abs(better):.3f}.")
    click.echo(f"Contact sheet: {result.sheet}")
    click.echo(f"Workspace: {result.folder} ({result.seconds:.0f} s)")
