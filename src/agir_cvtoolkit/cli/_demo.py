"""What the demonstrations have in common as commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ._shell import Shell

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call

_Result = TypeVar("_Result")
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Plan:
    out: Path
    data: Path | None
    dry_run: bool = True


def demo_options(out: str, data: str, count: int, least: int, drawn: str) -> Callable[[_Command], _Command]:
    """Return what gives a command ``--data``, ``--out``, ``--count`` and ``--seed``.

    Args:
        out: folder of the demonstration.
        data: what real pictures are, in words.
        count: how many are drawn; at least `least`.
        drawn: what is drawn, in words.
    """
    folder = click.Path(path_type=Path, file_okay=False)
    options = (
        click.option("--data", default=None, type=folder, help=data),
        click.option(
            "--out", default=out, show_default=True, type=folder, help="Folder of the demonstration."
        ),
        click.option("--count", default=count, show_default=True, type=click.IntRange(min=least), help=drawn),
        click.option(
            "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of all chance."
        ),
    )

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def run_demo(
    shell: Shell,
    what: str,
    out: Path,
    data: Path | None,
    demo: Callable[[Call, Callable[[str], None]], _Result],
    show: Callable[[_Result], None],
) -> None:
    """Run a demonstration, or say in a dry run what it would do.

    Args:
        shell: of the command.
        what: it runs, with ``{}`` for what it runs on.
        out: its folder.
        data: real pictures; None where they are drawn.
        demo: given the call, and what is told one line per step.
        show: prints what it showed.
    """

    def tell(line: str) -> None:
        if not shell.quiet:
            click.echo(line, err=True)

    def run(call: Call) -> _Result | _Plan:
        return _Plan(out, data) if call.dry_run else demo(call, tell)

    def shown(result: _Result | _Plan) -> None:
        if isinstance(result, _Plan):
            click.echo(f"Would run {what.format(data or 'drawn pictures')} in {out}")
        else:
            show(result)

    shell.run(run, shown, configured=False)
