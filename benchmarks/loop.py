"""``loop`` killed at random: three rounds end to end, ended as if nobody had touched them.

The loop is a process of its own that is killed with SIGKILL at moments drawn over the time of an undisturbed one, and
started again each time. Compared are rounds, tasks and annotations on the server, corrections, models and the champion.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agir_cvtoolkit.demo.loop_annotator import LoopAnnotator
from agir_cvtoolkit.demo.loop_run import NAME, POOL, LoopWorkspace, loop_workspace
from agir_cvtoolkit.ledger import Ledger

from ._loop_state import differences, end_state
from ._table import Row, finish, parser, seconds

TITLE = "Rounds, killed at random and undisturbed"


def measure(options: argparse.Namespace) -> list[Row]:
    """Run a loop undisturbed and killed, and compare."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        quiet, took, _ = _run(root / "undisturbed", options, 0, 0.0)
        killed, took_killed, kills = _run(root / "killed", options, options.kills, took)
    found = differences(quiet, killed)
    for line in found:
        print(line, file=sys.stderr)
    rounds = [row["state"] for row in quiet["rounds"]]
    return [
        Row("rounds", "", ", ".join(rounds), "", f"{options.rounds} ended", len(rounds) == options.rounds),
        Row("score of the champion", f"{quiet['score']:.4f}", f"{killed['score']:.4f}"),
        Row("kills", "0", str(kills), "", f"{options.kills}", kills == options.kills),
        Row("time", seconds(took), seconds(took_killed)),
        Row("differences of the end states", "0", str(len(found)), "", "0", not found),
    ]


def _run(
    folder: Path, options: argparse.Namespace, kills: int, expected_s: float
) -> tuple[dict[str, Any], float, int]:
    rng = random.Random(options.seed)
    with loop_workspace(
        folder, options.data, count=options.count, seed=0, epochs=options.epochs
    ) as workspace:
        started, done = time.monotonic(), 0
        with LoopAnnotator(workspace.url, workspace.out_root, NAME, workspace.pictures):
            # Later calls go on where the last one was killed, so that the moments lie over all of the work.
            while done < kills:
                process = _start(workspace, options)
                wait = rng.uniform(0.3, 1.0) * 2 * expected_s / (kills + 1)
                try:
                    process.wait(wait)
                    break
                except subprocess.TimeoutExpired:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                    done += 1
                    print(f"killed after {wait:.1f} s, {_where(workspace)}", file=sys.stderr)
            process = _start(workspace, options)
            code = process.wait()
        if code:
            raise SystemExit(f"the loop ended with {code}; see above")
        return end_state(workspace), time.monotonic() - started, done


def _start(workspace: LoopWorkspace, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    words = ["loop", NAME, "--pool", POOL, "--rounds", str(options.rounds), "--count", str(options.each)]
    return subprocess.Popen(
        [sys.executable, "-m", "agir_cvtoolkit", *words, "--config", str(workspace.conf), "--quiet"],
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
    )


def _where(workspace: LoopWorkspace) -> str:
    if not Ledger.is_there(None, workspace.out_root):
        return "before the first round"
    with Ledger.open_to_read(None, workspace.out_root) as ledger:
        rounds = ledger.rounds(NAME)
    return f"round {rounds[-1].number} {rounds[-1].state}" if rounds else "before the first round"


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__ or "")
    made.add_argument("--data", type=Path, default=None, help="real pictures with records.csv")
    made.add_argument("--folder", type=Path, default=None, help="where the workspaces are made")
    made.add_argument("--rounds", type=int, default=3, help="of the loop")
    made.add_argument("--count", type=int, default=27, help="scenes to draw")
    made.add_argument("--each", type=int, default=8, help="pictures of a round")
    made.add_argument("--epochs", type=int, default=2, help="of each training")
    made.add_argument("--kills", type=int, default=5, help="SIGKILLs")
    made.add_argument("--seed", type=int, default=0, help="of the moments")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
