"""Pictures with masks to the server and back: us, a minimal script, the official SDK and ``cvat-cli``.

All start as fresh processes from the same picture and mask files, take turns on one sandbox that takes the time of
a real server, and end when the masks lie in files again. What comes back is compared bit for bit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agir_cvtoolkit.pictures import load_mask

from ._process import Measured, measured
from ._rivals import Floor
from ._sandbox import sandbox_process
from ._table import Row, finish, median, parser, seconds, size_of
from ._workload import Workload, make_workload

TITLE = "Push and pull"
RIVALS = ("floor", "sdk", "cli")
NAMES = {"floor": "a minimal script", "sdk": "the official SDK", "cli": "cvat-cli"}
GROWTH_MB = 64


@dataclass(frozen=True)
class Gates:
    """Largest ratios of our wall time to another's; None shows a figure only."""

    push: dict[str, float]
    pull: dict[str, float]


@dataclass
class Times:
    """What each side took, one entry per round."""

    push: dict[str, list[Measured]] = field(default_factory=dict)
    pull: dict[str, list[Measured]] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)


MANY = Gates(push={"floor": 1.3, "sdk": 1 / 3}, pull={"floor": 1.2})
LARGE = Gates(push={"floor": 1.2}, pull={"floor": 0.8})


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure both workloads."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        with sandbox_process(root / "sandbox", "real") as url:
            few = make_workload(root / "few", url, 4, options.size, 3, different=2)
            base = _ours_push(few, "few")
            many = make_workload(root / "many", url, options.pictures, options.size, 3)
            rows += _compared(
                url, many, MANY, options, f"{options.pictures} pictures of 1 MB, 3 masks each", base
            )
            shutil.rmtree(many.folder)
            if options.large:
                large = make_workload(root / "large", url, options.large, (6000, 4000), 1, different=2)
                what = f"{options.large} pictures of 24 MP, one fine mask each"
                rows += _compared(url, large, LARGE, options, what, None)
    return rows


def _compared(
    url: str, work: Workload, gates: Gates, options: argparse.Namespace, what: str, base: Measured | None
) -> list[Row]:
    times = Times()
    floor = Floor(url)
    sides = ["ours", *options.rivals]
    for turn in range(options.rounds):
        for side in sides if turn % 2 else sides[::-1]:
            if turn and side in {"sdk", "cli"} and not options.all_rounds:
                continue
            _one(url, work, side, turn, times, floor)
    rows = []
    for way, found, limits in (("push", times.push, gates.push), ("pull", times.pull, gates.pull)):
        ours = median([m.seconds for m in found["ours"]])
        for rival in options.rivals:
            theirs = median([m.seconds for m in found[rival]])
            gate = limits.get(rival)
            ratio = ours / theirs
            wrong = times.wrong.get(rival, 0) if way == "pull" else 0
            note = f", {wrong} masks wrong" if wrong else ""
            rows.append(
                Row(
                    f"{way}, {what}, against {NAMES[rival]}{note}",
                    seconds(theirs),
                    seconds(ours),
                    f"{ratio:.2f}",
                    f"<= {gate:.2f}" if gate else "",
                    ratio <= gate if gate else None,
                )
            )
    rows.append(_memory(what, times, base))
    wrong = times.wrong.get("ours", 0)
    rows.append(Row(f"masks of {what} that came back different", "", str(wrong), "", "0", wrong == 0))
    return rows


def _memory(what: str, times: Times, base: Measured | None) -> Row:
    peaks = {side: max(m.peak for m in [*times.push[side], *times.pull[side]]) for side in times.push}
    rivals = ", ".join(f"{peaks[side]:.0f} ({side})" for side in times.push if side != "ours")
    ours = max(m.peak for m in times.push["ours"])
    if base is None:
        return Row(f"peak memory, {what}", f"{rivals} MB", f"{peaks['ours']:.0f} MB")
    growth = ours - base.peak
    return Row(
        f"peak memory of the push, {what}, above that of 4 pictures",
        f"{rivals} MB in all",
        f"{ours:.0f} MB in all",
        f"{growth:+.0f} MB",
        f"<= +{GROWTH_MB} MB",
        growth <= GROWTH_MB,
    )


def _one(url: str, work: Workload, side: str, turn: int, times: Times, floor: Floor) -> None:
    run = work.folder / "outputs" / "runs" / "bench"
    target = work.folder / f"pulled-{side}"
    if side == "ours":
        pushed = _ours_push(work, f"round {turn}")
        task = int(json.loads(pushed.printed)["task_id"])
        _complete(floor, task)
        words = ["download-cvat", "--quiet", "-o", f"cvat_download.task_ids=[{task}]"]
        pulled = measured("agir_cvtoolkit", words, work.folder)
        (found,) = (run / "cvat_downloads").glob(f"{task}_*/masks")
        target = found
    else:
        arguments = [f"{side}-push", url, str(work.project_id), str(run)]
        pushed = measured("benchmarks._rivals", arguments, work.folder)
        task = int(pushed.printed.split()[-1])
        _complete(floor, task)
        pulled = measured("benchmarks._rivals", [f"{side}-pull", url, str(task), str(target)], work.folder)
    times.push.setdefault(side, []).append(pushed)
    times.pull.setdefault(side, []).append(pulled)
    if turn == 0:
        times.wrong[side] = _different(work, target)
    floor.send("DELETE", f"/api/tasks/{task}")
    shutil.rmtree(target)


def _ours_push(work: Workload, name: str) -> Measured:
    words = ["upload-cvat", "--quiet", "--json", "-o", f"cvat_upload.task_name={name}"]
    return measured("agir_cvtoolkit", words, work.folder)


def _complete(floor: Floor, task: int) -> None:
    for job in floor.get(f"/api/jobs?task_id={task}&page_size=500")["results"]:
        floor.json("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"})


def _different(work: Workload, folder: Path) -> int:
    """Count the masks that are not what was sent; values are those of the classes."""
    wrong = 0
    for path in work.masks:
        found = folder / path.name
        same = found.is_file() and np.array_equal(load_mask(found), load_mask(path))
        wrong += not same
    return wrong


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=int, default=300)
    made.add_argument("--size", type=size_of, default=(1600, 1200), help="of these pictures, some 1 MB each")
    made.add_argument("--large", type=int, default=20, help="pictures of 24 megapixels; 0 leaves them out")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--rivals", nargs="+", choices=RIVALS, default=RIVALS)
    made.add_argument("--all-rounds", action="store_true", help="the slow ones too take part in every round")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
