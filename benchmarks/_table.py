"""What a benchmark finds out, and how it is shown."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        name: what was measured.
        baseline, ours: with their units; empty where there is none.
        ratio: of the two, as the gate reads it; empty where there is none.
        gate: what must hold; empty for a figure that is shown only.
        ok: whether it holds; None for a figure that is shown only.
    """

    name: str
    baseline: str
    ours: str
    ratio: str = ""
    gate: str = ""
    ok: bool | None = None


Benchmark = Callable[[argparse.Namespace], Sequence[Row]]


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    head = ("measurement", "baseline", "ours", "ratio", "gate", "")
    lines = [head, *((r.name, r.baseline, r.ours, r.ratio, r.gate, verdict(r)) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def verdict(row: Row) -> str:
    """Return ``ok``, ``miss`` or nothing."""
    return "" if row.ok is None else "ok" if row.ok else "miss"


def finish(title: str, rows: Sequence[Row], json_file: Path | None) -> int:
    """Print the table, write it where wanted, and return the exit code."""
    show(title, rows)
    if json_file is not None:
        json_file.write_text(
            json.dumps({"title": title, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
        )
    return int(any(row.ok is False for row in rows))


def seconds(value: float) -> str:
    """Return a duration as people read it."""
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--json", dest="json_file", type=Path, default=None, metavar="FILE", help="write the table too"
    )
    return made


def size_of(text: str) -> tuple[int, int]:
    """Read a width and height written as ``1600x1200``."""
    width, _, height = text.partition("x")
    return int(width), int(height)
