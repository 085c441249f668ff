"""``agir-cvtoolkit plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.plan import Plan


@click.command("plan")
@click.option("--hours", type=float, required=True, help="Of people's work, all of them together.")
@click.option("--target", type=float, default=None, help="A quality that you want, such as 0.85.")
@click.option("--loop", default=None, metavar="NAME", help="Plan by this loop alone.")
@with_options
def command(shell: Shell, *, hours: float, target: float | None, loop: str | None) -> None:
    """Say how many pictures some hours suffice for, and what they would bring.

    \b
    agir-cvtoolkit plan --hours 6
    agir-cvtoolkit plan --hours 6 --target 0.85
    """

    def stage(call: Call) -> Plan:
        from agir_cvtoolkit.stages.plan import plan

        return plan(hours, target, loop, call)

    shell.run(stage, _show)


def _show(result: Plan) -> None:
    pace = result.pace
    bounds = "" if result.pictures_low is None else f" ({result.pictures_low:,} to {result.pictures_high:,})"
    hours = "hour" if result.hours == 1 else "hours"
    suffices = f"{counted(result.pictures, 'picture')}{bounds}"
    if result.batch < result.pictures:
        suffices = f"{suffices}, of which the pool has {result.left:,}"
    click.echo(f"{result.hours:g} {hours}: {suffices}")
    measured = f"measured on {counted(pace.pictures, 'picture')} " if pace.is_measured else ""
    click.echo(f"  {pace.seconds:.1f} s a picture, {measured}{pace.how}")
    if pace.simulated and pace.is_measured:
        click.echo(f"  {counted(pace.simulated, 'job')} of a simulated annotator left out")
    if result.quality is not None:
        click.echo(
            f"  the newest model: {result.figure} {result.quality:.3f} with {result.labels:,} labelled pictures"
        )
    if result.forecast is not None:
        one = result.forecast
        click.echo(
            f"  then {result.figure} {one.quality:.3f} ({one.low:.3f} to {one.high:.3f}) with {one.labels:,}"
        )
    click.echo(f"  {result.verdict}")
    for caution in result.cautions:
        click.echo(f"  {caution}")
