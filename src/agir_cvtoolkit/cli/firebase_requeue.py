"""``agir-cvtoolkit firebase requeue``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.firebase_requeue import RequeueResult

_SHOWN = 20


@click.command("requeue")
@click.argument("captures", nargs=-1, metavar="[CAPTURE]...")
@click.option("--failed", is_flag=True, help="All captures that failed.")
@click.option("--foreign", is_flag=True, help="All whose status is a word of somebody else's.")
@click.option("--again", is_flag=True, help="Named ones that were transferred too: their task is gone.")
@click.option(
    "--service-account", metavar="FILE", help="Key of Google Cloud; else GOOGLE_APPLICATION_CREDENTIALS."
)
@with_options
def command(
    shell: Shell,
    *,
    captures: tuple[str, ...],
    failed: bool,
    foreign: bool,
    again: bool,
    service_account: str | None,
) -> None:
    """Let CAPTURES that failed wait again, once their pictures are there.

    With --dry-run it lists what failed, and why.

    \b
    agir-cvtoolkit firebase requeue --failed --dry-run
    agir-cvtoolkit firebase requeue --failed
    agir-cvtoolkit firebase requeue 5F3A-22 71C0-04
    """

    def stage(call: Call) -> RequeueResult:
        from agir_cvtoolkit.stages.firebase_requeue import firebase_requeue

        return firebase_requeue(
            call,
            captures=captures,
            failed=failed,
            foreign=foreign,
            again=again,
            service_account=service_account,
        )

    shell.run(stage, _show)


def _show(result: RequeueResult) -> None:
    verb = (
        "would wait again" if result.dry_run else "wait again" if len(result.captures) != 1 else "waits again"
    )
    click.echo(f"{counted(len(result.captures), 'capture')} {verb} in {result.place}")
    for capture_id in result.captures[:_SHOWN]:
        click.echo(harmless(f"  {capture_id}: {result.reasons[capture_id] or 'was transferred'}"))
    if len(result.captures) > _SHOWN:
        click.echo(f"  ... and {len(result.captures) - _SHOWN} more; --json names them all")
    echo_items(result.items, rest="--json names them all")
