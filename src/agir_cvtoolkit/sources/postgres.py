"""Tables and views of a PostgreSQL database."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from agir_cvtoolkit.errors import ConfigError, DatabaseError, MissingExtraError, QueryError

from .database import Table, TypedDatabase
from .plain_columns import Plain, first_line

_DRIVER = "postgresql+psycopg"
_TOO_COMPLEX = ("stack depth", "too many parameters", "row is too big")
_NEXT = (
    (
        ("password authentication failed", "no password supplied"),
        "Correct the user; the password may be in PGPASSWORD or ~/.pgpass.",
    ),
    (("does not exist",), "Correct the name in {setting}."),
    (("permission denied",), "Let the user read the table: GRANT SELECT."),
    (
        ("lock timeout", "statement timeout"),
        "Another program holds it; run the query again when that has ended.",
    ),
)
_CONNECTING = {
    "connect_timeout": 10,
    "application_name": "agir-cvtoolkit",
    "options": "-c lock_timeout=30s",
}
_COLUMNS = sa.text(
    """
    SELECT attname, format_type(atttypid, NULL), typcategory
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    """
)
_TABLES = sa.text(
    """
    SELECT CASE WHEN table_schema = current_schema() THEN table_name ELSE table_schema || '.' || table_name END
    FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
    """
)
_CHANGES = sa.text(
    """
    SELECT pg_class.oid, relfilenode, pg_relation_size(pg_class.oid), n_tup_ins, n_tup_upd, n_tup_del
    FROM pg_class JOIN pg_stat_all_tables ON relid = pg_class.oid WHERE pg_class.oid = to_regclass(:table)
    """
)


class PostgresDatabase(TypedDatabase):
    """A database on a PostgreSQL server, seen as it was when it was opened.

    Raises:
        ConfigError: the address cannot be understood.
        DatabaseError: it cannot be reached.
        MissingExtraError: the driver is not installed.
    """

    def __init__(self, address: str, setting: str = "db.semif.db_path") -> None:
        try:
            self._url = make_url(address)
            self._url = self._url.set(drivername=_DRIVER)
            given: dict[str, Any] = {k: v for k, v in _CONNECTING.items() if k not in self._url.query}
            engine = sa.create_engine(self._url, connect_args=given, poolclass=NullPool)
        except (ArgumentError, ValueError) as error:
            hint = "For example: postgresql://user@host/database"
            raise ConfigError(f"{setting} cannot be understood", hint) from error
        except ImportError as error:
            raise MissingExtraError(f"records from PostgreSQL ({setting})", "postgres") from error
        looking = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        super().__init__(looking, _named(self._url, query=False), setting)

    @property
    def address(self) -> str:
        """The address, without a password."""
        return _named(self._url, query=True)

    @property
    def pictures_base(self) -> Path | None:
        """None: pictures do not lie beside a server."""
        return None

    def state(self, table: str) -> tuple[object, ...]:
        """Return what the server counted of changes; of a view, which is never the same, something new each time."""
        with self.reading():
            row = self.connection.execute(_CHANGES, {"table": _regclass(table)}).first()
        return tuple(row) if row is not None else (uuid.uuid4().hex,)

    def tables(self) -> list[str]:
        """Return the names of all tables and views, with the schema where it is another."""
        with self.reading():
            return [str(name) for name in self.connection.execute(_TABLES).scalars()]

    def _table(self, name: str) -> Table:
        with self.reading():
            rows = self.connection.execute(_COLUMNS, {"table": _regclass(name)}).all()
        columns = {str(row[0]): _plain(str(row[0]), str(row[1]), str(row[2])) for row in rows}
        schema, _, table = name.rpartition(".")
        relation = sa.select(*(plain.expression.label(column) for column, plain in columns.items()))
        relation = relation.select_from(sa.table(table, schema=schema or None))
        return Table({column: plain.kind for column, plain in columns.items()}, relation.subquery("records"))

    def _explained(self, error: Exception) -> DatabaseError | QueryError:
        reason = first_line(str(getattr(error, "orig", None) or error))
        lower = reason.lower()
        if any(part in lower for part in _TOO_COMPLEX):
            return QueryError(
                f"the filters are too complex for the database: {reason}", "Use lists: key in [a, b, c]."
            )
        usual = "Check that the server runs and that {setting} names it."
        step = next((step for signs, step in _NEXT if any(sign in lower for sign in signs)), usual)
        problem = f"database {self.name} cannot be read: {reason}"
        return DatabaseError(problem, step.format(setting=self.setting))


def _plain(name: str, declared: str, category: str) -> Plain:
    column: sa.ColumnClause[Any] = sa.column(name)
    if declared in {"smallint", "integer", "bigint"}:
        return Plain("integer", column)
    if category == "B":
        return Plain("integer", sa.cast(column, sa.Integer))
    if declared in {"real", "double precision", "numeric"}:
        number = column if declared == "real" else sa.cast(column, sa.Double)
        return Plain("number", sa.func.nullif(number, sa.literal_column("'NaN'")))
    if declared == "date":
        return Plain("text", sa.func.to_char(column, sa.literal_column("'YYYY-MM-DD'")))
    if declared.startswith("timestamp"):
        moment = (
            sa.func.timezone(sa.literal_column("'UTC'"), column) if "with time zone" in declared else column
        )
        return Plain("text", sa.func.to_char(moment, sa.literal_column("'YYYY-MM-DD HH24:MI:SS'")))
    if category == "A":
        return Plain("text", sa.cast(sa.func.array_to_json(column), sa.Text))
    return Plain("text", column if declared in {"text", "character varying"} else sa.cast(column, sa.Text))


def _regclass(table: str) -> str:
    schema, _, name = table.rpartition(".")
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name) if part)


def _named(url: URL, *, query: bool) -> str:
    plain = url.set(drivername="postgresql", password=None)
    return (plain if query else plain.set(query={})).render_as_string()
