"""What ``agir-cvtoolkit sandbox`` starts its server with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import agir_cvtoolkit.sandbox
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.sandbox import LIKE_CVAT_2_42, SandboxOptions


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[SandboxOptions]:
    found: list[SandboxOptions] = []

    def serve(options: SandboxOptions, on_ready: Callable[[str], None]) -> None:
        found.append(options)
        on_ready("http://127.0.0.1:1")

    monkeypatch.setattr(agir_cvtoolkit.sandbox, "serve", serve)
    return found


def test_every_option_reaches_the_server(started: list[SandboxOptions], tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"path": "/api/tasks", "action": "status", "status": 503}]))
    words = ["sandbox", "--root", str(tmp_path / "box"), "--cvat-version", "2.60", "--access-token", "secret"]
    result = CliRunner().invoke(main, [*words, "--simulated-work", "0.5", "--faults", str(faults)])
    assert result.exit_code == 0, result.output
    assert "CVAT 2.60.0" in result.stdout
    assert "secret" not in result.output
    (options,) = started
    assert (options.version, options.access_token) == ("2.60.0", "secret")
    assert options.work.creation == 0.5
    assert [fault.status for fault in options.faults] == [503]


def test_by_default_it_is_2_42(started: list[SandboxOptions]) -> None:
    assert CliRunner().invoke(main, ["sandbox", "--simulated-work", "cvat"]).exit_code == 0
    assert started[0].version == "2.42.0"
    assert started[0].simulated_work == LIKE_CVAT_2_42


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--access-token", "secret"], "knows no access tokens"),
        (["--cvat-version", "2.19"], "cannot play CVAT '2.19.0'"),
        (["--simulated-work", "long"], "'long' is no number"),
        (["--simulated-work", "-1"], "less than no time"),
        (["--faults", "missing.json"], "missing.json"),
        (["--host", "0.0.0.0"], "not a loopback address"),
    ],
)
def test_what_cannot_be(started: list[SandboxOptions], words: list[str], text: str) -> None:
    result = CliRunner().invoke(main, ["sandbox", *words])
    assert result.exit_code == 2
    assert text in result.stderr
    assert started == []


def test_a_stand_in_needs_to_know_the_sandbox(started: list[SandboxOptions], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["sandbox", "--annotate", str(tmp_path), "--port", "0"])
    assert result.exit_code == 2
    assert "names no sandbox" in result.stderr
    assert started == []
