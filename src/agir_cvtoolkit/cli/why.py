"""``agir-cvtoolkit why``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._shell import Shell, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.why import Life


@click.command("why")
@click.argument("record")
@with_options
def command(shell: Shell, *, record: str) -> None:
    """Tell the whole life of RECORD: predicted, chosen and why, pushed, pulled, corrected, learned from.

    \b
    agir-cvtoolkit why MD_1659702025
    """

    def stage(call: Call) -> Life:
        from agir_cvtoolkit.stages.why import why

        return why(record, call)

    shell.run(stage, _show)


def _show(result: Life) -> None:
    click.echo(harmless(result.record_id))
    for event in result.events:
        detail = ", ".join(f"{key} {value}" for key, value in event.detail.items() if value is not None)
        run = f"  (run {event.run_id})" if event.run_id else ""
        click.echo(harmless(f"  {event.at}  {event.kind:10} {detail}{run}"))
    for line in result.rounds:
        click.echo(harmless(f"  {line}"))
    if result.seconds is not None:
        click.echo(f"  about {result.seconds:.0f} s of people's work")
