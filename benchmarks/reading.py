"""Reading masks back: ours against the SDK's ``get_annotations`` and ``decode_mask``, on one sandbox."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from cvat_sdk import make_client
from cvat_sdk.masks import decode_mask

from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    JobInfo,
    find_jobs,
    read_frame_map,
    read_job,
    read_job_by_export,
)
from agir_cvtoolkit.masks import Runs, decode
from agir_cvtoolkit.shapes import Mask
from agir_cvtoolkit.stages._pull_read import comes_by_export

from ._rivals import Floor
from ._sandbox import PASSWORD, USERNAME, sandbox_process
from ._table import Row, finish, median, parser, seconds, size_of
from ._workload import make_workload

TITLE = "Reading masks back"
GATE = 1 / 3


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure many masks and large ones."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        with sandbox_process(root / "sandbox", "real") as url:
            pictures = -(-options.masks // 3)
            many = _prepared(url, root / "many", pictures, options.size, 3)
            rows = [_many(url, many, options)]
            if options.large:
                large = _prepared(url, root / "large", options.large, (6000, 4000), 1)
                rows.append(_large(url, large, options))
            return rows


def _prepared(url: str, folder: Path, pictures: int, size: tuple[int, int], classes: int) -> int:
    work = make_workload(folder, url, pictures, size, classes, different=4)
    return Floor(url).push(work.project_id, work.folder / "outputs" / "runs" / "bench")


def _many(url: str, task: int, options: argparse.Namespace) -> Row:
    session, job = _job(url, task)
    frames = read_frame_map(session, task)
    floor = Floor(url)
    size = options.size

    def ours() -> int:
        # As download-cvat chooses.
        if comes_by_export([size[0] * size[1]] * len(frames.entries)):
            return _decoded(read_job_by_export(session, job, frames), size)
        return _decoded(read_job(session, job.id), size)

    def sdk() -> int:
        with make_client(url, credentials=(USERNAME, PASSWORD)) as client:
            found = client.tasks.retrieve(task).get_annotations().shapes
            for shape in found:
                decode_mask(shape.points, image_width=size[0], image_height=size[1])
            return len(found)

    mine, theirs, count = _turns(ours, sdk, options.rounds, before=partial(_touch, floor, job.id))
    ratio = mine / theirs
    what = f"{count} masks read and decoded, against the SDK"
    return Row(what, seconds(theirs), seconds(mine), f"{ratio:.2f}", f"<= {GATE:.2f}", ratio <= GATE)


def _large(url: str, task: int, options: argparse.Namespace) -> Row:
    session, job = _job(url, task)
    frames = read_frame_map(session, task)
    floor = Floor(url)

    def ours() -> int:
        return read_job_by_export(session, job, frames).count

    def plain() -> int:
        return len(floor.get(f"/api/jobs/{job.id}/annotations")["shapes"])

    mine, theirs, count = _turns(ours, plain, options.rounds, before=partial(_touch, floor, job.id))
    ratio = mine / theirs
    what = f"{count} masks of 24 MP read (not decoded), against a plain GET"
    return Row(what, seconds(theirs), seconds(mine), f"{ratio:.2f}", "< 1", ratio < 1)


def _touch(floor: Floor, job: int) -> None:
    """Change the job: an export that nothing has changed since is kept by the server."""
    floor.json("PATCH", f"/api/jobs/{job}", {"state": "in progress"})


def _turns(
    ours: Callable[[], int],
    theirs: Callable[[], int],
    rounds: int,
    before: Callable[[], None] = lambda: None,
) -> tuple[float, float, int]:
    times: tuple[list[float], list[float]] = ([], [])
    counts = set()
    for turn in range(rounds):
        order = ((0, ours), (1, theirs)) if turn % 2 else ((1, theirs), (0, ours))
        for place, read in order:
            before()
            started = time.perf_counter()
            counts.add(read())
            times[place].append(time.perf_counter() - started)
    if len(counts) != 1:
        raise SystemExit(f"the sides read {counts} shapes: the measurement is void")
    return median(times[0]), median(times[1]), counts.pop()


def _job(url: str, task: int) -> tuple[CvatSession, JobInfo]:
    session = CvatSession.open(Credentials(url, USERNAME, PASSWORD))
    (job,) = find_jobs(session, task_ids=[task], required_status=None)
    return session, job


def _decoded(found: object, size: tuple[int, int]) -> int:
    shapes = getattr(found, "shapes", {})
    count = 0
    for listed in shapes.values():
        for shape in listed:
            if isinstance(shape, Mask):
                mask = decode(Runs(shape.runs, shape.box), size)
                count += bool(np.any(mask))
    return count


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--masks", type=int, default=1000)
    made.add_argument("--size", type=size_of, default=(1600, 1200), help="of their pictures")
    made.add_argument("--large", type=int, default=20, help="pictures of 24 megapixels; 0 leaves them out")
    made.add_argument("--rounds", type=int, default=3)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
