"""``ledger backup``, ``ledger check``, ``ledger copy``: the ledger kept, looked after, and moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agir_cvtoolkit.config import Settings, load_credentials
from agir_cvtoolkit.cvat import get_task
from agir_cvtoolkit.errors import DataError, LedgerError, NotFoundError, UsageError
from agir_cvtoolkit.ledger import (
    Finding,
    Ledger,
    backup_ledger,
    check_database,
    copy_ledger,
    describe_database,
)

from ._call import Call
from ._connect import connect
from ._named_files import Elsewhere, search


@dataclass(frozen=True)
class LedgerBackup:
    """Where the ledger was copied to, or in a dry run would be."""

    file: Path
    bytes: int
    dry_run: bool = False


@dataclass(frozen=True)
class LedgerCopy:
    """Where the ledger was copied to, or in a dry run would be.

    Attributes:
        target: the database, without a password.
        rows: how many were copied.
    """

    target: str
    rows: int
    dry_run: bool = False


@dataclass(frozen=True)
class LedgerCheck:
    """What is not as it should be.

    Attributes:
        files: how many files the ledger names that were looked for.
        tasks: how many tasks the server was asked for.
        not_asked: servers of other pushes, which were not asked.
        elsewhere: what lies on other machines, or in other folders of this one, and was not looked for.
    """

    findings: tuple[Finding, ...]
    files: int
    tasks: int
    not_asked: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 4 where something was found."""
        return DataError.exit_code if self.findings else 0


def ledger_backup(file: Path | None = None, call: Call | None = None) -> LedgerBackup:
    """Copy the ledger as it is at one moment into a SQLite file; others may write to it meanwhile.

    The copy is checked. It is a ledger itself: name it in ``io.ledger_url``, or bring it back to a server with
    `ledger_copy`.

    Args:
        file: of the copy; None is ``ledger-<date>-<time>.db`` beside the runs.
        call: with ``dry_run`` nothing is written.

    Raises:
        UsageError: there is no ledger, or the target is there already.
        LedgerError: it is damaged, or the copy cannot be written.
    """
    call = call or Call()
    settings = call.settings()
    out_root = Path(settings.io.out_root)
    target = file or out_root.parent / f"ledger-{datetime.now().astimezone():%Y%m%d-%H%M%S}.db"
    if call.dry_run:
        if not Ledger.is_there(settings.io.ledger_url, out_root):
            raise UsageError("there is no ledger", "Nothing was predicted, pushed or pulled here yet.")
        return LedgerBackup(target, 0, dry_run=True)
    backup_ledger(settings.io.ledger_url, out_root, target)
    return LedgerBackup(target, target.stat().st_size)


def ledger_copy(target_url: str, call: Call | None = None) -> LedgerCopy:
    """Copy the ledger into an empty database, whole or not at all: from a file to a server, or back.

    Nobody should write to either meanwhile; name the new one in ``io.ledger_url`` afterwards.

    Args:
        target_url: of the database, in SQLAlchemy's form.
        call: with ``dry_run`` nothing is written.

    Raises:
        ConfigError: a URL cannot be understood.
        UsageError: there is no ledger, or the database has rows already.
        LedgerError: one of them cannot be used.
    """
    call = call or Call()
    settings = call.settings()
    out_root, url = Path(settings.io.out_root), settings.io.ledger_url
    if call.dry_run:
        if not Ledger.is_there(url, out_root):
            raise UsageError("there is no ledger", "Nothing was predicted, pushed or pulled here yet.")
        return LedgerCopy(describe_database(target_url, out_root), 0, dry_run=True)
    rows = copy_ledger(url, out_root, target_url)
    return LedgerCopy(describe_database(target_url, out_root), rows)


def ledger_check(call: Call | None = None, *, server: bool = False) -> LedgerCheck:
    """Check the ledger: the database, its rows against each other, the files that it names; nothing is changed.

    Args:
        call: options.
        server: ask the configured server besides whether the tasks that were pushed there still exist.

    Raises:
        ConfigError: no credentials.
        LedgerError: it was written by a newer version.
        RemoteError: the server cannot be asked.
    """
    call = call or Call()
    settings = call.settings()
    out_root, url = Path(settings.io.out_root), settings.io.ledger_url
    try:
        findings = check_database(url, out_root)
        if findings:
            return LedgerCheck(tuple(findings), 0, 0)
        with Ledger.open_to_read(url, out_root) as ledger:
            findings += ledger.orphans(project_id=settings.cvat_upload.project_id)
            found = search(
                out_root,
                ledger.named_files(),
                ledger.removed_runs(),
                ledger.here,
                shared=ledger.is_shared,
            )
            findings += found.findings
            asked = 0
            not_asked: tuple[str, ...] = ()
            if server:
                gone, asked, not_asked = _ask(settings, ledger)
                findings += gone
    except LedgerError as error:
        if "newer version" in error.problem:
            raise
        return LedgerCheck((Finding("ledger", error.problem, error.next_step),), 0, 0)
    return LedgerCheck(tuple(findings), found.looked_for, asked, not_asked, found.elsewhere)


def _ask(settings: Settings, ledger: Ledger) -> tuple[list[Finding], int, tuple[str, ...]]:
    address = load_credentials(settings.io.keys_file).base_url
    everything = connect(settings, "cvat_upload", None).session
    findings, asked, others = [], 0, set()
    for push_id, key, _ in ledger.pushes():
        tasks = [task for task in ledger.tasks_of_push(push_id) if task.task_id is not None]
        if key.server != address:
            others |= {key.server} if tasks else set()
            continue
        session = everything.in_organization(key.organization)
        for task in tasks:
            asked += 1
            try:
                get_task(session, task.task_id or 0)
            except NotFoundError:
                step = "upload-cvat pushes its records anew; or forget it: agir-cvtoolkit undo " + push_id
                findings.append(Finding(task.name, f"task {task.task_id} is not on {key.server}", step))
    return findings, asked, tuple(sorted(others))
