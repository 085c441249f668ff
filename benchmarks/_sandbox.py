"""The sandbox as a process of its own, so that client and server do not share an interpreter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.sandbox import LIKE_CVAT_2_42, SandboxOptions, serve

USERNAME, PASSWORD = "admin", "admin123"
_SOURCES = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """Return the environment for child processes: these sources come before what is installed.

    Compiled modules are kept, as an installation has them.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = [str(_SOURCES / "src"), str(_SOURCES), os.environ.get("PYTHONPATH", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


@contextmanager
def sandbox_process(root: Path, simulated_work: float | Literal["real"] = 0.0) -> Iterator[str]:
    """Run a sandbox and give its URL.

    Args:
        root: of its state.
        simulated_work: seconds for each task, or ``real`` for what a real server takes for everything.
    """
    command = [sys.executable, "-m", "benchmarks._sandbox", str(root), str(simulated_work)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise SystemExit("the sandbox did not start")
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _serve() -> None:
    options = SandboxOptions(
        root=Path(sys.argv[1]),
        username=USERNAME,
        password=PASSWORD,
        simulated_work=LIKE_CVAT_2_42 if sys.argv[2] == "real" else float(sys.argv[2]),
        anonymous_limit=1_000_000,
    )
    serve(options, lambda url: print(url, flush=True))


if __name__ == "__main__":
    _serve()
