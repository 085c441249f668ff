"""All benchmarks, one after the other, with one summary."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from . import (
    capture_queue,
    feed,
    formats,
    large_pictures,
    learning,
    loop,
    mask_encoding,
    memory,
    near_duplicates,
    page,
    pipeline,
    pose_return,
    push_pull,
    query,
    reading,
    report,
    scale,
    scores,
    select,
    startup,
    task_creation,
    tiled,
    transfer,
)
from ._table import Benchmark, Row, parser, show

BENCHMARKS = (
    startup,
    mask_encoding,
    task_creation,
    push_pull,
    reading,
    scale,
    memory,
    large_pictures,
    learning,
    feed,
    tiled,
    scores,
    near_duplicates,
    select,
    pipeline,
    query,
    pose_return,
    capture_queue,
    transfer,
    formats,
    page,
    loop,
    report,
)

QUICK = {
    "startup": ["--rounds", "3"],
    "mask_encoding": ["--count", "4", "--rounds", "1"],
    "task_creation": ["--rounds", "3"],
    "push_pull": ["--pictures", "40", "--large", "2", "--rounds", "1"],
    "reading": ["--masks", "300", "--large", "2", "--rounds", "2"],
    "scale": ["--counts", "50", "500", "--jobs", "40"],
    "large_pictures": ["--sizes", "24", "100", "--kinds", "jpg", "--no-torch"],
    "memory": ["--counts", "20", "60", "--no-torch"],
    "learning": ["--seeds", "0"],
    "feed": ["--count", "8", "--size", "1200x800", "--rounds", "1", "--batches", "4"],
    "tiled": ["--size", "1536x1024", "--steps", "20"],
    "pipeline": ["--count", "8", "--size", "3000x2000"],
    "query": ["--rows", "50000", "--rounds", "2"],
    "pose_return": ["--pictures", "1000"],
    "capture_queue": ["--counts", "100", "2000"],
    "transfer": ["--count", "200"],
    "formats": ["--pictures", "300", "--formats", "coco"],
    "page": ["--rounds", "1"],
    "near_duplicates": ["--count", "20000"],
    "loop": ["--count", "12", "--each", "3", "--rounds", "2", "--epochs", "1", "--kills", "1"],
    "report": ["--records", "400"],
    "select": ["--counts", "20000", "--thinned", "5000"],
    "scores": ["--size", "1500x1000", "--rounds", "1"],
}
"""Options of a short run: the same gates on less work, so noise weighs more."""


def run(data: Path | None = None, *, quick: bool = False) -> dict[str, list[Row]]:
    """Run all benchmarks and print each table as soon as it is there.

    Args:
        data: folder with field masks in ``masks/``; None draws them.
        quick: do less, for a first look.
    """
    found: dict[str, list[Row]] = {}
    for name, title, options, measure in _all(data, quick=quick):
        started = time.perf_counter()
        found[name] = list(measure(options))
        show(f"{title}  [{time.perf_counter() - started:.0f} s]", found[name])
    return found


def _all(data: Path | None, *, quick: bool) -> list[tuple[str, str, argparse.Namespace, Benchmark]]:
    asked = {"pipeline": ["--ray"]}
    if data is not None:
        asked |= {"mask_encoding": ["--masks", str(data)], "page": ["--masks", str(data)]}
    found: list[tuple[str, str, argparse.Namespace, Benchmark]] = []
    for module in BENCHMARKS:
        name = module.__name__.rpartition(".")[2]
        options = [*asked.get(name, []), *(QUICK[name] if quick else [])]
        found.append((name, module.TITLE, module.options_of(options), module.measure))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all, print the summary, and return 1 when a gate is missed."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--data", type=Path, default=None, metavar="DIR", help="folder with masks/ of real pictures"
    )
    made.add_argument("--quick", action="store_true", help="less work, more noise")
    options = made.parse_args(arguments)
    found = run(options.data, quick=options.quick)
    gates = [row for rows in found.values() for row in rows if row.ok is not None]
    show("Summary", gates)
    missed = [row for row in gates if not row.ok]
    print(f"\n{len(gates) - len(missed)} of {len(gates)} gates hold")
    if options.json_file is not None:
        content = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        options.json_file.write_text(json.dumps(content, indent=2) + "\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
