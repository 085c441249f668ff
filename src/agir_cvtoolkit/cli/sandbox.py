"""``agir-cvtoolkit sandbox``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call


@dataclass(frozen=True)
class _Ran:
    url: str | None
    root: Path
    username: str


@click.command("sandbox")
@click.option(
    "--root", default="outputs/sandbox", show_default=True, type=click.Path(path_type=Path, file_okay=False)
)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--username", default="admin", show_default=True)
@click.option("--password", default="admin123", show_default=True)
@with_options
def command(shell: Shell, *, root: Path, host: str, port: int, username: str, password: str) -> None:
    """Run the embedded server that answers like CVAT, on this machine only, until Ctrl-C.

    \b
    agir-cvtoolkit sandbox --port 8080
    CVAT_URL=http://127.0.0.1:8080 CVAT_USERNAME=admin CVAT_PASSWORD=admin123 agir-cvtoolkit upload-cvat
    """

    def run(call: Call) -> _Ran:
        from agir_cvtoolkit.sandbox import SandboxOptions, serve

        options = SandboxOptions(root=root, host=host, port=port, username=username, password=password)
        urls: list[str] = []

        def ready(url: str) -> None:
            urls.append(url)
            # Under --json stdout belongs to the result, which comes at the end.
            click.echo(f"{url}  (user {username}; Ctrl-C stops)", err=shell.as_json)

        if not call.dry_run:
            serve(options, ready)
        return _Ran(urls[0] if urls else None, root, username)

    shell.run(run, lambda _: None, configured=False)
