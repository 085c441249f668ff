"""``agir-cvtoolkit demo``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._demo import demo_options, run_demo
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.demo.run import DemoResult
    from agir_cvtoolkit.stages import Call


@click.command("demo")
@demo_options("demo_output", "Real pictures.", 27, 6, "Scenes to draw.")
@click.option("--epochs", default=None, type=click.IntRange(min=1), help="Of the training.")
@click.option("--human", is_flag=True, help="Wait until you have corrected the proposals in a browser.")
@click.option("--pictures-only", is_flag=True, help="Draw the scenes with their true masks, and stop.")
@with_options
def command(
    shell: Shell,
    *,
    data: Path | None,
    out: Path,
    count: int,
    seed: int,
    epochs: int | None,
    human: bool,
    pictures_only: bool,
) -> None:
    """Run the whole loop on this machine: pictures, sandbox, simulated annotator, training, judgement.

    \b
    agir-cvtoolkit demo
    agir-cvtoolkit demo --data pictures/
    agir-cvtoolkit demo --human --count 9
    agir-cvtoolkit demo --pictures-only --count 12 --out pictures
    """
    if pictures_only:
        shell.run(lambda call: _draw(call, data, out, count, seed), _show_drawn, configured=False)
        return

    def run(call: Call, tell: Callable[[str], None]) -> DemoResult:
        from agir_cvtoolkit.demo.person import PersonLeftError
        from agir_cvtoolkit.demo.run import demo

        try:
            return demo(
                out,
                data,
                count=count,
                seed=seed,
                epochs=epochs,
                human=human,
                progress=call.progress,
                tell=tell,
            )
        except PersonLeftError as left:
            click.echo(f"\n{left}", err=True)
            click.get_current_context().exit(130)

    run_demo(shell, "the loop on {}", out, data, run, _show)


@dataclass(frozen=True)
class _Drawn:
    folder: Path
    pictures: int
    dry_run: bool


def _draw(call: Call, data: Path | None, out: Path, count: int, seed: int) -> _Drawn:
    from agir_cvtoolkit.demo.scenes import draw_scenes
    from agir_cvtoolkit.errors import UsageError

    if data is not None:
        raise UsageError("--pictures-only draws scenes, and --data are real ones", "Leave one of both out.")
    if not call.dry_run:
        draw_scenes(out, count, seed)
    return _Drawn(out, count, call.dry_run)


def _show_drawn(drawn: _Drawn) -> None:
    verb = "Would draw" if drawn.dry_run else "Drew"
    click.echo(f"{verb} {drawn.pictures} pictures with true masks, listed in {drawn.folder / 'records.csv'}")


def _show(result: DemoResult) -> None:
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
