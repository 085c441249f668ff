"""Choosing records from a million rows of sixty columns in SQLite, beside SQL that an expert writes by hand.

The rivals use Python's own ``sqlite3``; where there are several, the quickest counts. Nothing but the primary scan is
allowed to help: the table has no index. All take turns, and a ratio is that of their medians. Imports are not timed;
opening the database, understanding the query and checking it against the table are.

A stratified draw is gated against SQL that promises the same: a seed draws the same records whatever the order of the
rows. SQLite has no hash, so its authors add the one that we use. What SQL takes that draws by ``random()``, and can draw
nothing again, is shown beside it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

Rows = list[tuple[object, ...]]
Rival = Callable[[sqlite3.Connection], Rows]


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "semif.db"
        make_table(path, options.rows)
        named = f"{options.rows:,} rows"
        return [
            *_compared(
                f"stratified, {PER_GROUP} of each of {CLASSES} classes, {named}",
                path,
                options,
                _STRATIFIED,
                {
                    "": (ranked_by_hash, cut_by_hash),
                    ", rivals by random()": (ranked_by_chance, cut_by_chance),
                },
                LIMIT_S,
            ),
            *_compared(
                f"filter and limit in the order of ids, {named}",
                path,
                options,
                _FILTERED,
                {"": (filtered_by_hand,)},
            ),
            *_compared(
                f"filter on two columns and limit, {named}", path, options, _RANGED, {"": (ranged_by_hand,)}
            ),
            *_writing(path, options),
            *_memory(Path(temporary), path, options),
        ]


_STRATIFIED = Request(sample=f"stratified:by={_BY},per_group={PER_GROUP},seed=1")
_FILTERED = Request(filters=("state=NC",), limit=1000)
_RANGED = Request(filters=("bbox_area_cm2>=100 and bbox_area_cm2<200", "state!=TX"), limit=1000)
_ALL_OF_A_STATE = Request(filters=("state=NC",))


def ranked_by_hash(connection: sqlite3.Connection) -> Rows:
    """Number the rows of each class in the order of a hash; only the drawn ones are read whole."""
    return _ranked(connection, f"{_hashing(connection)}, cutout_id")


def cut_by_hash(connection: sqlite3.Connection) -> Rows:
    """Count the classes first, and number only rows whose hash is small for the size of their class."""
    return _cut(connection, _hashing(connection))


def ranked_by_chance(connection: sqlite3.Connection) -> Rows:
    """Number the rows of each class in no order."""
    return _ranked(connection, "random()")


def cut_by_chance(connection: sqlite3.Connection) -> Rows:
    """Count the classes first, and number only some rows of each."""
    return _cut(connection, "random()")


def _hashing(connection: sqlite3.Connection) -> str:
    blake2b, number = hashlib.blake2b, int.from_bytes

    def hashed(name: str) -> int:
        return number(blake2b(b"1\x00" + name.encode(), digest_size=8).digest(), "big", signed=True)

    connection.create_function("hashed", 1, hashed, deterministic=True)
    return "hashed(cutout_id)"


def _ranked(connection: sqlite3.Connection, order: str) -> Rows:
    ranked = f"SELECT rowid AS r, row_number() OVER (PARTITION BY {_BY} ORDER BY {order}) AS n FROM semif"
    chosen = f"SELECT r FROM ({ranked}) WHERE n <= {PER_GROUP}"
    return connection.execute(f"SELECT * FROM semif WHERE rowid IN ({chosen}) ORDER BY cutout_id").fetchall()


def _cut(connection: sqlite3.Connection, key: str) -> Rows:
    sizes = dict(connection.execute(f"SELECT {_BY}, count(*) FROM semif GROUP BY {_BY}"))
    # Four times as many as are wanted pass; that fewer do than are wanted does not happen.
    limits = [(name, int(2**64 * min(1.0, 4 * PER_GROUP / size)) - 2**63) for name, size in sizes.items()]
    connection.execute("CREATE TEMP TABLE limits (name TEXT PRIMARY KEY, most INTEGER) WITHOUT ROWID")
    connection.executemany(
        "INSERT INTO limits VALUES (?, ?)", [(n, min(most, 2**63 - 1)) for n, most in limits]
    )
    near = (
        f"SELECT rowid AS r, {_BY} AS b, {key} AS k, cutout_id AS i FROM semif"
        f" WHERE k <= (SELECT most FROM limits WHERE name = {_BY})"
    )
    ranked = f"SELECT r, row_number() OVER (PARTITION BY b ORDER BY k, i) AS n FROM ({near})"
    chosen = f"SELECT r FROM ({ranked}) WHERE n <= {PER_GROUP}"
    return connection.execute(f"SELECT * FROM semif WHERE rowid IN ({chosen}) ORDER BY cutout_id").fetchall()


def filtered_by_hand(connection: sqlite3.Connection) -> Rows:
    """Read what one filter lets pass."""
    return connection.execute(
        "SELECT * FROM semif WHERE state = ? ORDER BY cutout_id LIMIT ?", ("NC", 1000)
    ).fetchall()


def ranged_by_hand(connection: sqlite3.Connection) -> Rows:
    """Read what two filters let pass."""
    return connection.execute(
        "SELECT * FROM semif WHERE bbox_area_cm2 >= ? AND bbox_area_cm2 < ? AND state <> ?"
        " ORDER BY cutout_id LIMIT ?",
        (100, 200, "TX", 1000),
    ).fetchall()


def ours(path: Path, request: Request) -> Rows:
    """Open, understand, check and read, as ``query`` does."""
    with open_database(str(path)) as database:
        plan = plan_query(request, database.source("semif", ("cutout_id",)))
        return list(plan.rows(database))


def _compared(
    name: str,
    path: Path,
    options: argparse.Namespace,
    request: Request,
    rivals: Mapping[str, Sequence[Rival]],
    limit: float | None = None,
) -> Iterator[Row]:
    """Compare with each set of rivals; only the first, which promise the same, make a gate."""
    taken: dict[Rival, list[float]] = {rival: [] for several in rivals.values() for rival in several}
    own: list[float] = []
    same = next(iter(rivals.values()))
    for _ in range(options.rounds):
        begun = time.perf_counter()
        found = ours(path, request)
        own.append(time.perf_counter() - begun)
        for rival, times in taken.items():
            with closing(sqlite3.connect(path)) as connection:
                begun = time.perf_counter()
                expected = rival(connection)
                times.append(time.perf_counter() - begun)
            if len(found) != len(expected) or (rival in same and found != expected):
                raise AssertionError(f"{name}: {len(found)} rows, by {rival.__name__} {len(expected)}")
    mine = median(own)
    for ending, several in rivals.items():
        baseline = min(median(taken[rival]) for rival in several)
        shown = (name + ending, seconds(baseline), seconds(mine), f"{mine / baseline:.2f}")
        if several is not same:
            yield Row(*shown)
            continue
        gate = f"<= {TIMES:g} times" + (f" or <= {limit:g} s" if limit is not None else "")
        yield Row(*shown, gate, mine <= TIMES * baseline or (limit is not None and mine <= limit))


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
