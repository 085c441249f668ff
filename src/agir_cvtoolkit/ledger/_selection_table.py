"""The table of what was chosen for the annotators."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, Table

from ._tables import _TEXT, _string, metadata

selections = Table(
    "selections",
    metadata,
    Column("run_id", _string(200), primary_key=True),
    Column("batch", Integer, primary_key=True),
    Column("unit_id", _TEXT, primary_key=True),
    Column("record_id", _TEXT, nullable=False),
    Column("region", _string(60)),
    Column("chosen_at", _string(40), nullable=False),
    Column("control", Boolean, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("score", Float),
    Column("strategy", _TEXT, nullable=False),
    Column("rule", _TEXT, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("model", _TEXT, nullable=False),
    Index("selections_by_unit", "unit_id"),
)
