"""DuckDB for SQLAlchemy: as much of a dialect as reading needs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.engine import default
from sqlalchemy.pool import StaticPool

_NAME = "agirduck"


class DuckDialect(default.DefaultDialect):
    """What SQLAlchemy has to know of DuckDB to write a SELECT; nothing is changed, so there are no transactions."""

    name = "duckdb"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_native_boolean = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Return the driver."""
        import duckdb

        return duckdb

    def initialize(self, connection: sa.Connection) -> None:
        """Ask the server nothing; there is none."""

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin nothing."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit nothing."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Take nothing back."""


registry.register(_NAME, __name__, DuckDialect.__name__)


def engine_of(connection: Any) -> sa.Engine:
    """Return an engine that uses one open connection of DuckDB."""
    return sa.create_engine(f"{_NAME}://", creator=lambda: connection, poolclass=StaticPool)
