from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.sqlite import SqliteDatabase

from .tables import make_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with SqliteDatabase(make_database(tmp_path / "semif.db")) as opened:
        yield opened
