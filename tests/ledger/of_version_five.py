"""A ledger as the version wrote it whose newest migration was ``005_versions_of_data_sets``."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
)

from agir_cvtoolkit.ledger import _migrations as migrations
from agir_cvtoolkit.ledger import _tables

_OLD = MetaData()

PREDICTIONS = Table(
    "predictions",
    _OLD,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(200), nullable=False),
    Column("record_id", Text, nullable=False),
    Column("image_sha256", String(64), nullable=False),
    Column("mask_sha256", String(64)),
    Column("model", String(200), nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("mask_path", Text),
    Column("created", String(40), nullable=False),
    UniqueConstraint("run_id", "record_id", "model", "mask_sha256", name="one_prediction"),
    Index("predictions_by_record", "record_id"),
)

MODELS = Table(
    "models",
    _OLD,
    Column("version", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("run_id", String(200)),
    Column("card", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("champion_since", String(40)),
    Column("is_champion", Boolean, nullable=False),
    Column("kind", String(20)),
    Column("metrics", Text),
    Column("test_set", String(64)),
)

_LATER = {"run_places"}


def make(connection: Connection) -> None:
    """Make its tables, with the mark of each migration that it had."""
    tables = [
        table
        for table in _tables.metadata.sorted_tables
        if table.name not in _LATER and table.name not in _OLD.tables
    ]
    _tables.metadata.create_all(connection, tables=tables)
    _OLD.create_all(connection)
    for name, _ in migrations.MIGRATIONS[:5]:
        connection.execute(insert(_tables.migrations).values(name=name, applied="2026-01-01T00:00:00+00:00"))
