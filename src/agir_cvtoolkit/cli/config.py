"""``agir-cvtoolkit config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages.config import ConfigShown, ConfigWritten


@click.group("config")
def command() -> None:
    """Show what is configured and where it comes from; write a conf/ to edit."""


@command.command("show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@with_options
def show(shell: Shell, *, origin: bool) -> None:
    """Print every setting.

    \b
    agir-cvtoolkit config show --origin
    """
    from agir_cvtoolkit.stages.config import show_config

    def print_all(result: ConfigShown) -> None:
        for row in (*result.settings, *result.credentials):
            click.echo(f"{row.key} = {row.value}" + (f"   # {row.origin}" if origin else ""))

    shell.run(show_config, print_all)


@command.command("init")
@click.option("--folder", default="conf", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@with_options
def init(shell: Shell, *, folder: Path) -> None:
    """Write the packaged configuration to a folder to edit.

    \b
    agir-cvtoolkit config init
    """
    from agir_cvtoolkit.stages.config import init_config

    def print_all(result: ConfigWritten) -> None:
        for path in result.written:
            click.echo(f"{'would write' if result.dry_run else 'wrote'} {path}")
        for path in result.kept:
            click.echo(f"kept  {path}")

    shell.run(lambda call: init_config(folder, call), print_all)
