"""``agir-cvtoolkit dashboard``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call


@dataclass(frozen=True)
class _Served:
    """Where it was.

    Attributes:
        url: None in a dry run.
    """

    url: str | None


@click.command("dashboard")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others need a token.")
@click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option(
    "--loop", default=None, metavar="NAME", help="Only this loop. Without it and --run: everything."
)
@with_options
def command(shell: Shell, *, host: str, port: int, loop: str | None) -> None:
    """Serve the report live, with every picture and its life, until Ctrl-C; nothing can be changed there.

    On another address than this machine's own it asks for the token in AGIR_DASHBOARD_TOKEN, and does not start
    without one.

    \b
    agir-cvtoolkit dashboard
    agir-cvtoolkit dashboard --port 8090
    AGIR_DASHBOARD_TOKEN=$(cat token) agir-cvtoolkit dashboard --host 0.0.0.0 --port 8090
    """

    def stage(call: Call) -> _Served:
        import os

        from agir_cvtoolkit.serving.dashboard import TOKEN_VARIABLE, dashboard_app, serve_dashboard
        from agir_cvtoolkit.stages.dashboard import open_dashboard

        token = os.environ.get(TOKEN_VARIABLE) or None
        source = open_dashboard(loop, call)
        urls: list[str] = []

        def ready(url: str) -> None:
            urls.append(url)
            click.echo(f"{url}  (Ctrl-C stops)", err=shell.as_json)

        if call.dry_run:
            dashboard_app(source, host, token)
        else:
            serve_dashboard(source, host, port, token, ready)
        return _Served(urls[0] if urls else None)

    shell.run(stage, lambda _: None)
