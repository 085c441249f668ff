"""One sandbox for all tests of a session, and a user's folder for each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import agir_cvtoolkit.config
import agir_cvtoolkit.cvat.session
from agir_cvtoolkit.config import Settings, load_settings
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.stages.upload_cvat import upload_cvat
from tests.sandbox.generations import VERSION
from tests.sandbox.openapi import answers_as_described, description
from tests.sandbox.plain import Plain

from .annotator import LABEL
from .workspace import Workspace

__all__ = ["answers_as_described", "description"]


class FastClock:
    """The real time, in which all waiting is short."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds / 50, 0.01))


@pytest.fixture(scope="session")
def _remembered() -> Callable[..., Settings]:
    """``load_settings``, which composes the same files and overrides once: most of a short command's time."""
    known: dict[object, Settings] = {}

    def remembered(overrides: Sequence[str] = (), config: str | None = None) -> Settings:
        files = tuple((str(p), p.read_bytes()) for p in sorted(Path("conf").rglob("*.yaml")))
        key = (tuple(overrides), config, files)
        if key not in known:
            known[key] = load_settings(overrides, config)
        return known[key]

    return remembered


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    root = tmp_path_factory.mktemp("sandbox")
    with Sandbox(SandboxOptions(root, version=VERSION, anonymous_limit=1_000_000)) as running:
        yield running


@pytest.fixture
def sandbox(_server: Sandbox) -> Iterator[Sandbox]:
    """The server, with nothing on it and no faults."""
    client = Plain(_server.url)
    client.log_in()
    for kind in ("tasks", "projects", "organizations"):
        for item in client("GET", f"/api/{kind}?page_size=500").json["results"]:
            assert client("DELETE", f"/api/{kind}/{item['id']}").status == 204
    client.close()
    _server.faults.replace(())
    _server.forget_requests()
    yield _server
    _server.faults.replace(())


@pytest.fixture
def empty(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    _remembered: Callable[..., Settings],
) -> Iterator[Workspace]:
    """A user's folder without pictures."""
    for name in list(os.environ):
        if name.startswith("CVAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(agir_cvtoolkit.cvat.session, "SystemClock", FastClock)
    monkeypatch.setattr(agir_cvtoolkit.config, "load_settings", _remembered)
    plain = Plain(sandbox.url)
    plain.log_in()
    workspace = Workspace(tmp_path, sandbox, plain)
    workspace.keys()
    workspace.conf("train", TRAIN)
    workspace.conf("preprocess", PREPROCESS)
    yield workspace
    plain.close()


@pytest.fixture
def workspace(empty: Workspace) -> Workspace:
    """A user's folder with three pictures of two plants each, in a SemiF database."""
    empty.fill()
    return empty


@pytest.fixture
def predicted(workspace: Workspace) -> Workspace:
    """The same, queried and predicted."""
    workspace.predicted()
    return workspace


@pytest.fixture
def proposed(predicted: Workspace) -> Workspace:
    """The same, pushed in one job, a mask for each plant, with a label that has an attribute."""
    project = predicted.project(LABEL)
    predicted.conf("cvat_upload", {"project_id": project, "per_component": True})
    upload_cvat()
    return predicted


TRAIN = {
    "max_epochs": 1,
    "batch_size": 4,
    "device": "cpu",
    "num_workers": 0,
    "use_data_augmentation": False,
    "model": {"encoder_weights": None},
}
PREPROCESS = {"size": {"height": 64, "width": 64}}
