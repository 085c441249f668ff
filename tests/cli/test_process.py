"""The command as a process: what it imports, how it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agir_cvtoolkit.cli._main import COMMANDS

HEAVY = (
    "numpy", "torch", "cv2", "PIL", "lightning", "hydra", "omegaconf", "pydantic", "sqlalchemy", "urllib3",
    "starlette", "uvicorn", "yaml", "orjson",
)  # fmt: skip
PROBE = """
import sys
from agir_cvtoolkit.cli import main
code = None
try:
    main(sys.argv[1:], prog_name="agir-cvtoolkit")
except SystemExit as leave:
    code = leave.code
print("CODE", code, *sorted(set(sys.modules) & set({heavy!r})))
"""


def probe(folder: Path, *arguments: str, heavy: tuple[str, ...] = HEAVY) -> tuple[str, list[str], str]:
    """Run the command line in a fresh process; return code, heavy libraries and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(heavy=heavy), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=6000,
        check=True,
    )
    _, code, *found = done.stdout.splitlines()[-1].split()
    return code, found, done.stderr


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    assert probe(tmp_path, "--help")[:2] == ("0", [])
    assert probe(tmp_path, "--version")[:2] == ("0", [])


def test_the_help_of_no_command_imports_anything_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom agir_cvtoolkit.cli import main\n"
        f"for name in {list(COMMANDS)!r}:\n"
        "    try:\n        main([name, '--help'], prog_name='x')\n"
        "    except SystemExit as leave:\n        assert leave.code == 0\n"
        f"print('FOUND', *sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=6000,
    )
    assert done.stdout.splitlines()[-1] == "FOUND", done.stdout[-500:]


LATE = ("numpy", "torch", "cv2", "PIL", "lightning", "sqlalchemy", "urllib3", "uvicorn")
STAGES = ["query", "upload-cvat", "train", "promote", "doctor"]


@pytest.mark.parametrize("command", STAGES)
def test_a_wrong_configuration_ends_before_anything_heavy_is_imported(tmp_path: Path, command: str) -> None:
    code, found, said = probe(tmp_path, command, "-o", "train.max_epochs=soon", heavy=LATE)
    assert (code, found) == ("2", [])
    assert "train.max_epochs" in said


def test_it_starts_as_a_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agir_cvtoolkit", "--version"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("agir-cvtoolkit, version ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_complete(tmp_path: Path, shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "agir_cvtoolkit", "completion", shell],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert script.returncode == 0
    assert "_AGIR_CVTOOLKIT_COMPLETE" in script.stdout
    words = {"COMP_WORDS": "agir-cvtoolkit upl", "COMP_CWORD": "upl" if shell == "fish" else "1"}
    environment = os.environ | words | {"_AGIR_CVTOOLKIT_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "agir_cvtoolkit"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert "upload-cvat" in done.stdout


def test_an_unknown_shell_has_no_completion(tmp_path: Path) -> None:
    assert probe(tmp_path, "completion", "tcsh")[0] == "2"


def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m agir_cvtoolkit config show | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=600
    )
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
