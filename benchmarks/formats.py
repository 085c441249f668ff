"""Export and import of 10,000 pictures with 10 polygons each: seconds and peak memory, against writing the JSON by hand.

The pull is laid into a run as ``download-cvat`` leaves it. "By hand" is ``json.dump`` of the same structure into a file,
by a script that has it in memory already. The export reads the run, makes the structure and writes it, and its
process is started for it.

    python -m benchmarks.formats [--pictures 10000] [--polygons 10] [--formats coco cvat]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson

from agir_cvtoolkit.pictures import png_bytes
from agir_cvtoolkit.plain_shapes import to_plain
from agir_cvtoolkit.runs import start_run
from agir_cvtoolkit.shapes import Polygon
from agir_cvtoolkit.stages._classes import extend_classes
from agir_cvtoolkit.stages._pulled import PulledFrame, PulledTask, new_folder, write_frame_map

from ._process import Measured, measured
from ._table import Row, finish, parser, seconds

TITLE = "Export and import of other formats"
SIZE = (320, 240)
CORNERS = 20
JOB = 1000
MOST_MB = 500.0
TIMES_BY_HAND = 1.5
FORMATS = ("coco", "yolo", "yolo-seg", "cvat", "datumaro", "masks", "camvid")
_LABELS = ("crop", "weed")
_CLI = "agir_cvtoolkit"


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure exports of one pull, and imports of what they wrote."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_pull(folder, options.pictures, options.polygons)
        return [*_exports(folder, options.formats), *_imports(folder)]


def lay_pull(folder: Path, pictures: int, polygons: int) -> None:
    """Lay a run with one pulled task of polygons into a folder."""
    chance = random.Random(7)
    run = start_run(folder / "outputs" / "runs", "pulled")
    place = new_folder(run, 1, "polygons")
    (place / "images").mkdir(parents=True)
    (place / "annotations").mkdir()
    extend_classes(run, _LABELS, {})
    picture = png_bytes(np.full((SIZE[1], SIZE[0], 3), 90, dtype=np.uint8))
    frames = []
    for job in range(math.ceil(pictures / JOB)):
        numbers = range(job * JOB, min(pictures, (job + 1) * JOB))
        shapes = {}
        for number in numbers:
            stem = f"field_{number:06d}"
            (place / "images" / f"{stem}.png").write_bytes(picture)
            shapes[str(number)] = [to_plain(_blob(chance)) for _ in range(polygons)]
            frames.append(PulledFrame(number, stem, f"{stem}.png", *SIZE, None, job + 1, polygons, None))
        (place / "annotations" / f"job_{job + 1}.json").write_bytes(orjson.dumps(shapes))
    write_frame_map(PulledTask(1, "polygons", "http://localhost/tasks/1", place, tuple(frames)))


def by_hand(coco: Path, folder: Path) -> float:
    """Return the seconds that ``json.dump`` takes to write what a COCO file holds."""
    content = json.loads(coco.read_bytes())
    started = time.perf_counter()
    with (folder / "by_hand.json").open("w", encoding="utf-8") as stream:
        json.dump(content, stream)
    return time.perf_counter() - started


def _blob(chance: random.Random) -> Polygon:
    x, y, radius = chance.uniform(30, 290), chance.uniform(30, 210), chance.uniform(8, 28)
    angles = [2 * math.pi * i / CORNERS for i in range(CORNERS)]
    reach = [radius * chance.uniform(0.7, 1.0) for _ in angles]
    points = tuple(
        (round(x + r * math.cos(a), 2), round(y + r * math.sin(a), 2))
        for a, r in zip(angles, reach, strict=True)
    )
    return Polygon(label=chance.choice(_LABELS), points=points, source="manual")


def _exports(folder: Path, formats: list[str]) -> list[Row]:
    rows = []
    for dataset_format in formats:
        found = measured(_CLI, ["export", dataset_format, "--pictures", "none", "--quiet"], folder)
        rows += [*_rows(f"export {dataset_format}", found)]
        if dataset_format == "coco":
            coco = folder / "outputs/runs/pulled/exports/coco/annotations/instances_default.json"
            hand = by_hand(coco, folder)
            times = found.seconds / hand
            gate, ok = f"<= {TIMES_BY_HAND:g}", times <= TIMES_BY_HAND
            name = "export coco against json.dump by hand"
            rows.append(Row(name, seconds(hand), seconds(found.seconds), f"{times:.2f}", gate, ok))
    return rows


def _imports(folder: Path) -> list[Row]:
    pulled = folder / "outputs/runs/pulled"
    exports, pictures = pulled / "exports", pulled / "cvat_downloads/1_polygons/images"
    sources = {
        "coco": (exports / "coco", "masks"),
        "yolo": (exports / "yolo/data.yaml", "boxes"),
        "yolo-seg": (exports / "yolo-seg/data.yaml", "masks"),
        "cvat": (exports / "cvat", "masks"),
        "masks": (exports / "masks", "masks"),
    }
    rows = []
    for dataset_format, (path, kind) in sources.items():
        if path.exists():
            words = [dataset_format, str(path), "--pictures", str(pictures), "--as", kind]
            found = measured(_CLI, ["import", *words, "--run", f"from_{dataset_format}", "--quiet"], folder)
            rows += [*_rows(f"import {dataset_format}", found)]
    return rows


def _rows(name: str, found: Measured) -> list[Row]:
    peak = Row(f"{name}: memory", "", f"{found.peak:.0f} MB", "", f"<= {MOST_MB:g} MB", found.peak <= MOST_MB)
    return [Row(name, "", seconds(found.seconds)), peak]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=int, default=10_000)
    made.add_argument("--polygons", type=int, default=10)
    made.add_argument("--formats", nargs="+", default=list(FORMATS))
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
