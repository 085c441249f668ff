"""Pictures with masks, as a run that `upload-cvat` can push and as plain files that any script can read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from agir_cvtoolkit.cvat import Credentials, CvatSession, NewLabel, create_project
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import start_run, write_text

from ._field_masks import PackedMask, field_masks
from ._sandbox import PASSWORD, USERNAME

CLASSES = ("crop", "weed", "soil")
_HOLES = 0.05


@dataclass(frozen=True)
class Workload:
    """Files of one measurement.

    Attributes:
        folder: a user's folder with ``outputs/``, ``.keys/`` and ``conf/``.
        pictures, masks: files in their order; mask values are 1 to `classes`.
        project_id: where they go.
    """

    folder: Path
    pictures: tuple[Path, ...]
    masks: tuple[Path, ...]
    classes: int
    project_id: int

    @property
    def shapes(self) -> int:
        """Masks in all."""
        return len(self.pictures) * self.classes


def make_workload(
    folder: Path, url: str, count: int, size: tuple[int, int], classes: int, different: int = 8
) -> Workload:
    """Draw `different` pictures with their masks and lay out `count` of them, each file with bytes of its own.

    Names sort differently from the order of the records, so a tool that takes frames by their place is found
    out.
    """
    run = start_run(folder / "outputs" / "runs", "bench")
    width, height = size
    sources = [_source(number, size, classes) for number in range(different)]
    pictures, masks, entries = [], [], []
    for number in range(count):
        name = f"field_{(number * 7919) % 1_000_003:06d}"
        jpeg, mask = sources[number % different]
        picture = run.path("images", f"{name}.jpg")
        picture.parent.mkdir(parents=True, exist_ok=True)
        # A comment behind the end of the picture makes each file one of its own.
        picture.write_bytes(jpeg + f"picture {number}".encode())
        path = run.path("masks", f"{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mask)
        pictures.append(picture)
        masks.append(path)
        entry = ManifestEntry(
            record_id=name,
            common_name=None,
            image_path=f"images/{name}.jpg",
            mask_path=f"masks/{name}.png",
            width=width,
            height=height,
            sha256=sha256_of(picture),
            model="drawn",
            uncertainty=0.5,
            edge_occupancy=0.0,
            inference_time_ms=1.0,
        )
        entries.append(entry.to_json())
    write_text(run.manifest_path, "\n".join(entries) + "\n")
    session = CvatSession.open(Credentials(url, USERNAME, PASSWORD))
    project = create_project(session, folder.name, tuple(NewLabel(name, "mask") for name in CLASSES))
    _configure(folder, url, project.id)
    return Workload(folder, tuple(pictures), tuple(masks), classes, project.id)


def _configure(folder: Path, url: str, project_id: int) -> None:
    keys = folder / ".keys" / "default.yaml"
    write_text(keys, yaml.safe_dump({"cvat": {"url": url, "username": USERNAME, "password": PASSWORD}}))
    keys.chmod(0o600)
    names = dict(enumerate(CLASSES, start=1))
    upload = {"project_id": project_id, "images_per_task": 100_000, "label_map": {"_class": names}}
    write_text(folder / "conf" / "cvat_upload" / "default.yaml", yaml.safe_dump(upload))


def _source(seed: int, size: tuple[int, int], classes: int) -> tuple[bytes, bytes]:
    """Return a JPEG of about half a byte per pixel, as large as a camera's, and a mask of classes as PNG."""
    return source_picture(seed, size), _mask_png(seed, size, classes)


def source_picture(seed: int, size: tuple[int, int]) -> bytes:
    """Return a JPEG of about half a byte per pixel, as large as a camera's."""
    width, height = size
    rng = np.random.default_rng(seed)
    rough = rng.normal(110, 30, (height, width, 1)) + rng.normal(0, 8, (height, width, 3))
    picture = rough.clip(0, 255).astype(np.uint8)
    jpeg = b""
    for quality in range(70, 96, 4):
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(jpeg) >= width * height / 2:
            break
    return jpeg


@lru_cache(maxsize=2)
def _drawn(megapixels: float) -> tuple[PackedMask, ...]:
    return tuple(field_masks(None, 8, megapixels))


def _mask_png(seed: int, size: tuple[int, int], classes: int) -> bytes:
    width, height = size
    mask = np.zeros((height, width), dtype=np.uint8)
    drawn = _drawn(width * height / 1e6)[seed % 8].unpacked()
    found = np.zeros((height, width), dtype=np.bool_)
    part = drawn[:height, :width]
    found[: part.shape[0], : part.shape[1]] = part
    if classes == 1:
        # A fine mask, as of narrow leaves: a real one of this size takes one to two megabytes as JSON.
        found &= np.random.default_rng(seed).random(found.shape) > _HOLES
    bands: NDArray[np.intp] = np.arange(width) * classes // width
    mask[found] = np.broadcast_to(bands + 1, (height, width))[found].astype(np.uint8)
    for value in range(1, classes + 1):
        mask[0, value] = value  # every class occurs in every picture
    return cv2.imencode(".png", mask)[1].tobytes()
