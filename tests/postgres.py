"""A PostgreSQL server of the tests' own: made in a temporary folder, on loopback, gone when they end.

Its programs are found on PATH or where Debian puts them. PostgreSQL refuses to run as root; there it runs as the user
``postgres``, else ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .ports import free_port

ABSENT = "no PostgreSQL: initdb is neither on PATH nor in /usr/lib/postgresql/*/bin"
PASSWORD = "correct horse"
_PATIENCE_S = 180

# Nothing here outlives the tests, so nothing has to be safe on the disk.
_CAREFREE = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "shared_buffers=16MB",
)


def programs() -> Path | None:
    """Return the folder of ``initdb`` and ``postgres``, the newest where there are several."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in found), key=_version, default=None)


def _version(folder: Path) -> float:
    numbers = re.findall(r"\d+(?:\.\d+)?", folder.parent.name)
    return float(numbers[0]) if numbers else 0.0


class Server:
    """A running server; `url` names a database that trusts everybody but the user ``careful``."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._data, self._binaries = folder / "data", binaries
        self._owner = None if os.geteuid() else _unprivileged()
        if self._owner is not None:
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        # Ordered as in a dictionary, not by the numbers of characters, as most servers are.
        order = ["--locale-provider=icu", "--icu-locale=en-US"] if "icu-locale" in self._run("--help") else []
        self._run(
            "-D",
            str(self._data),
            "-U",
            "me",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            *order,
        )
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.port = free_port()
        self.url = f"postgresql://me@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *_CAREFREE]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._data, *(part for s in settings for part in ("-c", s))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **self._as_owner(),
        )
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.sql("SELECT 1")
            except Exception:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop the server; it cuts all connections."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=_PATIENCE_S)

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements, each by itself, and return the rows of the last."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="me", dbname=database, autocommit=True, connect_timeout=30
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url_of(self, schema: str, user: str = "me") -> str:
        """Return the address of a schema."""
        return (
            f"postgresql://{user}@127.0.0.1:{self.port}/postgres?options={quote(f'-csearch_path={schema}')}"
        )

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._binaries / "initdb", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self._as_owner(),
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def _as_owner(self) -> dict[str, Any]:
        if self._owner is None:
            return {}
        return {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "extra_groups": []}


def _unprivileged() -> pwd.struct_passwd:
    names = {user.pw_name for user in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for all tests of a session."""
    binaries = programs()
    if binaries is None:
        pytest.skip(ABSENT)
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="agir-postgres-"))
    try:
        server = Server(folder, binaries)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_numbers = count()


@pytest.fixture
def new_schema(postgres: Server) -> Iterator[Callable[[], str]]:
    """Makes an empty schema and returns its address."""
    made: list[str] = []

    def make() -> str:
        name = f"schema_{next(_numbers)}"
        postgres.sql(f"CREATE SCHEMA {name}")
        made.append(name)
        return postgres.url_of(name)

    yield make
    if made:
        postgres.sql(f"DROP SCHEMA {', '.join(made)} CASCADE")
