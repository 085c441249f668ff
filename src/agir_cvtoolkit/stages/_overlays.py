"""Pictures of records with what was proposed and what people made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agir_cvtoolkit.errors import AgirError, DataError
from agir_cvtoolkit.pictures import load_mask, load_rgb
from agir_cvtoolkit.poses import Keypoint, read_poses
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.reporting.overlay import RGB, shrunk
from agir_cvtoolkit.reporting.page_pictures import cut_to, difference, jpeg, moved_points, resized_mask
from agir_cvtoolkit.runs import Run

from ._pulled import FRAME_MAP, PulledFrame, folders, read_frame_map_file

_WORK = 1800
"""Longest side in which overlays are drawn before they are cut and shrunk."""


@dataclass(frozen=True)
class Pulled:
    """A frame that came back, and the folder of its task."""

    frame: PulledFrame
    folder: Path


@dataclass
class RunPictures:
    """The files of one run's records; manifest and frame maps are read once, when they are first needed.

    Attributes:
        run: whose pictures they are.
    """

    run: Run
    _entries: dict[str, ManifestEntry] | None = None
    _pulled: dict[int, dict[str, Pulled]] = field(default_factory=dict)

    def entry(self, record_id: str) -> ManifestEntry | None:
        """Return the line of the manifest, or of the chosen batch, that a record has; None where it has none."""
        if self._entries is None:
            self._entries = {}
            for path in (self.run.manifest_path, self.run.path("select", "batch.jsonl")):
                if path.is_file():
                    self._entries |= _lines(path)
        return self._entries.get(record_id)

    def pulled(self, record_id: str, task_id: int | None) -> Pulled | None:
        """Return a record's frame as it came back in a task; None where it has not."""
        if task_id is None:
            return None
        if task_id not in self._pulled:
            folder = folders(self.run).get(task_id)
            path = folder / FRAME_MAP if folder is not None else None
            frames = {}
            if folder is not None and path is not None and path.is_file():
                frames = {f.record_id: Pulled(f, folder) for f in read_frame_map_file(path).frames}
            self._pulled[task_id] = frames
        return self._pulled[task_id].get(record_id)

    def plain(self, record_id: str, longest: int) -> bytes | None:
        """Return a record's picture as a small JPEG; None where its file is gone or damaged."""
        try:
            rgb = self._picture(record_id)
        except (AgirError, OSError):
            return None
        return None if rgb is None else jpeg(rgb, longest)

    def overlay(
        self, record_id: str, task_id: int | None, longest: int, *, whole: bool = False
    ) -> bytes | None:
        """Return proposal and correction over the picture as a small JPEG, cut to where they are.

        Args:
            record_id: of the record.
            task_id: in which it was corrected.
            longest: side in pixels.
            whole: do not cut.

        Returns:
            None where a file is gone or damaged, or nothing came back.
        """
        try:
            found, entry = self.pulled(record_id, task_id), self.entry(record_id)
            rgb = self._picture(record_id)
            if found is None or entry is None or rgb is None:
                return None
            if found.frame.poses is not None:
                return jpeg(self._poses(rgb, entry, found), longest)
            if found.frame.mask is None:
                return None
            return self._masks(rgb, entry, found, longest, whole=whole)
        except (AgirError, OSError):
            return None

    def _picture(self, record_id: str) -> RGB | None:
        entry = self.entry(record_id)
        if entry is None:
            return None
        if entry.image_path is not None:
            path = self.run.inside(entry.image_path)
        elif entry.source_path is not None and entry.image_mode == "full_image":
            path = Path(entry.source_path)
        else:
            return None
        return shrunk(load_rgb(path), _WORK)

    def _masks(self, rgb: RGB, entry: ManifestEntry, found: Pulled, longest: int, *, whole: bool) -> bytes:
        size = (rgb.shape[1], rgb.shape[0])
        before = np.zeros(rgb.shape[:2], dtype=np.bool_)
        if entry.mask_path is not None:
            before = resized_mask(load_mask(self.run.inside(entry.mask_path)), size)
        after = resized_mask(load_mask(_inside(found.folder, found.frame.mask or "")), size)
        at = (slice(None), slice(None)) if whole else cut_to(before | after)
        small = shrunk(np.ascontiguousarray(rgb[at]), longest)
        size = (small.shape[1], small.shape[0])
        masks = (resized_mask(np.ascontiguousarray(m[at]).view(np.uint8), size) for m in (before, after))
        return jpeg(difference(small, *masks), longest)

    def _poses(self, rgb: RGB, entry: ManifestEntry, found: Pulled) -> RGB:
        scale = rgb.shape[1] / entry.width
        before = read_poses(self.run.inside(entry.pose_path))[1] if entry.pose_path else ()
        after = read_poses(_inside(found.folder, found.frame.poses or ""))[1]
        for number in range(max(len(before), len(after))):
            old = before[number].keypoints if number < len(before) else {}
            new = after[number].keypoints if number < len(after) else {}
            names = sorted(old.keys() | new.keys())
            rgb = moved_points(
                rgb, [_place(old.get(n), scale) for n in names], [_place(new.get(n), scale) for n in names]
            )
        return rgb


def _lines(path: Path) -> dict[str, ManifestEntry]:
    found = {}
    with path.open(encoding="utf-8", errors="surrogatepass") as stream:
        for line in stream:
            try:
                entry = ManifestEntry.from_json(line)
            except ValueError:
                continue  # a line that a killed process tore
            found[entry.record_id] = entry
    return found


def _inside(folder: Path, relative: str) -> Path:
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{relative} leads out of {folder}", "Remove the folder and run download-cvat again.")
    return path


def _place(point: Keypoint | None, scale: float) -> tuple[float, float] | None:
    return None if point is None or not point.is_there else (point.x * scale, point.y * scale)
