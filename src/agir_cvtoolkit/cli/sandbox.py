"""``agir-cvtoolkit sandbox``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.sandbox.stand_in import StandInReport
    from agir_cvtoolkit.stages import Call


@dataclass(frozen=True)
class _Ran:
    url: str | None
    root: Path
    username: str
    version: str


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
@click.option(
    "--cvat-version",
    default="2.42",
    show_default=True,
    metavar="VERSION",
    help="The CVAT to play, 2.20 to 2.80.",
)
@click.option("--access-token", metavar="TOKEN", help="Taken as Bearer, from 2.48 on.")
@click.option(
    "--simulated-work",
    default="0",
    show_default=True,
    metavar="SECONDS",
    help="What making a task takes beside the real work, or 'cvat': as long as a real server in all.",
)
@click.option(
    "--faults",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="JSON list of rules that break chosen requests.",
)
@click.option(
    "--annotate",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Start nothing: complete the open jobs of the sandbox that runs, by the true masks of FOLDER/records.csv.",
)
@with_options
def command(
    shell: Shell,
    *,
    root: Path,
    host: str,
    port: int,
    username: str,
    password: str,
    cvat_version: str,
    access_token: str | None,
    simulated_work: str,
    faults: Path | None,
    annotate: Path | None,
) -> None:
    """Run the embedded server that answers like CVAT, on this machine only, until Ctrl-C.

    \b
    agir-cvtoolkit sandbox --port 8080
    agir-cvtoolkit sandbox --cvat-version 2.60 --access-token secret
    agir-cvtoolkit sandbox --annotate pictures/
    CVAT_URL=http://127.0.0.1:8080 CVAT_USERNAME=admin CVAT_PASSWORD=admin123 agir-cvtoolkit upload-cvat
    """

    def run(call: Call) -> _Ran:
        from agir_cvtoolkit.errors import ConfigError
        from agir_cvtoolkit.sandbox import LIKE_CVAT_2_42, SandboxOptions, SimulatedWork, load_faults, serve

        try:
            like_cvat = simulated_work == "cvat"
            work = LIKE_CVAT_2_42 if like_cvat else SimulatedWork(creation=float(simulated_work))
        except ValueError as error:
            raise ConfigError(
                f"--simulated-work '{simulated_work}' is no number", "Write seconds, or: cvat"
            ) from error
        options = SandboxOptions(
            root=root,
            host=host,
            port=port,
            username=username,
            password=password,
            access_token=access_token,
            version=cvat_version,
            simulated_work=work,
            faults=() if faults is None else load_faults(faults),
        )
        if access_token is not None and not options.generation.access_tokens:
            raise ConfigError(
                f"CVAT {options.version} knows no access tokens", "They came with 2.48: --cvat-version 2.48"
            )
        urls: list[str] = []

        def ready(url: str) -> None:
            urls.append(url)
            # Under --json stdout belongs to the result, which comes at the end.
            click.echo(f"{url}  (CVAT {options.version}, user {username}; Ctrl-C stops)", err=shell.as_json)
            click.echo("Open it in a browser to annotate.", err=True)

        if not call.dry_run:
            serve(options, ready)
        return _Ran(urls[0] if urls else None, root, username, options.version)

    if annotate is None:
        shell.run(run, lambda _: None, configured=False)
    else:
        account, url = (username, password), f"http://{host}:{port}"
        shell.run(lambda call: _correct(call, url, account, annotate), _show, configured=False)


def _correct(call: Call, url: str, account: tuple[str, str], folder: Path) -> StandInReport:
    from agir_cvtoolkit.errors import UsageError
    from agir_cvtoolkit.sandbox.stand_in import annotate

    if url.endswith(":0"):
        raise UsageError("--port 0 names no sandbox", "Give the port on which it runs.")
    return annotate(url, account, folder, dry_run=call.dry_run)


def _show(report: StandInReport) -> None:
    hand, verb = report.hand, "Would complete" if report.dry_run else "Completed"
    click.echo(f"{verb} {counted(report.tasks, 'task')} on {report.url}")
    if not report.dry_run:
        click.echo(
            f"{counted(hand.frames, 'picture')}; shapes: {hand.edited} edited, {hand.accepted} accepted, "
            f"{hand.added} added, {hand.deleted} deleted"
        )
