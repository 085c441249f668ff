"""`make bundle`: the wheel in both folders that are copied or deployed alone, and requirements that name it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .folder import LEFT_OUT, SOURCE

pytestmark = pytest.mark.integration
ROOT = SOURCE.parent


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project at another version, bundled; a wheel of an older one lay there."""
    project = tmp_path_factory.mktemp("project")
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SOURCE, project / SOURCE.name, ignore=LEFT_OUT)
    (project / "src" / "agir_cvtoolkit" / "_version.py").write_text('__version__ = "9.8.7"\n')
    (project / SOURCE.name / "agir_cvtoolkit-0.0.1-py3-none-any.whl").write_bytes(b"old")
    command = [
        "make",
        "--assume-old=env/.developer",
        "bundle",
        "VENV=env",
        f"BIN={Path(sys.executable).parent}",
    ]
    result = subprocess.run(command, check=False, cwd=project, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    return project / SOURCE.name


def test_one_wheel_lies_in_each_folder(bundled: Path) -> None:
    for folder in (bundled, bundled / "functions"):
        assert [path.name for path in folder.glob("*.whl")] == ["agir_cvtoolkit-9.8.7-py3-none-any.whl"]


def test_the_requirements_name_it(bundled: Path) -> None:
    for folder in (bundled, bundled / "functions"):
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        assert "./agir_cvtoolkit-9.8.7-py3-none-any.whl[firebase]" in lines
    assert any(line.startswith("functions-framework") for line in lines)


def test_the_wheel_brings_settings_joints_and_the_schema_of_a_capture(bundled: Path) -> None:
    (path,) = bundled.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    for name in (
        "conf/firebase/default.yaml",
        "conf/joints/dog24.yaml",
        "firebase/capture.schema.json",
        "py.typed",
    ):
        assert f"agir_cvtoolkit/{name}" in names


def test_git_does_not_take_wheels_in() -> None:
    assert "firebase_cvat_pipeline/**/*.whl" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
