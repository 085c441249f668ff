"""Choosing records from a million rows of sixty columns in SQLite, beside SQL that an expert writes by hand.

The rivals use Python's own ``sqlite3``. Nothing but the primary scan is allowed to help: the table has no index. Both
sides take turns, and a ratio is that of their medians.
"""

from __future__ import annotations

import argparse
import csv
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from agir_cvtoolkit.sources.opening import open_database
from agir_cvtoolkit.sources.plan import Request, plan_query

from ._process import measured
from ._table import Row, finish, median, parser, seconds

TITLE = "Query of a large table"
CLASSES = 60
PER_GROUP = 50
COLUMNS = 60
LIMIT_S = 1.0
TIMES = 1.2
SLACK_MB = 12

_FIRST = (
    "cutout_id TEXT, image_id TEXT, state TEXT, category_common_name TEXT, category_class_id INTEGER,"
    " datetime TEXT, bbox_area_cm2 REAL, image_path TEXT"
)
_FILLERS = COLUMNS - len(_FIRST.split(","))
_STATES = ("NC", "MD", "TX", "GA", "VA")
_BY = "category_common_name"


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "semif.db"
        make_table(path, options.rows)
        named = f"{options.rows:,} rows"
        return [
            _compared(
                f"stratified, {PER_GROUP} of each of {CLASSES} classes, {named}",
                path,
                options,
                stratified_by_hand,
                _STRATIFIED,
                LIMIT_S,
            ),
            _compared(
                f"filter and limit in the order of ids, {named}", path, options, filtered_by_hand, _FILTERED
            ),
            _compared(f"filter on two columns and limit, {named}", path, options, ranged_by_hand, _RANGED),
            *_writing(path, options),
            *_memory(Path(temporary), path, options),
        ]


_STRATIFIED = Request(sample=f"stratified:by={_BY},per_group={PER_GROUP},seed=1")
_FILTERED = Request(filters=("state=NC",), limit=1000)
_RANGED = Request(filters=("bbox_area_cm2>=100 and bbox_area_cm2<200", "state!=TX"), limit=1000)
_ALL_OF_A_STATE = Request(filters=("state=NC",))


