"""What it costs to read the queue of captures and to claim them, with ever more completed captures in the store.

The embedded store must not care. Google's emulator has no indexes and reads the whole collection for any query, so
there our query is compared with the bare one by Google's own client at the same size; what counts on Google's
servers, the number of documents that are read, must not grow. Claims must not care anywhere.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.firebase.emulators import emulator_command, running_firestore, running_storage

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.config import Firebase
from agir_cvtoolkit.firebase import CaptureStore, EmbeddedStore, _paging
from agir_cvtoolkit.firebase.firestore import FirestoreStore

from ._table import Row, finish, parser, seconds

TITLE = "Queue of captures"
COLLECTION = "uncertain_poses"
WAITING = 60
LIMIT = 50
LEAST = 5
ROUNDS = 5
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure both stores."""
    counts = sorted(options.counts)
    with tempfile.TemporaryDirectory() as temporary:
        rows = _embedded(Path(temporary) / "store", counts)
        try:
            emulator_command(0)
        except LookupError as why:
            return [*rows, Row(f"Firestore: not measured, {why}", "", "")]
        with _emulated(Path(temporary)) as store:
            return rows + _google(store, counts)


def _embedded(folder: Path, counts: Sequence[int]) -> list[Row]:
    store = EmbeddedStore(folder)
    _wait_in_line(store)
    queue, claims, done = {}, {}, 0
    for count in counts:
        for number in range(done, count):
            store.put_document(COLLECTION, f"done-{number}", _completed())
        done = count
        queue[count] = _best(lambda: store.pending(LEAST, LIMIT))
        claims[count] = _claim_time(store)
    store.close()
    return [
        _grown("embedded: read 50 of 60 waiting", queue),
        _grown("embedded: claim and release one", claims),
    ]


def _google(store: FirestoreStore, counts: Sequence[int]) -> list[Row]:
    client = store._connection.client
    _wait_in_line(store)
    rows, claims, reads, done = [], {}, {}, 0
    for count in counts:
        while done < count:
            batch = client.batch()
            for number in range(done, min(done + 500, count)):
                batch.set(client.collection(COLLECTION).document(f"done-{number}"), _completed())
            batch.commit()
            done = min(done + 500, count)
        bare = _best(lambda: _bare(client))
        with _counting() as found:
            ours = _best(lambda: store.pending(LEAST, LIMIT))
        reads[count] = found[0] // ROUNDS
        name = f"emulator: read 50 of 60 waiting, {count:,} completed, against Google's client alone"
        rows.append(
            Row(name, seconds(bare), seconds(ours), f"{ours / bare:.2f}", "<= 1.5", ours / bare <= 1.5)
        )
        claims[count] = _claim_time(store)
    least, most = reads[counts[0]], reads[counts[-1]]
    read = Row(
        "emulator: documents read for it", str(least), str(most), f"{most / least:.2f}", "<= 1", most <= least
    )
    return [*rows, read, _grown("emulator: claim and release one", claims)]


def _grown(name: str, times: dict[int, float]) -> Row:
    few, many = min(times), max(times)
    ratio = times[many] / times[few]
    title = f"{name}, {few:,} and {many:,} completed"
    return Row(title, seconds(times[few]), seconds(times[many]), f"{ratio:.2f}", "<= 1.5", ratio <= 1.5)


def _wait_in_line(store: CaptureStore) -> None:
    for number in range(WAITING):
        taken = NOW - timedelta(minutes=number)
        store.create(Capture(f"waiting-{number}", 0.3, LEAST + number % 5, taken=taken), None)


def _completed() -> dict[str, Any]:
    return {"status": "completed", "priority": 9, "timestamp": "2026-01-01T00:00:00Z", "confidence": 0.1}


def _bare(client: Any) -> None:
    from google.cloud.firestore import FieldFilter

    query = client.collection(COLLECTION).where(filter=FieldFilter("status", "==", "pending"))
    query = query.where(filter=FieldFilter("priority", ">=", LEAST))
    list(query.order_by("priority", direction="DESCENDING").order_by("timestamp").limit(LIMIT).stream())


def _best(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def _claim_time(store: CaptureStore) -> float:
    """Return the least time of a claim and its release, over several captures."""
    times = []
    for capture in store.pending(LEAST, LIMIT):
        begin = time.perf_counter()
        mine = store.claim(capture, "benchmark", NOW)
        if mine is None or store.release(mine) is None:
            raise SystemExit("a claim failed without a rival")
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 4]


@contextmanager
def _counting() -> Iterator[list[int]]:
    """Count the documents that pages bring."""
    whole, found = _paging.fetch, [0]

    def fetch(query: Any) -> list[Any]:
        page = whole(query)
        found[0] += len(page)
        return page

    _paging.fetch = fetch
    try:
        yield found
    finally:
        _paging.fetch = whole


@contextmanager
def _emulated(folder: Path) -> Iterator[FirestoreStore]:
    with running_firestore(folder / "emulator.log") as host, running_storage() as url:
        before = {name: os.environ.get(name) for name in ("FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST")}
        os.environ.update(FIRESTORE_EMULATOR_HOST=host, STORAGE_EMULATOR_HOST=url)
        try:
            store = FirestoreStore.open(Firebase(project_id="demo-queue"))
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        yield store
        store.close()


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--counts",
        type=int,
        nargs="+",
        default=[100, 10_000, 100_000],
        help="completed captures in the store",
    )
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())
