"""A user's folder and a server's state, kept and put back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

PATIENCE = 120.0
"""Seconds that a database may be held by somebody else."""


def keep(work: Path, box: Path, folder: Path) -> Path:
    """Copy a user's folder and the root of a server at rest."""
    shutil.copytree(work, folder / "work", symlinks=True)
    (folder / "box").mkdir()
    with (
        closing(sqlite3.connect(box / "sandbox.db")) as source,
        closing(sqlite3.connect(folder / "box" / "sandbox.db")) as copy,
    ):
        source.backup(copy)
    for other in box.iterdir():
        if other.is_dir():
            shutil.copytree(other, folder / "box" / other.name)
    return folder


def restore(work: Path, box: Path, folder: Path) -> None:
    """Put a kept folder in the place of the user's, and the server's state into a server that runs."""
    if work.is_dir():
        shutil.rmtree(work)
    shutil.copytree(folder / "work", work, symlinks=True)
    for other in box.iterdir():
        if other.is_dir():
            shutil.rmtree(other)
    for other in (folder / "box").iterdir():
        if other.is_dir():
            shutil.copytree(other, box / other.name)
    # Into the database as it is open: a server that starts anew for each cell would cost most of the time.
    with closing(sqlite3.connect(box / "sandbox.db", isolation_level=None, timeout=PATIENCE)) as database:
        database.execute("ATTACH ? AS kept", (str(folder / "box" / "sandbox.db"),))
        database.execute("BEGIN IMMEDIATE")
        names = "SELECT name FROM kept.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (table,) in database.execute(names).fetchall():
            database.execute(f'DELETE FROM main."{table}"')
            database.execute(f'INSERT INTO main."{table}" SELECT * FROM kept."{table}"')
        database.execute("COMMIT")