def stratified_by_hand(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Draw by row numbers first, so that only the drawn rows are read whole; the draw cannot be made again."""
    ranked = f"SELECT rowid AS r, row_number() OVER (PARTITION BY {_BY} ORDER BY random()) AS n FROM semif"
    chosen = f"SELECT r FROM ({ranked}) WHERE n <= ?"
    query = f"SELECT * FROM semif WHERE rowid IN ({chosen}) ORDER BY cutout_id"
    return connection.execute(query, (PER_GROUP,)).fetchall()


def filtered_by_hand(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Read what one filter lets pass."""
    return connection.execute(
        "SELECT * FROM semif WHERE state = ? ORDER BY cutout_id LIMIT ?", ("NC", 1000)
    ).fetchall()


def ranged_by_hand(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Read what two filters let pass."""
    return connection.execute(
        "SELECT * FROM semif WHERE bbox_area_cm2 >= ? AND bbox_area_cm2 < ? AND state <> ?"
        " ORDER BY cutout_id LIMIT ?",
        (100, 200, "TX", 1000),
    ).fetchall()


def ours(path: Path, request: Request) -> list[tuple[object, ...]]:
    """Open, understand, check and read, as ``query`` does."""
    with open_database(str(path)) as database:
        plan = plan_query(request, database.source("semif", ("cutout_id",)))
        return list(plan.rows(database))


def _compared(
    name: str,
    path: Path,
    options: argparse.Namespace,
    by_hand: Callable[[sqlite3.Connection], list[tuple[object, ...]]],
    request: Request,
    limit: float | None = None,
) -> Row:
    theirs, own = [], []
    for _ in range(options.rounds):
        begun = time.perf_counter()
        with closing(sqlite3.connect(path)) as connection:
            expected = by_hand(connection)
        theirs.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        found = ours(path, request)
        own.append(time.perf_counter() - begun)
        if len(found) != len(expected) or (request.sample is None and found != expected):
            raise AssertionError(f"{name}: {len(found)} rows, by hand {len(expected)}")
    baseline, mine = median(theirs), median(own)
    within = mine <= TIMES * baseline or (limit is not None and mine <= limit)
    gate = f"<= {TIMES:g} times" + (f" or <= {limit:g} s" if limit is not None else "")
    return Row(name, seconds(baseline), seconds(mine), f"{mine / baseline:.2f}", gate, within)


def _writing(path: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Compare a whole CSV with one by the standard library, which does not tell missing from empty."""
    from agir_cvtoolkit.sources.results import write_result

    with tempfile.TemporaryDirectory() as temporary:
        begun = time.perf_counter()
        with (
            closing(sqlite3.connect(path)) as connection,
            (Path(temporary) / "x.csv").open("w", newline="") as stream,
        ):
            csv.writer(stream).writerows(
                connection.execute("SELECT * FROM semif WHERE state = ? ORDER BY cutout_id", ("NC",))
            )
        baseline = time.perf_counter() - begun
        for out in ("csv", "parquet"):
            begun = time.perf_counter()
            with open_database(str(path)) as database:
                plan = plan_query(_ALL_OF_A_STATE, database.source("semif", ("cutout_id",)))
                count = write_result(Path(temporary), out, plan.kinds, plan.rows(database))
            mine = time.perf_counter() - begun
            name = f"write {count:,} rows as {out} (by hand as csv)"
            yield Row(name, seconds(baseline), seconds(mine), f"{mine / baseline:.2f}")


def _memory(folder: Path, path: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Compare the peak of a small result with that of all rows, each in a process of its own."""
    for out in ("csv", "parquet"):
        peaks = []
        for number, limit in enumerate((options.rows // 10, options.rows)):
            own = folder / f"{out}-{number}"
            own.mkdir()
            words = [
                "query",
                "-o",
                f"db.semif.db_path={path}",
                "--out",
                out,
                "--limit",
                str(limit),
                "--quiet",
            ]
            peaks.append(measured("agir_cvtoolkit", words, own).peak)
        few, many = peaks
        yield Row(
            f"memory of writing {options.rows // 10:,} and {options.rows:,} rows as {out}",
            f"{few:.0f} MB",
            f"{many:.0f} MB",
            f"{many - few:+.0f} MB",
            f"<= +{SLACK_MB} MB",
            many - few <= SLACK_MB,
        )


def make_table(path: Path, count: int) -> None:
    """Write a table like SemiF's, its rows in no order."""
    draw = random.Random(1)
    kinds = ("REAL", "TEXT", "INTEGER")
    fillers = [f"filler_{number:02} {kinds[number % 3]}" for number in range(_FILLERS)]
    patterns = [
        tuple((row * 1.5 + at, f"value {row * 7 + at}", row * at)[at % 3] for at in range(_FILLERS))
        for row in range(997)
    ]

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            place = number * 7919 % count
            species = draw.randrange(CLASSES)
            yield (
                f"NC_{1_660_000_000 + place}_{place % 7}",
                f"NC_{1_660_000_000 + place}",
                draw.choice(_STATES),
                f"species {species}",
                species,
                f"2022:{1 + place % 12:02}:{1 + place % 28:02} 10:{place % 60:02}:00",
                draw.random() * 500,
                f"batch/{place % 300}/images/NC_{place}.jpg",
                *patterns[number % 997],
            )

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"CREATE TABLE semif ({_FIRST}, {', '.join(fillers)})")
        connection.executemany(f"INSERT INTO semif VALUES ({', '.join('?' * COLUMNS)})", rows())


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--rows", type=int, default=1_000_000)
    made.add_argument("--rounds", type=int, default=5)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
