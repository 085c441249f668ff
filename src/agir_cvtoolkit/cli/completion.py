"""``agir-cvtoolkit completion``."""

from __future__ import annotations

from dataclasses import dataclass

import click
from click.shell_completion import get_completion_class

from ._main import main
from ._shell import Shell, with_options


@dataclass(frozen=True)
class Completion:
    """The script of a shell, to be evaluated by it."""

    shell: str
    script: str


@click.command("completion")
@click.argument("name", metavar="[bash|zsh|fish]", type=click.Choice(["bash", "zsh", "fish"]))
@with_options
def command(shell: Shell, *, name: str) -> None:
    """Print the completion script of a shell.

    \b
    eval "$(agir-cvtoolkit completion bash)"
    """
    shell.run(lambda _: completion(name), lambda result: click.echo(result.script), configured=False)


def completion(name: str) -> Completion:
    """Return the completion script of ``bash``, ``zsh`` or ``fish``."""
    found = get_completion_class(name)
    if found is None:
        raise click.UsageError(f"no completion for {name}")
    return Completion(name, found(main, {}, "agir-cvtoolkit", "_AGIR_CVTOOLKIT_COMPLETE").source())
