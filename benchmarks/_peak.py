"""A command of the package in this process, and the peak of its resident memory in a file.

The peak is the kernel's own (``VmHWM``); where there is no ``/proc`` it is that of ``getrusage``, which on
Linux would count the parent's memory too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from agir_cvtoolkit.cli import main

from ._sandbox import environment

_STATUS = Path("/proc/self/status")


def peak_of(arguments: list[str], folder: Path, extra: dict[str, str] | None = None) -> float:
    """Run ``agir-cvtoolkit`` with `arguments` in `folder` and return its peak in MB (10^6 bytes).

    Raises:
        SystemExit: the command failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        found = Path(temporary) / "peak"
        command = [sys.executable, "-m", "benchmarks._peak", str(found), *arguments]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment() | (extra or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(
                f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return float(found.read_text())


def own_peak() -> float:
    """Return the peak of this process in MB (10^6 bytes)."""
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def _run() -> None:
    found, arguments = Path(sys.argv[1]), sys.argv[2:]
    sys.argv = ["agir-cvtoolkit", *arguments]
    try:
        main(args=arguments)
    finally:
        found.write_text(str(own_peak()))


if __name__ == "__main__":
    _run()
