"""How long ``agir-cvtoolkit --help`` takes, beside an import of the official SDK, and what it imports."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence

from ._sandbox import environment
from ._table import Row, finish, median, parser, seconds

TITLE = "Start of the command line"
GATE = 0.5
HEAVY = (
    "numpy",
    "torch",
    "lightning",
    "hydra",
    "omegaconf",
    "cv2",
    "PIL",
    "pydantic",
    "sqlalchemy",
    "urllib3",
    "orjson",
    "starlette",
    "uvicorn",
    "pyarrow",
    "ray",
    "firebase_admin",
    "google.cloud",
    "boto3",
    "azure",
    "cvat_sdk",
)
"""What ``--help`` must not import."""

_HELP = [sys.executable, "-m", "agir_cvtoolkit", "--help"]
_SDK = [sys.executable, "-c", "import cvat_sdk"]
_BARE = [sys.executable, "-c", "pass"]
_MODULES = """
import json, sys
# Packages that put a name space in place when any interpreter starts are not imported by us.
before = set(sys.modules)
from agir_cvtoolkit.cli import main
try:
    main(args=["--help"])
except SystemExit:
    pass
print("\\n" + json.dumps(sorted(set(sys.modules) - before)))
"""


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure start times in turns and look at the imported modules."""
    commands = {"bare": _BARE, "sdk": _SDK, "ours": _HELP}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        _timed(command)
    for turn in range(options.rounds):
        for name in sorted(commands, reverse=bool(turn % 2)):
            times[name].append(_timed(commands[name]))
    mid = {name: median(values) for name, values in times.items()}
    ratio = mid["ours"] / mid["sdk"]
    imported = heavy_modules()
    return [
        Row(
            "agir-cvtoolkit --help, against import cvat_sdk",
            seconds(mid["sdk"]),
            seconds(mid["ours"]),
            f"{ratio:.2f}",
            f"<= {GATE}",
            ratio <= GATE,
        ),
        Row("  of it the interpreter alone", "", seconds(mid["bare"])),
        Row("heavy modules imported by --help", "", ", ".join(imported) or "none", "", "none", not imported),
    ]


def heavy_modules() -> list[str]:
    """Return which of the heavy modules ``--help`` imports."""
    done = subprocess.run(
        [sys.executable, "-c", _MODULES], env=environment(), capture_output=True, text=True, check=True
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    return [name for name in HEAVY if name in imported]


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--rounds", type=int, default=11)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
