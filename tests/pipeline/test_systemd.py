"""The units: they call commands that exist, as an account without rights, and are started again after a failure."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from agir_cvtoolkit.cli import main

FOLDER = Path(__file__).parents[2] / "firebase_cvat_pipeline" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))


class _Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(path: Path) -> _Unit:
    found = _Unit(strict=False)
    found.read_string(path.read_text(encoding="utf-8"))
    return found


def test_there_is_one_for_all_and_one_for_each() -> None:
    commands = {
        path.stem: unit(path)["Service"]["ExecStart"].split("agir-cvtoolkit ", 1)[1] for path in UNITS
    }
    assert commands == {
        "agir-firebase": "firebase run",
        "agir-firebase-transfer": "firebase transfer --watch",
        "agir-firebase-return": "firebase return --watch --trigger-retraining",
        "agir-retrain": "retrain --watch",
    }


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_its_command_line_is_understood(path: Path) -> None:
    words = shlex.split(unit(path)["Service"]["ExecStart"])[1:]
    command: click.Command = main
    context = click.Context(main, info_name="agir-cvtoolkit")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, words
        command = found
    command.make_context(name, words, parent=context)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_it_is_hardened_and_started_again(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["User"] == "agir"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"
    assert service["EnvironmentFile"] == "/etc/agir-cvtoolkit/firebase.env"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == ""
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictNamespaces", "RestrictSUIDSGID"):
        assert service[name] == "yes", name
    key = service["LoadCredential"].split(":")[0]
    assert service["Environment"] == f"GOOGLE_APPLICATION_CREDENTIALS=%d/{key}"
    # The loop gives its steps half a minute; systemd must not be quicker.
    assert int(service["TimeoutStopSec"].removesuffix("s")) > 30


def test_all_and_each_exclude_each_other() -> None:
    others = {path.name for path in UNITS} - {"agir-firebase.service"}
    for path in UNITS:
        conflicts = set(unit(path)["Unit"]["Conflicts"].split())
        assert conflicts == (others if path.stem == "agir-firebase" else {"agir-firebase.service"})


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_every_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines():
        assert not line or line.startswith(("#", "[")) or "=" in line
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    # Neither the program nor the other units are installed here.
    said = [
        line for line in done.stderr.splitlines() if "is not executable" not in line and path.name in line
    ]
    assert said == []
