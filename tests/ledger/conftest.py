"""A ledger of each kind: every test that asks for one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.ledger._tables import metadata
from tests.postgres import Server

KINDS = ("sqlite", "postgresql")


@pytest.fixture
def out_root(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "runs"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, out_root: Path) -> str:
    """The address of a database in which there is no ledger yet."""
    if request.param == "sqlite":
        return f"sqlite:///{out_root.parent}/ledger.db"
    return str(request.getfixturevalue("new_schema")())


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest, out_root: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    address = None if request.param == "sqlite" else request.getfixturevalue("emptied")
    with Ledger.open(address, out_root) as opened:
        yield opened


@pytest.fixture(scope="session")
def _kept(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    postgres.sql("CREATE SCHEMA kept")
    with Ledger.open(postgres.url_of("kept"), tmp_path_factory.mktemp("kept")):
        pass
    return postgres.url_of("kept")


@pytest.fixture
def emptied(postgres: Server, _kept: str) -> str:
    """A ledger whose tables are made once, since that takes longer than most tests."""
    names = ", ".join(f"kept.{name}" for name in metadata.tables if name != "migrations")
    postgres.sql(f"TRUNCATE {names} RESTART IDENTITY")
    return _kept


@contextmanager
def changing(url: str) -> Iterator[Connection]:
    """A connection past the ledger, whose changes stay."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
