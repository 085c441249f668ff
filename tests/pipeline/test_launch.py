"""The seed's two scripts: which Python they take, and what they say when there is none for them."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from .folder import LEFT_OUT, SOURCE

SCRIPTS = ("firebase_to_cvat_transfer.py", "cvat_to_firebase_return.py", "launch.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder copied alone."""
    return Path(shutil.copytree(SOURCE, tmp_path / "copied", ignore=LEFT_OUT))


@pytest.fixture
def launch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "launch", raising=False)
    import launch  # type: ignore[import-not-found]

    yield launch
    sys.modules.pop("launch", None)


def own_python(folder: Path, body: str = 'printf "%s\\n" "$@"\n') -> None:
    path = folder / ".venv" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{body}")
    path.chmod(0o755)


def script(folder: Path, name: str, *words: str, isolated: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script with a Python that has not the package, or as it is."""
    flags = ["-S", "-s"] if isolated else []
    environment = {"PATH": "/usr/bin:/bin"} if isolated else None
    return subprocess.run(
        [sys.executable, *flags, name, *words],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_old_pythons_can_parse_it(name: str) -> None:
    ast.parse((SOURCE / name).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_an_old_python_is_named_in_words(launch: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(launch.sys, "version_info", (3, 8, 10, "final", 0))
    with pytest.raises(SystemExit) as ended:
        launch.run(["firebase", "transfer"])
    assert ended.value.code == 2
    assert "Python 3.8 is too old: this needs 3.11 or newer" in capsys.readouterr().err


def test_an_old_python_hands_over_to_the_one_that_the_setup_made(
    launch: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_python(folder)
    monkeypatch.setattr(launch.sys, "version_info", (3, 8, 10, "final", 0))
    monkeypatch.setattr(launch.sys, "argv", ["x.py", "--limit", "5"])
    called: list[Any] = []
    monkeypatch.setattr(launch.os, "execv", lambda path, words: called.append((path, words)))
    with pytest.raises(SystemExit):
        launch.run(["firebase", "transfer"])
    path = str(folder / ".venv" / "bin" / "python")
    assert called == [(path, [path, "-u", "-m", "agir_cvtoolkit", "firebase", "transfer", "--limit", "5"])]


@pytest.mark.parametrize("name", SCRIPTS[:2])
def test_without_the_package_it_says_how_to_get_it(folder: Path, name: str) -> None:
    result = script(folder, name, "--help")
    assert result.returncode == 2
    assert "bash gpusrv_setup.sh" in result.stderr


@pytest.mark.parametrize(("name", "command"), [(SCRIPTS[0], "transfer"), (SCRIPTS[1], "return")])
def test_the_arguments_reach_the_command(folder: Path, name: str, command: str) -> None:
    own_python(folder)
    result = script(folder, name, "--limit", "5", "a b")
    assert result.stdout.splitlines() == [
        "-u",
        "-m",
        "agir_cvtoolkit",
        "firebase",
        command,
        "--limit",
        "5",
        "a b",
    ]


def test_the_exit_status_is_that_of_the_command(folder: Path) -> None:
    own_python(folder, "exit 3\n")
    assert script(folder, SCRIPTS[0]).returncode == 3


def test_settings_written_into_the_script_reach_the_command(folder: Path) -> None:
    """As the seed tells users to do with its lines 32 and 319."""
    path = folder / SCRIPTS[0]
    text = path.read_text(encoding="utf-8")
    for line, instead in (
        ('    "storageBucket": None,', "    'storageBucket': 'datadogs-pose-estimation.appspot.com',"),
        ('    "imagePath": None,', "    'imagePath': \"it's/{pose_id}.jpg\","),
    ):
        assert line in text
        text = text.replace(line, instead)
    path.write_text(text, encoding="utf-8")
    own_python(folder)
    words = script(folder, SCRIPTS[0], "--limit", "5").stdout.splitlines()
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "-o"]
    from agir_cvtoolkit.config import load_settings

    settings = load_settings(overrides).firebase
    assert settings.storage_bucket == "datadogs-pose-estimation.appspot.com"
    assert settings.image_path == "it's/{pose_id}.jpg"
    assert words[-2:] == ["--limit", "5"]


def test_it_starts_the_command_of_the_python_that_runs_it(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import agir_cvtoolkit.cli

    called: list[Any] = []
    monkeypatch.setattr(
        agir_cvtoolkit.cli, "main", lambda words, prog_name: called.append((words, prog_name))
    )
    monkeypatch.setattr(launch.sys, "argv", ["x.py", "--priority", "8"])
    with pytest.raises(SystemExit):
        launch.run(["firebase", "return"], [("firebase.storage_bucket", None)])
    assert called == [(["firebase", "return", "--priority", "8"], "agir-cvtoolkit")]


def test_both_commands_exist() -> None:
    from agir_cvtoolkit.cli import main

    context = click.Context(main)
    group = main.get_command(context, "firebase")
    assert isinstance(group, click.Group)
    assert {"transfer", "return"} <= set(group.list_commands(context))


def test_the_requirements_name_the_wheel_of_this_version() -> None:
    from agir_cvtoolkit import __version__

    extras = {"requirements.txt": "firebase", "requirements-training.txt": "firebase,train,onnx"}
    for name, extra in (extras | {"functions/requirements.txt": "firebase"}).items():
        wanted = f"./agir_cvtoolkit-{__version__}-py3-none-any.whl[{extra}]"
        assert wanted in (SOURCE / name).read_text(encoding="utf-8").splitlines(), "run make bundle"
