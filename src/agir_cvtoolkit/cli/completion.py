"""``agir-cvtoolkit completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ._main import main


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    eval "$(agir-cvtoolkit completion bash)"
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(main, {}, "agir-cvtoolkit", "_AGIR_CVTOOLKIT_COMPLETE").source())
