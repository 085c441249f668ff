"""A ledger of each kind: every test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from agir_cvtoolkit.ledger import Ledger


@pytest.fixture
def out_root(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "runs"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, out_root: Path) -> str:
    """The address of a database in which there is no ledger yet."""
    if request.param == "sqlite":
        return f"sqlite:///{out_root.parent}/ledger.db"
    return str(request.getfixturevalue("new_schema")())


@pytest.fixture
def ledger(url: str, out_root: Path) -> Iterator[Ledger]:
    with Ledger.open(url, out_root) as opened:
        yield opened


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    """A connection past the ledger, whose changes stay."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
