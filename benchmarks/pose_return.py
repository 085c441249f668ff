"""Returning an export of many pictures with 24 points each: memory, requests to the store, and time.

The export is returned from a file by ``firebase return`` in a fresh process, whose peak is compared with that of one
that returns a hundredth of it. How often the store is asked is counted in this process, on fewer pictures.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._return_write import BATCH
from agir_cvtoolkit.stages.firebase_return import firebase_return

from ._process import Measured, measured
from ._table import Row, finish, parser, seconds

TITLE = "Return of corrected poses"
LIMIT_MB = 100
CALLS = ("get", "labeled", "write_labeled", "complete")
JOINTS = load_schema("dog24").joints


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure memory and time, and count the requests to the store."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        few, many = max(1, options.pictures // 100), options.pictures
        small, large = (_returned(root / str(count), count) for count in (few, many))
        again = _again(root / str(many))
        counted = min(many, 1000)
        calls = _calls(root / "counted", counted)
        megabytes = (root / str(many) / "annotations.xml").stat().st_size / 1e6
    batches = -(-counted // BATCH)
    worst = max(calls[name] for name in CALLS)
    return [
        Row(
            f"peak memory, {few} / {many} pictures of {len(JOINTS)} points ({megabytes:.0f} MB of XML)",
            f"{small.peak:.0f} MB",
            f"{large.peak:.0f} MB",
            f"{large.peak - small.peak:+.0f} MB",
            f"<= +{LIMIT_MB} MB",
            large.peak - small.peak <= LIMIT_MB,
        ),
        Row(
            f"calls of each kind to the store, {counted} pictures",
            f"{counted} one by one",
            str(worst),
            "",
            f"<= {batches}, one a batch",
            worst <= batches,
        ),
        Row("time for all, process included", seconds(small.seconds), seconds(large.seconds)),
        Row("the same once more, nothing to write", "", seconds(again.seconds)),
    ]


def _returned(folder: Path, count: int) -> Measured:
    _prepare(folder, count)
    return _again(folder)


def _again(folder: Path) -> Measured:
    return measured("agir_cvtoolkit", ["firebase", "return", "--quiet", *_words()], folder)


def _words() -> list[str]:
    options = ("firebase.store=embedded", "firebase.embedded_dir=store", "firebase.output_dir=.")
    return ["--annotations", "annotations.xml", *(word for option in options for word in ("-o", option))]


def _prepare(folder: Path, count: int) -> None:
    folder.mkdir()
    store = EmbeddedStore(folder / "store")
    now = datetime.now(UTC)
    for number in range(count):
        store.create(Capture(_name(number), 0.3, 8, taken=now), None)
    store.close()
    with (folder / "annotations.xml").open("w", encoding="utf-8") as stream:
        stream.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><id>1</id>'
            "<created>2026-01-02 03:04:05.678901+00:00</created></task></meta>\n"
        )
        for number in range(count):
            stream.write(f'<image id="{number}" name="{_name(number)}.jpg" width="640" height="480">\n')
            for place, joint in enumerate(JOINTS):
                x, y = 10 + place * 20 + number % 50, 10 + (place * 37 + number) % 400
                stream.write(
                    f'<points label="{joint}" source="manual" occluded="0" points="{x:.2f},{y:.2f}" z_order="0">\n'
                    '<attribute name="visibility">visible</attribute>\n</points>\n'
                )
            stream.write("</image>\n")
        stream.write("</annotations>\n")


def _name(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _calls(folder: Path, count: int) -> Counter[str]:
    """Return how often each method of the store is called."""
    _prepare(folder, count)
    found: Counter[str] = Counter()

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: EmbeddedStore, *arguments: Any) -> Any:
            found[name] += 1
            return real(self, *arguments)

        return call

    kept = {name: getattr(EmbeddedStore, name) for name in CALLS}
    try:
        for name, real in kept.items():
            setattr(EmbeddedStore, name, counting(name, real))
        with _inside(folder):
            overrides = tuple(word for word in _words() if word.startswith("firebase."))
            result = firebase_return(Call(overrides=overrides), annotations=Path("annotations.xml"))
    finally:
        for name, real in kept.items():
            setattr(EmbeddedStore, name, real)
    if result.new != count or result.completed != count:
        raise SystemExit(f"{result.new} of {count} corrections came back")
    return found


@contextmanager
def _inside(folder: Path) -> Any:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=int, default=10_000, help="pictures in the export")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
