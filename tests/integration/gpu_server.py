"""A user's GPU server of the second seed: a home, a Python, the pipeline's folder, a key, and Google on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from agir_cvtoolkit.config import Firebase
from tests.firebase.stubs import http_server, key_file
from tests.pipeline.folder import DOCKER, GIT, LEFT_OUT, SOURCE, Machine

ROOT = Path(__file__).parents[2]
PROJECT = "datadogs-pose-estimation"
BUCKET = f"{PROJECT}.appspot.com"
_TOKEN = b'{"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}'


def wheel(into: Path) -> Path:
    """Build the project's wheel without a network, as `make bundle` does."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(into), str(ROOT)], check=True, timeout=600)
    (built,) = into.glob("*.whl")
    return built


def libraries(into: Path) -> Path:
    """Link all that is installed here but the package itself, which must come from the wheel."""
    into.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if (
            not path.name.startswith(("agir_cvtoolkit", "__editable__", "_editable"))
            and path.suffix != ".pth"
        ):
            (into / path.name).symlink_to(path)
    return into


@dataclass(frozen=True)
class GpuServer:
    """One machine for all tests; `fresh` empties what they leave."""

    machine: Machine
    variables: Mapping[str, str]

    @property
    def root(self) -> Path:
        return self.machine.root

    @property
    def folder(self) -> Path:
        return self.machine.folder

    @property
    def data(self) -> Path:
        return self.root / "data"

    def environment(self) -> dict[str, str]:
        path = f"{self.root / 'bin'}:{self.root / 'system' / 'bin'}:/usr/bin:/bin"
        return {**self.machine.environment(), **self.variables, "PATH": path}

    def line(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line in the folder, as the user's shell would."""
        return subprocess.run(
            ["bash", "-c", line],
            check=False,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def fresh(self, cvat_url: str, **settings: Any) -> None:
        """Forget all batches; write where CVAT answers, and the settings that stand for the printed paths."""
        for name in ("conf", "outputs", ".keys", "debug.log"):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path in self.data.glob("*/*"):
            path.unlink()
        self.conf({"output_dir": str(self.data / "cvat-annotations"), "lease_s": 60} | settings)
        keys = self.folder / ".keys" / "default.yaml"
        keys.parent.mkdir()
        keys.write_text(
            yaml.safe_dump({"cvat": {"url": cvat_url, "username": "admin", "password": "admin123"}})
        )
        keys.chmod(0o600)

    def conf(self, content: object) -> None:
        path = self.folder / "conf" / "firebase" / "default.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    def settings(self) -> Firebase:
        return Firebase(project_id=PROJECT, storage_bucket=BUCKET)


@contextmanager
def gpu_server(root: Path, firestore: str, storage: str) -> Iterator[GpuServer]:
    """Yield a machine onto which the folder was copied with its wheel; nothing was set up yet."""
    machine = Machine(root)
    (root / "home").mkdir(parents=True)
    shutil.copytree(SOURCE, machine.folder, ignore=LEFT_OUT)
    wheel(machine.folder)
    for name, body in {"docker": DOCKER, "git": GIT}.items():
        machine.stub(name, body)
    subprocess.run([sys.executable, "-m", "venv", str(root / "system")], check=True, timeout=600)
    with http_server(lambda *_: (200, _TOKEN)) as token_uri:
        key = root / "home" / ".firebase" / "service-account.json"
        key.parent.mkdir(mode=0o700)
        key_file(key, token_uri, PROJECT)
        http = urllib3.PoolManager(retries=False, timeout=120)
        http.request("POST", f"{storage}/storage/v1/b", json={"name": BUCKET})
        http.clear()
        yield GpuServer(
            machine,
            {
                "PYTHONPATH": str(libraries(root / "libraries")),
                "PIP_NO_INDEX": "1",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "DATA_DIR": str(root / "data"),
                "FIRESTORE_EMULATOR_HOST": firestore,
                "STORAGE_EMULATOR_HOST": storage,
                "OMP_NUM_THREADS": "1",
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            },
        )
