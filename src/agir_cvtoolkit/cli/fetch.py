"""``agir-cvtoolkit fetch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, echo_items, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.fetch import FetchResult


@click.command("fetch")
@click.option("--verify", is_flag=True, help="Read what is staged too; what is damaged is brought anew.")
@with_options
def command(shell: Shell, *, verify: bool) -> None:
    """Stage the run's pictures that lie in a storage, so that they are read from this machine.

    \b
    agir-cvtoolkit fetch
    agir-cvtoolkit fetch -o fetch.cache_gb=200 -o fetch.workers=16
    """

    def stage(call: Call) -> FetchResult:
        from agir_cvtoolkit.stages.fetch import fetch

        return fetch(call, verify=verify)

    shell.run(stage, _show)


def _show(result: FetchResult) -> None:
    if not result.total:
        click.echo("No picture of the run lies in a storage (io.roots); there is nothing to fetch")
        return
    verb = "would be fetched" if result.dry_run else "fetched"
    click.echo(
        f"{result.fetched} of {counted(result.total, 'picture')} {verb} ({result.bytes_fetched / 1e6:.1f} MB),"
        f" {result.kept} staged already, {result.failed} failed"
    )
    echo_items(result.items)
    if result.removed:
        click.echo(f"{counted(result.removed, 'picture')} made room")
    click.echo(f"Cache: {result.cache}")
