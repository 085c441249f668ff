"""Migrations: applied once, in order, each named in a table; the ledger is copied before any is applied."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, Table, UniqueConstraint, inspect, select
from sqlalchemy.schema import AddConstraint, CreateColumn

from agir_cvtoolkit.errors import LedgerError

from . import _round_tables, _selection_table, _tables

Migration = Callable[[Connection], None]


def _m001_first_tables(connection: Connection) -> None:
    _tables.metadata.create_all(connection)


def _m002_what_was_left_and_what_came_back(connection: Connection) -> None:
    _tables.metadata.create_all(connection)
    _add_columns(connection, _tables.push_shapes, "geometry")
    _add_columns(connection, _tables.pulls, "assignee", "type")


def _m003_what_was_changed(connection: Connection) -> None:
    _add_columns(connection, _tables.corrections, "changed")


def _m004_models_of_two_kinds(connection: Connection) -> None:
    _tables.metadata.create_all(connection)
    _add_columns(connection, _tables.models, "kind", "metrics", "test_set")


def _m005_versions_of_data_sets(connection: Connection) -> None:
    _tables.metadata.create_all(connection)
    _add_columns(connection, _tables.images, "phash")


def _m006_where_it_lies(connection: Connection) -> None:
    _tables.metadata.create_all(connection)
    _add_columns(connection, _tables.models, "host")


def _m007_predictions_of_every_original(connection: Connection) -> None:
    table, old = _tables.predictions, "one_prediction"
    there = {constraint["name"] for constraint in inspect(connection).get_unique_constraints(table.name)}
    if old not in there:
        return
    if connection.dialect.name == "sqlite":
        _make_anew(connection, table)
        return
    connection.exec_driver_sql(f"ALTER TABLE {table.name} DROP CONSTRAINT {old}")
    (wider,) = (part for part in table.constraints if isinstance(part, UniqueConstraint))
    connection.execute(AddConstraint(wider, isolate_from_table=False))


def _make_anew(connection: Connection, table: Table) -> None:
    """Make a table of this version out of one with the same columns: SQLite cannot change a constraint."""
    names = ", ".join(column.name for column in table.columns)
    for index in table.indexes:
        index.drop(connection, checkfirst=True)
    connection.exec_driver_sql(f"ALTER TABLE {table.name} RENAME TO {table.name}_before")
    table.create(connection)
    copy = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {table.name}_before"  # noqa: S608 - names of ours
    connection.exec_driver_sql(copy)
    connection.exec_driver_sql(f"DROP TABLE {table.name}_before")


def _m008_selections(connection: Connection) -> None:
    _tables.metadata.create_all(connection, tables=[_selection_table.selections])


def _m009_rounds(connection: Connection) -> None:
    tables = (
        _round_tables.loops,
        _round_tables.rounds,
        _round_tables.round_events,
        _round_tables.round_deliveries,
    )
    _tables.metadata.create_all(connection, tables=tables)


def _m010_work_on_jobs(connection: Connection) -> None:
    _tables.metadata.create_all(connection, tables=[_tables.job_work])


def _add_columns(connection: Connection, table: Table, *names: str) -> None:
    """Add columns that a table of an earlier version lacks; a new ledger has them from its first migration."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in there:
            column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column}")


MIGRATIONS: tuple[tuple[str, Migration], ...] = (
    ("001_first_tables", _m001_first_tables),
    ("002_what_was_left_and_what_came_back", _m002_what_was_left_and_what_came_back),
    ("003_what_was_changed", _m003_what_was_changed),
    ("004_models_of_two_kinds", _m004_models_of_two_kinds),
    ("005_versions_of_data_sets", _m005_versions_of_data_sets),
    ("006_where_it_lies", _m006_where_it_lies),
    ("007_predictions_of_every_original", _m007_predictions_of_every_original),
    ("008_selections", _m008_selections),
    ("009_rounds", _m009_rounds),
    ("010_work_on_jobs", _m010_work_on_jobs),
)


def is_current(engine: Engine) -> bool:
    """Whether a ledger has the migrations of this version and no others."""
    with engine.connect() as connection:
        return set(_applied(connection)) == {name for name, _ in MIGRATIONS}


def migrate(engine: Engine, keep: Callable[[str], None]) -> tuple[str, ...]:
    """Bring a ledger to this version.

    Args:
        engine: of the ledger.
        keep: told the first migration, copies what is there before it is changed.

    Returns:
        The names of the migrations that were applied.

    Raises:
        LedgerError: a newer version of this package wrote it, or something else lies there.
    """
    with engine.connect() as connection:
        applied = _applied(connection)
        if not applied:
            _refuse_strangers(connection)
    known = [name for name, _ in MIGRATIONS]
    newer = sorted(set(applied) - set(known))
    if newer:
        raise LedgerError(
            f"the ledger was written by a newer version ({', '.join(newer)})", "Upgrade agir-cvtoolkit."
        )
    missing = [(name, step) for name, step in MIGRATIONS if name not in applied]
    if not missing:
        return ()
    if applied:
        keep(missing[0][0])
    for name, step in missing:
        with engine.begin() as connection:
            if name in _applied(connection):  # by another process, since the first look
                continue
            step(connection)
            now = datetime.now(UTC).isoformat()
            connection.execute(_tables.migrations.insert().values(name=name, applied=now))
    return tuple(name for name, _ in missing)


def _refuse_strangers(connection: Connection) -> None:
    """Refuse a database that holds something else.

    A server's database may be shared as long as no table has the name of one of ours; a file may not.
    """
    there = set(inspect(connection).get_table_names())
    others = sorted(there if connection.dialect.name == "sqlite" else there & set(_tables.metadata.tables))
    if others:
        raise LedgerError(
            f"the database of io.ledger_url is no ledger: it has tables of something else ({', '.join(others[:5])})",
            "Name another database, or on PostgreSQL a schema of its own (docs/ledger.md).",
        )


def _applied(connection: Connection) -> list[str]:
    table = _tables.migrations
    there = inspect(connection)
    if not there.has_table(table.name):
        return []
    if not set(table.columns.keys()) <= {str(column["name"]) for column in there.get_columns(table.name)}:
        return []  # another program's
    return list(connection.execute(select(table.c.name)).scalars())
