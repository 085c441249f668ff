"""A queue of captures in a folder, small enough for tests."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.stages import Call

START = datetime(2026, 1, 1, tzinfo=UTC)
ARTIST, ORIENTATION, GPS = 0x013B, 0x0112, 0x8825
OWNER = "Jane Doe of Raleigh"


def jpeg(seed: int = 0, size: tuple[int, int] = (64, 48), orientation: int = 1) -> bytes:
    """Return a picture with a place and an owner in it."""
    array = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ARTIST], exif[ORIENTATION] = OWNER, orientation
    exif.get_ifd(GPS)[1] = "N"
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", exif=exif, quality=80)
    return stream.getvalue()


def capture(number: int, priority: int = 6, confidence: float = 0.25, **others: object) -> Capture:
    """Return a capture with a nose and a tail."""
    pose = Pose({"nose": Keypoint(10, 12, confidence=0.9), "tailBase": Keypoint(40, 30, confidence=0.2)})
    values: dict[str, object] = {
        "capture_id": f"pose-{number:04}",
        "confidence": confidence,
        "priority": priority,
        "taken": START + timedelta(minutes=number),
        "device_id": "phone-1",
        "poses": (pose,),
    }
    return Capture(**(values | others))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Queue:
    """A workspace: a store, a folder for the pictures, and a call that knows both."""

    root: Path

    @property
    def store(self) -> EmbeddedStore:
        """A connection of its own."""
        return EmbeddedStore(self.root / "store")

    @property
    def folder(self) -> Path:
        """Where the pictures go."""
        return self.root / "annotations"

    def overrides(self, *more: str) -> tuple[str, ...]:
        """Return what every call in this workspace says."""
        return (
            "firebase.store=embedded",
            f"firebase.embedded_dir={self.root / 'store'}",
            f"firebase.output_dir={self.folder}",
            f"io.out_root={self.root / 'runs'}",
            f"io.keys_file={self.root / 'keys.yaml'}",
            "firebase.picture_grace_s=0",  # what is missing is missing at once
            *more,
        )

    def call(self, *more: str, dry_run: bool = False) -> Call:
        """Return a call in this workspace."""
        return Call(overrides=self.overrides(*more), dry_run=dry_run)

    def fill(self, count: int, **others: object) -> None:
        """Put captures in."""
        store = self.store
        for number in range(count):
            assert store.create(capture(number, **others), jpeg(number))  # type: ignore[arg-type]
        store.close()

    def statuses(self) -> dict[str, int]:
        """Count the captures by status."""
        store = self.store
        found: dict[str, int] = dict(store.counts(datetime.now(UTC)).by_status)  # type: ignore[arg-type]
        store.close()
        return found
