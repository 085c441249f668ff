"""Many pictures and many jobs: what a push of 100, 1,000 and 10,000 takes, and what a second pull asks for."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from ._process import Measured, measured
from ._rivals import Floor
from ._sandbox import PASSWORD, USERNAME
from ._table import Row, finish, parser, seconds
from ._workload import Workload, make_workload

TITLE = "Many pictures, many jobs"
SLACK_MB = 64
SMALL = (96, 72)


@dataclass(frozen=True)
class _Point:
    """One point of the curve."""

    count: int
    seconds: float
    peak: float
    requests: int


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure the curve of pushes, and a second pull of many jobs."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        chosen = SandboxOptions(
            root / "sandbox", username=USERNAME, password=PASSWORD, anonymous_limit=1_000_000
        )
        with Sandbox(chosen) as sandbox:
            curve = [_pushed(sandbox, root / f"push-{count}", count) for count in options.counts]
            return [*_curve(curve), *_incremental(sandbox, root / "jobs", options.jobs, options.changed)]


def _pushed(sandbox: Sandbox, folder: Path, count: int) -> _Point:
    work = make_workload(folder, sandbox.url, count, SMALL, 3)
    sandbox.forget_requests()
    found = _ours(work, "upload-cvat", "--json", "-o", "cvat_upload.images_per_task=200")
    if json.loads(found.printed)["uploaded_annotations"] != count:
        raise SystemExit(f"not all of {count} pictures arrived: the measurement is void")
    return _Point(count, found.seconds, found.peak, len(sandbox.requests()))


def _curve(curve: Sequence[_Point]) -> list[Row]:
    first, last = curve[0], curve[-1]
    counts = " / ".join(f"{p.count:,}" for p in curve)
    times = last.count / first.count
    rows = []
    for name, values in (
        ("requests", [float(p.requests) for p in curve]),
        ("time", [p.seconds for p in curve]),
    ):
        shown = ", ".join(seconds(v) if name == "time" else f"{v:.0f}" for v in values)
        # The power of the curve: 1 is linear, below 1 better.
        power = math.log(values[-1] / values[0]) / math.log(times) if times > 1 else 0.0
        rows.append(
            Row(
                f"push of {counts} small pictures, {name}",
                "",
                shown,
                f"n^{power:.2f}",
                "<= n^1.05",
                power <= 1.05,
            )
        )
    growth = last.peak - first.peak
    shown = ", ".join(f"{p.peak:.0f}" for p in curve)
    rows.append(
        Row(
            f"push of {counts} small pictures, peak memory",
            "",
            f"{shown} MB",
            f"{growth:+.0f} MB",
            f"<= +{SLACK_MB} MB",
            growth <= SLACK_MB,
        )
    )
    return rows


def _incremental(sandbox: Sandbox, folder: Path, jobs: int, changed: int) -> list[Row]:
    work = make_workload(folder, sandbox.url, jobs, SMALL, 3)
    words = ["-o", "cvat_upload.images_per_task=20", "-o", "cvat_upload.segment_size=1"]
    tasks = json.loads(_ours(work, "upload-cvat", "--json", *words).printed)["tasks"]
    floor = Floor(sandbox.url)
    listed = [
        job["id"]
        for task in tasks
        for job in floor.get(f"/api/jobs?task_id={task['task_id']}&page_size=500")["results"]
    ]
    for job in listed:
        floor.json("PATCH", f"/api/jobs/{job}", {"state": "completed"})
    project = ["download-cvat", "--json", "-o", f"cvat_download.project_id={work.project_id}"]
    first = _ours(work, *project)
    for job in listed[:: max(1, jobs // changed)][:changed]:
        floor.json("PATCH", f"/api/jobs/{job}", {"state": "completed"})
    sandbox.forget_requests()
    second = _ours(work, *project)
    kinds = Counter(_kind(seen.target) for seen in sandbox.requests())
    read = kinds.pop("annotations", 0)
    pages = kinds.pop("list of jobs", 0)
    frames = kinds.pop("frames", 0)
    log = kinds.pop("event log", 0)
    rest = sum(kinds.values())
    return [
        Row(
            f"second pull of {jobs} jobs of which {changed} changed, annotations read",
            "",
            str(read),
            "",
            f"{changed}",
            read == changed,
        ),
        Row(
            "the same, other requests",
            "",
            f"{pages} list, {frames} frame maps, {rest} more",
            "",
            f"<= {2 + changed + 7}",
            pages + frames + rest <= 2 + changed + 7,
        ),
        Row("the same, requests for the time that people worked", "", f"{log}"),
        Row("the same, time against the first pull", seconds(first.seconds), seconds(second.seconds)),
    ]


def _kind(target: str) -> str:
    path = target.partition("?")[0].rstrip("/")
    if path == "/api/jobs":
        return "list of jobs"
    if path.endswith("/annotations"):
        return "annotations"
    if path.startswith(("/api/events", "/api/requests/", "/api/server/plugins")):
        return "event log"
    return "frames" if path.endswith("/data/meta") else "others"


def _ours(work: Workload, *words: str) -> Measured:
    return measured("agir_cvtoolkit", [*words, "--quiet"], work.folder)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--counts", type=int, nargs="+", default=[100, 1000, 10_000], help="pictures, ascending"
    )
    made.add_argument("--jobs", type=int, default=200)
    made.add_argument("--changed", type=int, default=3)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
