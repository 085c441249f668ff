"""A thousand captures of 200 kB from Google's emulator and a storage server: us, and one download after another.

All start as fresh processes, take turns, and end when the pictures and the manifest lie in a folder and Firestore
says so. With a delay added to each request to the storage, as a distant one has, and without.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import urllib3
from PIL import Image
from tests.firebase.emulators import emulator_command, running_firestore, running_storage

from ._process import Measured, measured
from ._slow_storage import delayed
from ._table import Row, finish, median, parser, seconds

TITLE = "Transfer of captures"
DELAY_S = 0.03
BYTES = 200_000
FASTER = 5.0
GROWTH_MB = 64


@dataclass(frozen=True)
class Google:
    """A project on emulators, with captures in it."""

    project: str
    bucket: str
    firestore: str
    storage: str
    count: int

    def variables(self, storage: str) -> dict[str, str]:
        """Return what leads Google's libraries to the emulators."""
        return {"FIRESTORE_EMULATOR_HOST": self.firestore, "STORAGE_EMULATOR_HOST": storage}

    def fill(self, pictures: Sequence[bytes]) -> None:
        """Put the captures in, waiting."""
        http = urllib3.PoolManager(maxsize=8)
        http.request("POST", f"{self.storage}/storage/v1/b", json={"name": self.bucket})
        place = f"{self.storage}/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name=training_images/"

        def put(number: int) -> None:
            content = pictures[number % len(pictures)]
            answer = http.request("POST", f"{place}{_name(number)}.jpg", body=content)
            assert answer.status == 200, answer.data

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, range(self.count)))
        self.reset(whole=True)

    def reset(self, *, whole: bool = False) -> None:
        """Have all captures wait again."""
        client = self._client()
        collection = client.collection("uncertain_poses")
        for start in range(0, self.count, 400):
            batch = client.batch()
            for number in range(start, min(start + 400, self.count)):
                batch.set(collection.document(_name(number)), _document(number))
            batch.commit()
        if whole:
            client.close()

    def statuses(self) -> set[str]:
        """Return the statuses that captures have."""
        return {snapshot.get("status") for snapshot in self._client().collection("uncertain_poses").stream()}

    def _client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import firestore

        os.environ["FIRESTORE_EMULATOR_HOST"] = self.firestore
        return firestore.Client(project=self.project, credentials=AnonymousCredentials())


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure with and without the delay, and the memory; nothing where Google's emulator cannot be started."""
    try:
        emulator_command(0)
    except LookupError as why:
        return [Row(f"not measured: {why}", "", "")]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary, _google(Path(temporary), options.count) as google:
        google.fill(_pictures())
        with delayed(google.storage, DELAY_S) as far:
            rows += _compared(google, far, options, "30 ms added per request", least=FASTER)
        rows += _compared(google, google.storage, options, "no delay", least=1.0)
        with delayed(google.storage, 0.0) as near:
            few = _ours(google, near, Path(temporary), options.count // 10).peak
            many = _ours(google, near, Path(temporary), options.count).peak
        rows.append(
            Row(
                f"memory, {options.count // 10} to {options.count} captures",
                f"{few:.0f} MB",
                f"{many:.0f} MB",
                f"{many - few:+.0f} MB",
                f"< +{GROWTH_MB} MB",
                many - few < GROWTH_MB,
            )
        )
    return rows


def _compared(
    google: Google,
    storage: str,
    options: argparse.Namespace,
    what: str,
    *,
    least: float,
    loop: Sequence[str] = ("careful", "seed"),
) -> list[Row]:
    times: dict[str, list[float]] = {side: [] for side in (*loop, "ours")}
    with tempfile.TemporaryDirectory() as temporary:
        for _ in range(options.rounds):
            for side, found in times.items():
                root = Path(temporary)
                took = (
                    _ours(google, storage, root, google.count)
                    if side == "ours"
                    else _loop(google, storage, root, careful=side == "careful")
                )
                found.append(took.seconds)
    ours = median(times["ours"])
    rows = []
    for number, side in enumerate(loop):
        theirs = median(times[side])
        name = {"seed": "today's loop", "careful": "the same work, one after another"}[side]
        gated = number == 0
        rows.append(
            Row(
                f"{google.count} captures, {what}; {name}",
                seconds(theirs),
                seconds(ours),
                f"{theirs / ours:.1f} x",
                f">= {least:g} x" if gated else "",
                theirs / ours >= least if gated else None,
            )
        )
    return rows


def _ours(google: Google, storage: str, root: Path, count: int) -> Measured:
    google.reset()
    folder = root / "ours"
    words = ["firebase", "transfer", "--limit", str(count), "--priority", "1", "--no-create-task", "--quiet"]
    words += ["--output-dir", str(folder), "-o", f"firebase.project_id={google.project}"]
    words += ["-o", f"firebase.storage_bucket={google.bucket}"]
    (root / "workspace").mkdir()
    try:
        took = measured("agir_cvtoolkit", words, root / "workspace", google.variables(storage))
        _check(folder, count)
        if count == google.count:
            assert google.statuses() == {"in_progress"}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(root / "workspace")
    return took


def _loop(google: Google, storage: str, root: Path, *, careful: bool) -> Measured:
    google.reset()
    folder = root / "loop"
    words = [google.project, google.bucket, str(folder), "--limit", str(google.count)]
    words += ["--careful"] if careful else []
    try:
        took = measured("benchmarks._sequential_transfer", words, root, google.variables(storage))
        _check(folder, google.count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return took


def _check(folder: Path, count: int) -> None:
    images = json.loads((folder / "transfer_manifest.json").read_text())["images"]
    assert len({image["firebase_id"] for image in images}) == count
    assert len(list(folder.glob("*.jpg"))) == count


@contextmanager
def _google(root: Path, count: int) -> Iterator[Google]:
    name = uuid.uuid4().hex[:8]
    with running_firestore(root / "firestore.log") as firestore, running_storage() as storage:
        yield Google(f"demo-{name}", f"bucket-{name}", firestore, storage, count)


def _pictures() -> list[bytes]:
    """Return a few photographs-like JPEG files of about `BYTES`."""
    found = []
    for seed in range(4):
        chance = np.random.default_rng(seed)
        coarse = chance.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (1024, 768), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        for noise in range(4, 80, 2):
            rough = smooth + chance.integers(-noise, noise, smooth.shape, dtype=np.int16)
            stream = io.BytesIO()
            Image.fromarray(rough.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
            if stream.tell() >= BYTES:
                break
        found.append(stream.getvalue())
    return found


def _name(number: int) -> str:
    return f"pose-{number:05}"


def _document(number: int) -> dict[str, object]:
    joints = ("nose", "left_eye", "right_eye", "throat", "withers", "center", "tail_base", "tail_tip")
    points = [{"type": j, "x": 40.0 * i, "y": 30.0 * i, "confidence": 0.4} for i, j in enumerate(joints)]
    taken = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return {
        "id": _name(number),
        "confidence": 0.3,
        "priority": 1 + number % 10,
        "status": "pending",
        "deviceId": "phone",
        "timestamp": taken.isoformat().replace("+00:00", "Z"),
        "detectedPoses": [{"keypoints": points, "coordinates": "pixel"}],
        "jointGroup": "all",
    }


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    made = parser(__doc__.splitlines()[0] if __doc__ else TITLE)
    made.add_argument("--count", type=int, default=1000, help="captures")
    made.add_argument("--rounds", type=int, default=1, help="how often each side is measured")
    return made.parse_args(arguments)


if __name__ == "__main__":
    chosen = options_of()
    sys.exit(finish(TITLE, measure(chosen), chosen.json_file))
