"""A record's picture, from the file that its source names to the *original* that lies in the run.

An upright, whole 8-bit RGB JPEG or PNG is copied byte for byte. Anything else (a cutout, an EXIF-rotated,
16-bit, CMYK or palette picture) is rendered once as a lossless PNG. Predictions are made on the pixels of
that file.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.pictures import PictureInfo, glance, load_rgb, named, save_png, sha256_of
from agir_cvtoolkit.records import Box, Record
from agir_cvtoolkit.runs import Run, atomic_path
from agir_cvtoolkit.scratch import copied, let_go

from .predictor import RGB

_IN_MEMORY = 80_000_000


@dataclass(frozen=True, eq=False)
class Original:
    """A record's pixels, and the file that holds them.

    Attributes:
        rgb: uint8 of shape (height, width, 3), upright; of a very large picture on disk (`numpy.memmap`).
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


def crop_of(record: Record, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom (exclusive) of a record in a picture of `size`, in whole pixels.

    Args:
        record: its crop is in pixels of its `reference_size`, or of the picture where that is None; without a crop
            it is the whole picture.
        size: width and height of the upright picture.

    Raises:
        DataError: the crop lies outside the picture.
    """
    if record.crop is None:
        return 0, 0, *size
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


class Reading:
    """Reads the pictures of records and lays their originals into a run; may be called by several threads.

    The last picture that records were cut out of is kept: a field picture has dozens of them. The pixels of a picture
    that is too large lie on disk, from where bands of it are read.
    """

    def __init__(self, run: Run, *, save: bool, in_memory: int = _IN_MEMORY) -> None:
        """Take the run.

        Args:
            run: where originals go.
            save: write them.
            in_memory: the most pixels that a picture in memory has.
        """
        self._run = run
        self._save = save
        self._in_memory = in_memory
        self._cutting = Lock()
        self._last: tuple[Path, RGB] | None = None

    def original(self, record: Record) -> Original:
        """Decode a record's picture and, where wanted, lay its original into the run.

        Raises:
            PictureError: the source names no file, or the file cannot be read.
            DataError: the record's box lies outside the picture.
        """
        path = named(record.image_path)
        if record.crop is None:
            return self._whole(record, path)
        with self._cutting:
            if self._last is None or self._last[0] != path:
                self._last = None  # Let go before the next is decoded.
                self._last = path, self._loaded(path, glance(path))
            whole = self._last[1]
        left, top, right, bottom = crop_of(record, (whole.shape[1], whole.shape[0]))
        part = whole[top:bottom, left:right]
        large = (right - left) * (bottom - top) > self._in_memory
        own = copied(part) if large else part.copy()
        let_go(whole)
        return self._rendered(record, own)

    def _whole(self, record: Record, path: Path) -> Original:
        info = glance(path)
        rgb = self._loaded(path, info)
        if not info.copyable:
            return self._rendered(record, rgb)
        if not self._save:
            return Original(rgb, None, sha256_of(path))
        target = self._run.path("images", record.stem + info.suffix)
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
            digest = sha256_of(temporary)
        return Original(rgb, str(target.relative_to(self._run.root)), digest)

    def _loaded(self, path: Path, info: PictureInfo) -> RGB:
        large = info.width * info.height > self._in_memory
        return load_rgb(path, self._run.path(".state") if large else None)

    def _rendered(self, record: Record, rgb: RGB) -> Original:
        if not self._save:
            return Original(rgb, None, None)
        target = self._run.path("images", record.stem + ".png")
        with atomic_path(target) as temporary:
            save_png(rgb, temporary)
            digest = sha256_of(temporary)
        return Original(rgb, str(target.relative_to(self._run.root)), digest)


def read_original(record: Record, run: Run, *, save: bool) -> Original:
    """Decode the picture of a single record; as `Reading.original`."""
    return Reading(run, save=save).original(record)
