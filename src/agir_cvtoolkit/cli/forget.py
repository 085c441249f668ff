"""``agir-cvtoolkit forget``."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.forget import ForgetResult


@click.command("forget")
@click.argument("capture")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--output-dir", metavar="DIR", help="A further folder that it was transferred to.")
@click.option(
    "--service-account", metavar="FILE", help="Key of Google Cloud; else GOOGLE_APPLICATION_CREDENTIALS."
)
@with_options
def command(
    shell: Shell, *, capture: str, yes: bool, output_dir: str | None, service_account: str | None
) -> None:
    """Remove a CAPTURE (its id) everywhere it went: store, folders, runs, ledger and CVAT.

    What cannot be removed is listed, with what can be done about it.

    \b
    agir-cvtoolkit forget 5F3A-22 --dry-run
    agir-cvtoolkit forget 5F3A-22 --yes
    """

    def stage(call: Call) -> ForgetResult:
        from agir_cvtoolkit.errors import UsageError
        from agir_cvtoolkit.stages.forget import forget

        def act(how: Call) -> ForgetResult:
            return forget(capture, how, output_dir=output_dir, service_account=service_account)

        if not yes and not call.dry_run:
            planned = act(replace(call, dry_run=True))
            if shell.as_json or not sys.stdin.isatty():
                raise UsageError("forget removes for ever", "Add --yes; look first with --dry-run.")
            _show(planned)
            if not click.confirm("Remove all of it?", err=True):
                return replace(planned, removed=(), left=())
        return act(call)

    shell.run(stage, _show)


def _show(result: ForgetResult) -> None:
    verb = "would be removed" if result.dry_run else "removed"
    for line in result.removed:
        click.echo(f"{verb}: {line}")
    for line in result.left:
        click.echo(f"left: {line}")
    if not result.removed:
        click.echo("Nothing was removed.")
