"""How long a program takes and how much memory, as a fresh process.

On Linux the peak is that of ``VmHWM`` and not of ``getrusage``: between fork and exec the latter counts the
parent's memory too.
"""

from __future__ import annotations

import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._sandbox import environment

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Measured:
    """One run of a program: wall time, peak resident memory in MB (10^6 bytes), what it printed, and processor time."""

    seconds: float
    peak: float
    printed: str
    processor: float


def measured(
    module: str, arguments: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
) -> Measured:
    """Run ``python -m module`` with `arguments` in `folder`.

    Raises:
        SystemExit: the program failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        found = Path(temporary) / "peak"
        command = [sys.executable, "-m", "benchmarks._process", str(found), module, *arguments]
        started = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment() | dict(extra or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            said = f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
            raise SystemExit(f"{module} {' '.join(arguments)} ended with {done.returncode}:\n{said}")
        peak, processor = map(float, found.read_text().split())
        return Measured(seconds, peak, done.stdout, processor)


def own_peak() -> float:
    """Return the peak of this process in MB (10^6 bytes)."""
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def _run() -> None:
    found, module, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        found.write_text(f"{own_peak()} {time.process_time()}")


if __name__ == "__main__":
    _run()
