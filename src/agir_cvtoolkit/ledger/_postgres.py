"""A ledger on PostgreSQL: how its connections begin, and who has the pen."""

from __future__ import annotations

import os
import socket
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

PEN = 0x61_67_69_72_70_65_6E
"""The advisory lock of who writes: seven letters as one number, so that no other program takes it by chance."""

_WAIT_S = 30
_DRIVER = "postgresql+psycopg"

# A machine that vanished must not hold what it held for hours: after a minute without a sign it is given up.
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_CONNECTING = {"connect_timeout": 10, **_ALIVE}
_SETTINGS = (
    f"SET lock_timeout = '{_WAIT_S}s'",
    *(f"SET tcp_{name} = {value}" for name, value in _ALIVE.items()),
)


def engine_of(url: URL, *, to_read: bool) -> Engine:
    """Return an engine for a ledger on PostgreSQL; nothing is opened yet.

    Who writes takes the pen when a transaction begins and gives it back when it ends, so that whatever was read to
    decide on a change still holds when the change is made, as on SQLite. Who reads waits for nobody, and sees the
    ledger as it was at one moment.

    Args:
        url: of the database; where it names no driver, psycopg is taken.
        to_read: nothing will be changed.

    Raises:
        ImportError: the driver is not installed.
    """
    if "+" not in url.drivername:
        url = url.set(drivername=_DRIVER)
    given: dict[str, str | int] = {
        name: value for name, value in _CONNECTING.items() if name not in url.query
    }
    if "application_name" not in url.query:
        given["application_name"] = who_am_i()
    level = {"isolation_level": "REPEATABLE READ"} if to_read else {}
    engine = create_engine(url, connect_args=given, pool_pre_ping=True, **level)
    event.listen(engine, "connect", _only_look if to_read else _prepare)
    if not to_read:
        event.listen(engine, "begin", _take_the_pen)
    return engine


def who_am_i() -> str:
    """Return the name under which the server lists this process, at most 63 bytes of ASCII."""
    host = socket.gethostname().encode("ascii", "replace").decode("ascii")
    return f"agir-cvtoolkit, process {os.getpid()} on {host}"[:63]


def _prepare(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for setting in _SETTINGS:
            cursor.execute(setting)
    connection.commit()


def _only_look(connection: Any, record: object) -> None:
    _prepare(connection, record)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    connection.commit()


def _take_the_pen(connection: Any) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PEN})")
