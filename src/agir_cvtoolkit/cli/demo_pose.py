"""``agir-cvtoolkit demo-pose``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._demo import demo_options, run_demo
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.demo.pose_run import PoseDemoResult
    from agir_cvtoolkit.stages import Call

_REAL = "Real pictures: DeepLabCut's or StanfordExtra's layout."


@click.command("demo-pose")
@demo_options("demo_pose_output", _REAL, 200, 16, "Animals to draw.")
@click.option(
    "--rounds",
    default=None,
    type=click.IntRange(min=1, max=20),
    help="How often the loop turns.  [default: 3, fewer with few animals]",
)
@click.option("--steps", default=None, type=click.IntRange(min=1), help="Of each training.")
@with_options
def command(
    shell: Shell,
    *,
    data: Path | None,
    out: Path,
    count: int,
    rounds: int | None,
    seed: int,
    steps: int | None,
) -> None:
    """Run the device loop on this machine: devices, store, sandbox, simulated annotator, retraining.

    \b
    agir-cvtoolkit demo-pose
    agir-cvtoolkit demo-pose --data pictures/
    """

    def run(call: Call, tell: Callable[[str], None]) -> PoseDemoResult:
        from agir_cvtoolkit.demo.pose_run import demo_pose

        return demo_pose(
            out, data, count=count, rounds=rounds, seed=seed, steps=steps, progress=call.progress, tell=tell
        )

    run_demo(shell, "the device loop on {}", out, data, run, _show)


def _show(result: PoseDemoResult) -> None:
    click.echo(f"\nShare of correct key points on {result.held_out} animals that nobody was shown:")
    click.echo(f"{'':14}{'corrected':>10}{'PCK@5%':>9}{'PCK@10%':>9}{'OKS-AP':>9}  model")
    for point in result.points:
        name = "first model" if not point.round else f"round {point.round}"
        scores = point.scores
        new = "" if point.refused is None else f", PCK@5% {point.refused.pck[0.05]:.3f},"
        kept = "" if point.promoted else f"  (stays: the new one{new} is not proved better)"
        click.echo(
            f"{name:14}{point.corrections:>10}{scores.pck[0.05]:>9.3f}{scores.pck[0.1]:>9.3f}"
            f"{scores.oks_ap:>9.3f}  {point.version[:12]}{kept}"
        )
    first, last = result.points[0].scores.pck, result.points[-1].scores.pck
    click.echo(
        f"PCK@5% before {first[0.05]:.3f}, after {last[0.05]:.3f} ({last[0.05] - first[0.05]:+.3f}); "
        f"{result.corrections} animals were corrected."
    )
    click.echo(f"Curve: {result.curve}")
    click.echo(f"Contact sheet: {result.sheet}")
    if not any(point.promoted for point in result.points[1:]):
        click.echo(
            "No new model took over: some of the corrected animals are tested on only, and a difference must be more"
            " than chance there. More animals tell more."
        )
    click.echo(f"Workspace: {result.folder} ({result.seconds:.0f} s)")
    click.echo(f"Look around in it: agir-cvtoolkit firebase status --config {_shown(result.folder)}/conf")


def _shown(folder: Path) -> str:
    """Return a folder as a shell takes it, from here where it lies below."""
    here = Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))
