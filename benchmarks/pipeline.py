"""Twenty pictures of 24 megapixels: how well reading, predicting and writing overlap, and how flat memory stays.

The predictor only waits, as for a GPU. Reading and writing alone are measured by the same functions, one picture after
the other. With ``--ray`` two simulated nodes of a Ray cluster do the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.engines import Bounds, Engine, Processes, RayCluster, Threads
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.originals import read_original
from agir_cvtoolkit.inference.predictor import RGB, Predictor, Probabilities
from agir_cvtoolkit.pictures import save_png, sha256_of
from agir_cvtoolkit.records import Record
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages.infer_seg import predict_records

from ._process import measured, own_peak
from ._table import Row, finish, parser, seconds, size_of

TITLE = "Reading, predicting and writing at the same time"
WALL = 1.1
SLACK_MB = 60
"""How much a peak may grow from a quarter of the pictures to all of them."""


@dataclass
class Waiting:
    """Says nothing after a while; a GPU's stand-in.

    Attributes:
        pause: seconds for each tile.
    """

    pause: float
    waited: float = 0.0
    name: str = "waiting"
    classes: tuple[str, ...] = ("background", "plant")
    class_ids: tuple[int, ...] = (0, 255)
    needs_tiles: Literal[True] = True

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def predict_tiles(self, batch: RGB) -> Probabilities:
        started = time.perf_counter()
        time.sleep(self.pause * len(batch))
        self.waited += time.perf_counter() - started
        one = np.full((1, 2, *batch.shape[1:3]), 0.25, dtype=np.float32)
        one[:, 0] = 0.75
        return np.broadcast_to(one, (len(batch), *one.shape[1:]))


SETTINGS = SegInference.model_validate({"tile": {"height": 1024, "width": 1024}})


def green(_worker: int) -> ColourPredictor:
    """Open excess green in another process."""
    return ColourPredictor()


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure with few pictures and with all of them, each in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _draw(folder / "pictures", options.count, options.size)
        alone = _input_output(folder, options.count)
        few, many = (
            _in_a_process("waiting", folder, count, options.pause)
            for count in (max(1, options.count // 4), options.count)
        )
        plain = _in_a_process("green", folder, options.count, options.pause)
        rows = [_overlap(many, alone, options), _flat(few, many, options)]
        rows.append(
            Row(
                f"{options.count} pictures, excess green, threads against two processes",
                seconds(plain["wall"]),
                seconds(_in_a_process("green-processes", folder, options.count, options.pause)["wall"]),
            )
        )
        if options.ray:
            rows.append(_on_ray(folder, options))
    return rows


def _overlap(found: dict[str, float], alone: float, options: argparse.Namespace) -> Row:
    bound = max(found["waited"], alone)
    return Row(
        f"{options.count} pictures, a predictor that waits {seconds(found['waited'])}; input/output {seconds(alone)}",
        seconds(bound),
        seconds(found["wall"]),
        f"{found['wall'] / bound:.2f}x",
        f"<= {WALL}x of the larger",
        found["wall"] / bound <= WALL,
    )


def _flat(few: dict[str, float], many: dict[str, float], options: argparse.Namespace) -> Row:
    grown = many["peak"] - few["peak"]
    return Row(
        f"peak memory, {max(1, options.count // 4)} and {options.count} pictures",
        f"{few['peak']:.0f} MB",
        f"{many['peak']:.0f} MB",
        f"{grown:+.0f} MB",
        f"<= +{SLACK_MB} MB",
        grown <= SLACK_MB,
    )


def _on_ray(folder: Path, options: argparse.Namespace) -> Row:
    one = _in_a_process("green", folder, options.count, options.pause)["wall"]
    two = _in_a_process("green-ray", folder, options.count, options.pause)
    same = _masks(folder / "runs" / "green") == _masks(folder / "runs" / "green-ray")
    return Row(
        f"{options.count} pictures, excess green: one process, Ray on two nodes (start {seconds(two['start'])})",
        seconds(one),
        seconds(two["wall"]),
        f"{one / two['wall']:.2f}x faster",
        "identical masks",
        same,
    )


def _masks(root: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted((root / "masks").iterdir())}


def _draw(folder: Path, count: int, size: tuple[int, int]) -> None:
    from ._workload import source_picture

    folder.mkdir(parents=True)
    drawn = [source_picture(number, size) for number in range(2)]
    for number in range(count):
        (folder / f"{number:02d}.jpg").write_bytes(drawn[number % 2] + f"picture {number}".encode())


def _records(folder: Path, count: int) -> list[Record]:
    return [Record(path.stem, path) for path in sorted((folder / "pictures").iterdir())[:count]]


def _input_output(folder: Path, count: int) -> float:
    """Return the seconds that reading the pictures and writing their masks take by themselves."""
    run = Run("alone", folder / "alone")
    started = time.perf_counter()
    for record in _records(folder, count):
        original = read_original(record, run, save=True)
        mask = run.path("masks", f"{record.stem}.png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        save_png(np.zeros(original.rgb.shape[:2], dtype=np.uint8), mask)
    return time.perf_counter() - started


def _in_a_process(kind: str, folder: Path, count: int, pause: float) -> dict[str, float]:
    shutil.rmtree(folder / "runs" / kind, ignore_errors=True)
    arguments = ["--only", kind, "--folder", str(folder), "--count", str(count), "--pause", str(pause)]
    done = measured("benchmarks.pipeline", arguments, Path.cwd())
    found: dict[str, float] = json.loads(done.printed.strip().splitlines()[-1])
    return found


def _only(options: argparse.Namespace) -> None:
    """Do one measurement and print it."""
    waiting = Waiting(options.pause)
    predictor: Predictor = waiting if options.only == "waiting" else ColourPredictor()
    run = start_run(options.folder / "runs", options.only)
    records = _records(options.folder, options.count)
    began = time.perf_counter()
    with _engine(options.only) as engine:
        started = time.perf_counter()
        opened = None if isinstance(engine, Threads) else green
        predict_records(run, records, predictor, SETTINGS, engine=engine, opened=opened)
        wall = time.perf_counter() - started
    found = {"wall": wall, "waited": waiting.waited, "peak": own_peak(), "start": started - began}
    print(json.dumps(found))


@contextmanager
def _engine(kind: str) -> Iterator[Engine]:
    if kind == "green-ray":
        with two_nodes() as address:
            yield RayCluster(address=address, bounds=Bounds())
    else:
        yield Processes(2) if kind == "green-processes" else Threads()


@contextmanager
def two_nodes() -> Iterator[str]:
    """Simulate a Ray cluster of two nodes of one core each on this machine."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # nodes on loopback find each other
    import ray
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=dict(node, include_dashboard=False))
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--count", type=int, default=20, help="pictures")
    made.add_argument("--size", type=size_of, default=(6000, 4000), help="of the pictures")
    made.add_argument("--pause", type=float, default=0.08, help="seconds that the predictor waits for a tile")
    made.add_argument("--ray", action="store_true", help="with Ray on two simulated nodes")
    made.add_argument("--only", default=None, help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, default=None, help=argparse.SUPPRESS)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    if options.only is not None:
        _only(options)
        return 0
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
