"""``agir-cvtoolkit ledger``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.ledger_care import LedgerBackup, LedgerCheck, LedgerCopy


@click.group("ledger")
def command() -> None:
    """Back up, check and move the database of all that happened."""


@command.command("backup")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@with_options
def backup(shell: Shell, *, file: Path | None) -> None:
    """Copy the ledger to a SQLite FILE, or beside the runs under a name with the date; it may be in use.

    \b
    agir-cvtoolkit ledger backup
    agir-cvtoolkit ledger backup backups/before-round-2.db
    """

    def stage(call: Call) -> LedgerBackup:
        from agir_cvtoolkit.stages.ledger_care import ledger_backup

        return ledger_backup(file, call)

    shell.run(stage, _show_backup)


@command.command("copy")
@click.argument("url")
@with_options
def copy(shell: Shell, *, url: str) -> None:
    """Copy the ledger into the empty database at URL: from a file to a server, or back.

    \b
    agir-cvtoolkit ledger copy postgresql://me@server/agir
    agir-cvtoolkit ledger copy postgresql://me@server/agir -o io.ledger_url=sqlite:///backups/round-2.db
    """

    def stage(call: Call) -> LedgerCopy:
        from agir_cvtoolkit.stages.ledger_care import ledger_copy

        return ledger_copy(url, call)

    shell.run(stage, _show_copy)


@command.command("check")
@click.option("--server", is_flag=True, help="Ask the CVAT server too whether the pushed tasks still exist.")
@with_options
def check(shell: Shell, *, server: bool) -> None:
    """Check the ledger, its rows and the files that it names; nothing is repaired.

    \b
    agir-cvtoolkit ledger check
    agir-cvtoolkit ledger check --server
    """

    def stage(call: Call) -> LedgerCheck:
        from agir_cvtoolkit.stages.ledger_care import ledger_check

        return ledger_check(call, server=server)

    shell.run(stage, _show_check)


def _show_backup(result: LedgerBackup) -> None:
    if result.dry_run:
        click.echo(f"Would copy the ledger to {result.file}")
    else:
        click.echo(f"Copied the ledger to {result.file} ({result.bytes} bytes), checked")


def _show_copy(result: LedgerCopy) -> None:
    if result.dry_run:
        click.echo(f"Would copy the ledger to {result.target}")
    else:
        click.echo(f"Copied {counted(result.rows, 'row')} to {result.target}; name it in io.ledger_url now")


def _show_check(result: LedgerCheck) -> None:
    wide = max((len(finding.subject) for finding in result.findings), default=0)
    for finding in result.findings:
        click.echo(f"{finding.subject:{wide}}  {finding.problem}")
        click.echo(f"{'':{wide}}  -> {finding.next_step}")
    asked = f", {counted(result.tasks, 'task')} asked for" if result.tasks else ""
    click.echo(
        f"{counted(len(result.findings), 'finding')}; {counted(result.files, 'file')} looked for{asked}"
    )
    for place in result.elsewhere:
        click.echo(f"{place} ({counted(place.files, 'file')})", err=True)
    for server in result.not_asked:
        click.echo(f"Not asked: {server}, which is not the configured server", err=True)
