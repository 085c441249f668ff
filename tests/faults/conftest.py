from __future__ import annotations

from collections.abc import Iterator

import pytest

from .lab import Lab
from .matrix import laboratory


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One laboratory for all tests of a process."""
    with laboratory() as opened:
        yield opened
