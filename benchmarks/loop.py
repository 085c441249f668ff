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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.demo.loop_annotator import LoopAnnotator
from agir_cvtoolkit.demo.loop_run import NAME, POOL, LoopWorkspace, loop_workspace
from agir_cvtoolkit.ledger import Ledger, RoundEvent

from ._loop_state import differences, end_state
from ._table import Row, finish, parser, seconds

TITLE = "Rounds, killed at random and undisturbed"
_ALL = ("-o", "loop.budget.patience=null")
"""Models that do not take over end no loop: so many rounds are compared as were asked for."""


@dataclass(frozen=True)
class Moment:
    """When something happens in a loop.

    Attributes:
        events: that its ledger knows by then.
        after: seconds since the last one of them; of the events themselves seconds since the start.
    """

    events: int
    after: float


def measure(options: argparse.Namespace) -> list[Row]:
    """Run a loop undisturbed and killed, and compare."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        quiet, took, seen, _ = _run(root / "undisturbed", options, ())
        moments = _moments(seen, options.kills, random.Random(options.seed))
        killed, took_killed, _, kills = _run(root / "killed", options, moments)
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
    folder: Path, options: argparse.Namespace, moments: Sequence[Moment]
) -> tuple[dict[str, Any], float, list[Moment], int]:
    """Run a loop to its end, killed at `moments`; return its end, seconds, when each of its events was, and kills."""
    with loop_workspace(
        folder, options.data, count=options.count, seed=0, epochs=options.epochs
    ) as workspace:
        started, began, done = time.monotonic(), datetime.now(UTC), 0
        with LoopAnnotator(workspace.url, workspace.out_root, NAME, workspace.pictures):
            for moment in moments:
                process = _start(workspace, options)
                if not _killed(process, workspace, moment):
                    break
                done += 1
                print(f"killed {moment.after:.1f} s after {_where(workspace)}", file=sys.stderr)
            process = _start(workspace, options)
            code = process.wait()
        if code:
            raise SystemExit(f"the loop ended with {code}; see above")
        times = [(datetime.fromisoformat(event.at) - began).total_seconds() for event in _events(workspace)]
        seen = [Moment(number, at) for number, at in enumerate((0.0, *times))]
        return end_state(workspace), time.monotonic() - started, seen, done


def _moments(seen: Sequence[Moment], kills: int, rng: random.Random) -> list[Moment]:
    """Draw moments over the time of an undisturbed loop, each told by the event before it.

    A loop that is started again and again has a time of its own.
    """
    drawn = sorted(rng.uniform(seen[0].after, seen[-1].after) for _ in range(kills))
    before = [max((one for one in seen if one.after <= at), key=lambda one: one.after) for at in drawn]
    return [Moment(one.events, at - one.after) for one, at in zip(before, drawn, strict=True)]


def _killed(process: subprocess.Popen[bytes], workspace: LoopWorkspace, moment: Moment) -> bool:
    """Kill a loop at a moment; False where it has ended before."""
    while len(_events(workspace)) < moment.events and process.poll() is None:
        time.sleep(0.1)
    try:
        process.wait(moment.after)
        return False
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True


def _start(workspace: LoopWorkspace, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    words = ["loop", NAME, "--pool", POOL, "--rounds", str(options.rounds), "--count", str(options.each)]
    return subprocess.Popen(
        [sys.executable, "-m", "agir_cvtoolkit", *words, *_ALL, "--config", str(workspace.conf), "--quiet"],
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
    )


def _events(workspace: LoopWorkspace) -> list[RoundEvent]:
    if not Ledger.is_there(None, workspace.out_root):
        return []
    with Ledger.open_to_read(None, workspace.out_root) as ledger:
        return ledger.round_events(NAME)


def _where(workspace: LoopWorkspace) -> str:
    events = _events(workspace)
    if not events:
        return "the start"
    return f"round {events[-1].number} {events[-1].detail.get('to', events[-1].kind)}"


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
