"""Exports of CVAT as text, and a store with captures: what tests of ``firebase return`` begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.config import Settings, load_settings
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_return import ReturnResult, firebase_return

DOG = load_schema("dog24")
CREATED = "2026-11-21 21:53:46.452001+00:00"
TIME = "20261121T215346Z"
SIZE = (640, 480)


def point(
    joint: str, x: float, y: float, *, visibility: str = "visible", group: int = 0, source: str = "manual"
) -> str:
    """Return a single point as CVAT exports it."""
    grouped = f' group_id="{group}"' if group else ""
    return (
        f'<points label={quoteattr(joint)} source="{source}" occluded="0" points="{x:.2f},{y:.2f}" z_order="0"{grouped}>'
        f'<attribute name="visibility">{visibility}</attribute></points>'
    )


def dog(left: float, joints: Iterable[str] = DOG.joints, **options: Any) -> str:
    """Return the points of a dog that begins at x = `left`; its joints stand on a slanted line."""
    return "".join(point(j, left + 5 * n, 100 + 10 * n, **options) for n, j in enumerate(joints))


def image(number: int, name: str, content: str = "", *, size: tuple[int, int] = SIZE, extra: str = "") -> str:
    """Return one image."""
    return f'<image id="{number}" name={quoteattr(name)} width="{size[0]}" height="{size[1]}"{extra}>{content}</image>'


def export(images: Iterable[str], created: str | None = CREATED, meta: str | None = None) -> str:
    """Return the export of one task."""
    time = f"<created>{created}</created>" if created else ""
    meta = f"<task><id>187</id><name>Batch</name>{time}</task>" if meta is None else meta
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    return f"{head}<meta>{meta}</meta>{''.join(images)}</annotations>\n"


@lru_cache
def settings_of(overrides: tuple[str, ...]) -> Settings:
    """Return composed settings, each only once."""
    return load_settings(overrides)


@dataclass
class Desk:
    """A user's folder with an embedded store."""

    root: Path
    overrides: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        """Of the store."""
        return self.root / "firebase"

    def store(self) -> EmbeddedStore:
        """Open the store."""
        return EmbeddedStore(self.folder)

    def submit(self, *capture_ids: str, **fields: Any) -> None:
        """Play a device, and a transfer of everything."""
        store = self.store()
        now = datetime.now(UTC)
        for capture_id in capture_ids:
            store.create(Capture(capture_id, 0.3, 8, taken=now, **fields), b"picture")
        for capture in store.pending(1, len(capture_ids)):
            claimed = store.claim(capture, "transfer", now)
            assert claimed is not None
            store.transferred(claimed, now)
        store.close()

    def call(self, **options: Any) -> Call:
        """Return the common options."""
        overrides = ("firebase.store=embedded", "firebase.output_dir=.", *self.overrides)
        call = Call(overrides=overrides, **options)
        composed = settings_of(overrides)
        group = composed.firebase.model_copy(update={"embedded_dir": str(self.folder)})
        call._composed.append(composed.model_copy(update={"firebase": group}))
        return call

    def write(self, images: Sequence[str] | str, name: str = "annotations.xml") -> Path:
        """Write an export."""
        path = self.root / name
        path.write_text(images if isinstance(images, str) else export(images), encoding="utf-8")
        return path

    def bring(self, images: Sequence[str] | str, *, dry_run: bool = False, **options: Any) -> ReturnResult:
        """Return an export."""
        return firebase_return(self.call(dry_run=dry_run), annotations=self.write(images), **options)

    def labeled(self) -> dict[str, LabeledPose]:
        """Return all corrections by id."""
        store = self.store()
        found = {pose.document_id: pose for pose in store.all_labeled()}
        store.close()
        return found

    def captures(self, *capture_ids: str) -> Mapping[str, Capture]:
        """Return captures by id."""
        store = self.store()
        found = store.get(capture_ids)
        store.close()
        return found

    def state(self) -> object:
        """Return all that a return leaves behind, without the times of the work."""
        store = self.store()
        labeled = [
            replace(p, made=datetime.min, trigger_id=str(bool(p.trigger_id))) for p in store.all_labeled()
        ]
        captures = {p.capture_id: store.get([p.capture_id])[p.capture_id].status for p in labeled}
        triggers = [(t.count, t.threshold, t.status) for t in store.triggers()]
        store.close()
        return labeled, captures, triggers
