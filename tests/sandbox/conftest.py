from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .generations import Generations
from .openapi import answers_as_described, description
from .plain import Plain

__all__ = ["answers_as_described", "description"]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(tmp_path / "box")) as running:
        yield running


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One server for all tests of a module that look only at what they made."""
    options = SandboxOptions(tmp_path_factory.mktemp("box"), anonymous_limit=1000)
    with Sandbox(options) as running:
        yield running


@pytest.fixture
def plain(sandbox: Sandbox) -> Iterator[Plain]:
    client = Plain(sandbox.url)
    client.log_in()
    yield client
    client.close()


@pytest.fixture(scope="session")
def generations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generations]:
    """Sandboxes by version."""
    found = Generations(tmp_path_factory.mktemp("generations"))
    yield found
    found.close()
