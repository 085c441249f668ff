"""``agir-cvtoolkit sandbox``."""

from __future__ import annotations

from pathlib import Path

import click

from ._shell import Shell, common


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
@common
def command(shell: Shell, *, root: Path, host: str, port: int, username: str, password: str) -> None:
    """Run the embedded server that answers like CVAT, on this machine only, until Ctrl-C.

    \b
    agir-cvtoolkit sandbox --port 8080
    CVAT_URL=http://127.0.0.1:8080 CVAT_USERNAME=admin CVAT_PASSWORD=admin123 agir-cvtoolkit upload-cvat
    """
    from agir_cvtoolkit.sandbox import SandboxOptions, serve
    from agir_cvtoolkit.stages import Call

    options = SandboxOptions(root=root, host=host, port=port, username=username, password=password)

    def run(call: Call) -> SandboxOptions:
        if not call.dry_run:
            serve(options, lambda url: click.echo(f"{url}  (user {username}; Ctrl-C stops)"))
        return options

    shell.run(run, lambda _: None, configured=False)
