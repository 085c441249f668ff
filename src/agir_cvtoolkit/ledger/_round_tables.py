"""The tables of loops: their rounds, what happened in them, and who was told."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table, UniqueConstraint

from ._tables import _TEXT, _string, metadata

loops = Table(
    "loops",
    metadata,
    Column("name", _string(80), primary_key=True),
    Column("kind", _string(20), nullable=False),
    Column("plan", _TEXT, nullable=False),
    Column("owner", _string(200)),
    Column("lease_until", _string(40)),
    Column("created", _string(40), nullable=False),
    Column("ended", _TEXT),
)

rounds = Table(
    "rounds",
    metadata,
    Column("loop", _string(80), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", _string(20), nullable=False),
    Column("failed_in", _string(20)),
    Column("run_id", _string(200), nullable=False),
    Column("training_run", _string(200), nullable=False),
    Column("opened", _string(40), nullable=False),
    Column("changed", _string(40), nullable=False),
    Column("figures", _TEXT, nullable=False),
    ForeignKeyConstraint(["loop"], ["loops.name"]),
    Index("rounds_by_training_run", "training_run"),
)

round_events = Table(
    "round_events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("loop", _string(80), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", _string(40), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at", _string(40), nullable=False),
    Column("detail", _TEXT, nullable=False),
    UniqueConstraint("loop", "number", "kind", "sequence", name="one_round_event"),
)

round_deliveries = Table(
    "round_deliveries",
    metadata,
    Column("event_id", Integer, primary_key=True),
    Column("channel", _string(20), primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("delivered", _string(40)),
    Column("outcome", _TEXT),
)
