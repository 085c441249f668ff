"""A record's picture, from the file that its source names to the *original* that lies in the run.

An upright, whole 8-bit RGB JPEG or PNG is copied byte for byte. Anything else (a cutout, an EXIF-rotated,
16-bit, CMYK or palette picture) is rendered once as a lossless PNG. Predictions are made on the pixels of
that file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from agir_cvtoolkit.errors import DataError, PictureError
from agir_cvtoolkit.pictures import glance, load_rgb, save_png, sha256_of
from agir_cvtoolkit.records import Box, Record
from agir_cvtoolkit.runs import Run, atomic_path

from .predictor import RGB

_READ_AHEAD_PIXELS = 30_000_000


@dataclass(frozen=True, eq=False)
class Original:
    """A record's pixels, and the file that holds them.

    Attributes:
        rgb: uint8 of shape (height, width, 3), upright.
        image_path: relative to the run's folder; None where pictures are not saved.
        sha256: of that file; where pictures are not saved, of the source's own file if that could be the original.
    """

    rgb: RGB
    image_path: str | None
    sha256: str | None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


def crop_of(record: Record, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom (exclusive) of a record in a picture of `size`, in whole pixels.

    Args:
        record: its crop is in pixels of its `reference_size`, or of the picture where that is None.
        size: width and height of the upright picture.

    Returns:
        The part, or None where the record is the whole picture.

    Raises:
        DataError: the crop lies outside the picture.
    """
    if record.crop is None:
        return None
    box: Box | None = record.crop
    if box is not None and record.reference_size is not None:
        box = box.scaled(record.reference_size, size)
    box = box.clipped(size) if box is not None else None
    if box is None:
        raise DataError(
            f"the box of record {record.record_id} lies outside its picture of {size[0]}x{size[1]}",
            "Check bbox_xywh, fullres_width and fullres_height.",
        )
    left, top = min(round(box.x), size[0] - 1), min(round(box.y), size[1] - 1)
    right, bottom = max(round(box.x + box.width), left + 1), max(round(box.y + box.height), top + 1)
    return left, top, right, bottom


def read_original(record: Record, run: Run, *, save: bool) -> Original:
    """Decode a record's picture and, where wanted, lay its original into the run.

    Raises:
        PictureError: the source names no file, or the file cannot be read.
        DataError: the record's box lies outside the picture.
    """
    if record.image_path is None:
        raise PictureError("the source names no picture", "Check the path columns.")
    info = glance(record.image_path)
    rgb = load_rgb(record.image_path)
    part = crop_of(record, (rgb.shape[1], rgb.shape[0]))
    if part is not None:
        left, top, right, bottom = part
        rgb = rgb[top:bottom, left:right].copy()
    copied = part is None and info.copyable
    if not save:
        digest = sha256_of(record.image_path) if copied else None
        return Original(np.ascontiguousarray(rgb), None, digest)
    path = run.path("images", record.stem + (info.suffix if copied else ".png"))
    with atomic_path(path) as temporary:
        if copied:
            shutil.copyfile(record.image_path, temporary)
        else:
            save_png(rgb, temporary)
        digest = sha256_of(temporary)
    return Original(np.ascontiguousarray(rgb), str(path.relative_to(run.root)), digest)


def read_ahead(
    records: Sequence[Record], run: Run, *, save: bool
) -> Iterator[tuple[Record, Original | BaseException]]:
    """Yield records with their originals, or with what went wrong, reading the next while one is in work.

    Very large pictures (above 30 megapixels) are not read ahead, so that two of them are never in memory.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read") as pool:
        waiting = pool.submit(read_original, records[0], run, save=save) if records else None
        for number, record in enumerate(records):
            current = waiting or pool.submit(read_original, record, run, save=save)
            outcome = current.exception() or current.result()
            upcoming = records[number + 1] if number + 1 < len(records) else None
            waiting = None
            if upcoming is not None and not (_is_large(outcome) or _names_large(upcoming)):
                waiting = pool.submit(read_original, upcoming, run, save=save)
            del current
            yield record, outcome
            del outcome


def _names_large(record: Record) -> bool:
    if record.image_path is None:
        return False
    try:
        info = glance(record.image_path)
    except PictureError:
        return False
    return info.width * info.height > _READ_AHEAD_PIXELS


def _is_large(outcome: Original | BaseException) -> bool:
    return isinstance(outcome, Original) and outcome.size[0] * outcome.size[1] > _READ_AHEAD_PIXELS
