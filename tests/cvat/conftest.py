"""A sandbox for tests that need a server, and pictures to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.cvat import Credentials, CvatSession, NewLabel, PictureToSend, create_project
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from tests.sandbox.generations import VERSION
from tests.sandbox.openapi import answers_as_described, description

from .fakes import FastClock

__all__ = ["answers_as_described", "description"]

LABELS = (
    NewLabel("weed", "mask"),
    NewLabel(
        "plant",
        "any",
        attributes=(
            {
                "name": "confidence",
                "mutable": False,
                "input_type": "text",
                "default_value": "",
                "values": [""],
            },
        ),
    ),
    NewLabel("dog", "skeleton", sublabels=("nose", "tail")),
)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    root = tmp_path_factory.mktemp("cvat") / "sandbox"
    with Sandbox(SandboxOptions(root, version=VERSION, anonymous_limit=10_000)) as started:
        yield started


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    running.forget_requests()
    yield running
    running.faults.replace(())


@pytest.fixture
def session(sandbox: Sandbox) -> CvatSession:
    options = sandbox.options
    return CvatSession.open(Credentials(sandbox.url, options.username, options.password), clock=FastClock())


@pytest.fixture
def project_id(session: CvatSession) -> int:
    return create_project(session, "Field 1", LABELS).id


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[int], list[PictureToSend]]:
    def make(count: int) -> list[PictureToSend]:
        rng = np.random.default_rng(5)
        folder = tmp_path / "pictures"
        folder.mkdir(exist_ok=True)
        made = []
        for number in range(count):
            # Names whose order as text is not the order in which they are sent.
            name = f"{(number * 7) % 10}_bild ü & {number}.png"
            width, height = 40 + number, 30
            save_png(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), folder / name)
            made.append(PictureToSend(name, folder / name, width, height))
        return made

    return make
