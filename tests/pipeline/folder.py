"""The folder firebase_cvat_pipeline copied alone to a machine, whose commands are stubs that write down their calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "firebase_cvat_pipeline"
LEFT_OUT = shutil.ignore_patterns(".venv", "*.whl", "__pycache__")

PYTHON = """\
case "$1" in
  -c) exec {real} "$@" ;;
  -m) mkdir -p "$3/bin"; printf '#!/bin/sh\\necho "venv-python $*" >>"{log}"\\n' >"$3/bin/python"
      chmod +x "$3/bin/python" ;;
esac
"""

DOCKER = """\
state="{root}/cvat-running"
case "$*" in
  info) [ ! -e "{root}/docker-refuses" ] || [ -n "${{AS_ROOT:-}}" ] ;;
  "compose version") ;;
  *"up --detach"*)
    echo "cvat/server:$CVAT_VERSION host $CVAT_HOST share $CVAT_SHARE_DIR" >>"{log}"
    echo "true cvat/server:$CVAT_VERSION" >"$state" ;;
  *com.docker.compose.project*) [ -e "{root}/lone" ] && echo || {{ [ -e "$state" ] && echo cvat; }} ;;
  *State.Running*) cat "$state" 2>/dev/null ;;
  *) exit 1 ;;
esac
"""

GIT = """\
case "$*" in
  clone*) for last; do :; done; mkdir -p "$last"; echo services: >"$last/docker-compose.yml" ;;
  *describe*) [ -e "$2/docker-compose.yml" ] && echo "${{CLONED:-v2.42.0}}" ;;
esac
"""

SUDO = """\
[ "$1" != -n ] || shift
AS_ROOT=1 exec "$@"
"""


@dataclass(frozen=True)
class Machine:
    """A home, a folder for data, and the pipeline's folder, all below `root`."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "home" / "firebase_cvat_pipeline"

    @property
    def log(self) -> Path:
        return self.root / "calls.log"

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def forget(self) -> None:
        self.log.unlink(missing_ok=True)

    def stub(self, name: str, body: str) -> None:
        """Put a command on the PATH that writes down its call."""
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        text = body.format(real=sys.executable, log=self.log, root=self.root)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{text}')
        path.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            "PATH": f"{self.root / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.root / "home"),
            "LANG": "C.UTF-8",
        }
        return kept | more

    def setup(self, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run gpusrv_setup.sh with the data below `root`."""
        words = ["bash", "gpusrv_setup.sh", "--data-dir", str(self.root / "data"), *options]
        return subprocess.run(
            words,
            check=False,
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )


def machine(root: Path, *, wheel: bool = True) -> Machine:
    """Return a machine onto which the folder was copied; nothing else has been done there."""
    made = Machine(root)
    (root / "home").mkdir(parents=True)
    shutil.copytree(SOURCE, made.folder, ignore=LEFT_OUT)
    if wheel:
        (made.folder / "agir_cvtoolkit-0.1.0-py3-none-any.whl").write_bytes(b"a wheel")
    for name, body in {"python3": PYTHON, "docker": DOCKER, "git": GIT, "sudo": SUDO}.items():
        made.stub(name, body)
    return made
