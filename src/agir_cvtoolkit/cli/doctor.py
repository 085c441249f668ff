"""``agir-cvtoolkit doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.doctor import Diagnosis


@click.command("doctor")
@with_options
def command(shell: Shell) -> None:
    """Check configuration, credentials, server, databases, optional parts and GPU.

    \b
    agir-cvtoolkit doctor
    """

    def stage(call: Call) -> Diagnosis:
        from agir_cvtoolkit.stages.doctor import doctor

        return doctor(call)

    shell.run(stage, _show)


def _show(result: Diagnosis) -> None:
    for check in result.checks:
        click.echo(f"{check.state:8} {check.name}: {check.text}")
