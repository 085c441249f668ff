"""One capture's picture: downloaded, checked, freed of personal data, and laid where it belongs."""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.firebase import CaptureStore, with_picture_size
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.picture_metadata import can_lose_metadata, without_metadata
from agir_cvtoolkit.pictures import check, glance, load_rgb, png_bytes
from agir_cvtoolkit.poses import Keypoint, Pose, write_poses
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, write_bytes

from ._transfer_journal import Progressed

MAX_BYTES = 200 * 1024 * 1024
"""Largest file that is taken: several of them are in memory at one time."""
_LARGE_PIXELS = 16_000_000
_JPEG = b"\xff\xd8"
_one_large = threading.Lock()
_at_work = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
"""As many as there are cores: more would wait for each other at every file. Downloads go on meanwhile."""


@dataclass(frozen=True)
class Fetched:
    """A capture whose files lie in the run and in the folder.

    Attributes:
        notes: what of the capture could not be understood, in words.
    """

    capture: Capture
    done: Progressed
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Fetcher:
    """Lays captures into a run and a folder.

    Attributes:
        max_pixels: larger pictures are refused.
    """

    store: CaptureStore
    run: Run
    folder: Path
    schema: JointSchema
    max_pixels: float
    strip: bool

    def fetch(self, capture: Capture) -> Fetched:
        """Bring one capture's picture and poses.

        Raises:
            PictureError: the picture is broken, too large or none.
            NotFoundError: there is no picture.
            RemoteError: of its other kinds: the storage fails.
            OSError: nothing can be written here.
        """
        content = self.store.picture(capture.capture_id, MAX_BYTES)
        with _at_work:
            return self._laid(capture, prepared(content, strip=self.strip, max_pixels=self.max_pixels))

    def _laid(self, capture: Capture, picture: PreparedPicture) -> Fetched:
        place = self.folder / f"{capture.stem}{picture.suffix}"
        write_bytes(place, picture.content)
        image = self.run.path("images", f"{capture.stem}{picture.original_suffix}")
        write_bytes(image, picture.original)
        sized = with_picture_size(capture, picture.size)
        poses, unknown = poses_by_schema(sized.poses, self.schema)
        pose_path = self.run.path("poses", f"{capture.stem}.json")
        write_poses(pose_path, self.schema.name, poses)
        entry = ManifestEntry(
            record_id=capture.stem,
            common_name=None,
            image_path=str(image.relative_to(self.run.root)),
            mask_path=None,
            width=picture.size[0],
            height=picture.size[1],
            sha256=sha256(picture.original).hexdigest(),
            model=f"device {capture.device_id}".strip()[:200],
            uncertainty=1.0 - capture.confidence,
            edge_occupancy=0.0,
            inference_time_ms=0.0,
            source_path=str(place),
            label_values={"capture_id": capture.capture_id, "priority": capture.priority},
            pose_path=str(pose_path.relative_to(self.run.root)),
        )
        done = Progressed(capture.capture_id, "fetched", entry, place.name, place.stat().st_ino)
        notes = tuple(f"the joint '{name}' is none of {self.schema.name}" for name in unknown)
        return Fetched(capture, done, (*sized.problems, *notes))


@dataclass(frozen=True)
class PreparedPicture:
    """What goes into the folder (`content`) and into the run (`original`); `size` is that of the upright picture."""

    size: tuple[int, int]
    content: bytes
    suffix: str
    original: bytes
    original_suffix: str


def prepared(content: bytes, *, strip: bool, max_pixels: float) -> PreparedPicture:
    """Check a picture as it was sent, and free it of personal data.

    Args:
        content: of the file.
        strip: remove place, owner and serial numbers.
        max_pixels: larger pictures are refused.

    Raises:
        PictureError: the picture is broken, too large or none.
    """
    if not content:
        raise PictureError("the picture is empty (0 bytes)", "Send it again.")
    info = glance(content)
    if info.width * info.height > max_pixels:
        raise PictureError(
            f"the picture has {info.width}x{info.height} pixels, more than {max_pixels / 1e6:g} megapixels",
            "Raise firebase.max_megapixels, or send a smaller one.",
        )
    if strip and can_lose_metadata(content):
        content = without_metadata(content, info.orientation)
    with _one_large if info.width * info.height > _LARGE_PIXELS else nullcontext():
        info = check(content, quick=True)
        rendered = None if info.copyable else png_bytes(load_rgb(content))
    if rendered is None:
        return PreparedPicture(info.size, content, info.suffix, content, info.suffix)
    if strip and not can_lose_metadata(content):
        # Of these kinds of file only the pixels are known to be free of what is personal.
        return PreparedPicture(info.size, rendered, ".png", rendered, ".png")
    suffix = ".jpg" if content.startswith(_JPEG) else f".{info.format.lower()}"
    return PreparedPicture(info.size, content, suffix, rendered, ".png")


def poses_by_schema(poses: tuple[Pose, ...], schema: JointSchema) -> tuple[tuple[Pose, ...], tuple[str, ...]]:
    """Return poses with the schema's names of joints, and the names that it does not know.

    Of two names that mean one joint the surer point counts.
    """
    unknown: dict[str, None] = {}
    named = []
    for pose in poses:
        points: dict[str, Keypoint] = {}
        for name, point in pose.keypoints.items():
            joint = schema.resolve(name)
            if joint is None:
                unknown[name] = None
            elif joint not in points or (point.confidence or 0.0) > (points[joint].confidence or 0.0):
                points[joint] = point
        named.append(replace(pose, keypoints=points))
    return tuple(named), tuple(unknown)


def remove_files(run: Run, folder: Path, done: Progressed) -> None:
    """Remove what `fetch` has written, but in the folder only what no other transfer has written since."""
    entry = done.entry
    if entry is None:
        return
    for path in (entry.image_path, entry.pose_path):
        if path is not None:
            run.inside(path).unlink(missing_ok=True)
    place = folder / done.picture
    with suppress(OSError):
        if place.stat().st_ino == done.inode:
            place.unlink()
