from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .plain import Plain


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(tmp_path / "box", access_token="pat-123", anonymous_limit=100)) as running:
        yield running


@pytest.fixture
def plain(sandbox: Sandbox) -> Iterator[Plain]:
    client = Plain(sandbox.url)
    client.log_in()
    yield client
    client.close()
