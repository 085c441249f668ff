"""One record to tiles: what `preprocess` does for each, at once for several, and only where something changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config._training import Preprocess
from agir_cvtoolkit.engines import Pieces
from agir_cvtoolkit.errors import DataError, MaskError, PictureError
from agir_cvtoolkit.picture_limit import (
    allow_megapixels,
    allowed_megapixels,
    bits_in_use,
    reading_identity,
    take_sample_bits,
)
from agir_cvtoolkit.picture_memory import A_PIXEL, decoding_bytes
from agir_cvtoolkit.pictures import glance, load_mask, load_rgb, png_bytes, sha256_of
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import discard, fingerprint, read_json_object, write_bytes, write_json
from agir_cvtoolkit.similarity.hashing import perceptual_hash

from .pairs import DatasetClass, Pair
from .statistics import Counts, counts_of, histogram
from .tiling import cut, resized, scaled_size

STATE = ".state"
_REVISION = 2
_UNKNOWN = "Add them to dataset/classes.json, or set preprocess.classes=binary."


@dataclass(frozen=True)
class CutRecord:
    """One record, cut: what ``.state/<stem>.json`` holds.

    Attributes:
        fingerprint: of all that its tiles were made from.
        sha256, mask_sha256: of its two files.
        size: width and height of the picture's file.
        phash: of the picture, see `similarity.hashing`.
        tiles: their names.
        counts: over the scaled picture.
    """

    fingerprint: str
    sha256: str
    mask_sha256: str
    size: tuple[int, int]
    phash: int
    tiles: tuple[str, ...]
    counts: Counts


@dataclass(frozen=True)
class Cutting:
    """Cuts pairs into the folder of a data set; what is there already is kept.

    Attributes:
        classes: what the masks' values mean.
        binary: every value other than 0 is the last class.
        max_megapixels: that a picture may have, in other processes as here.
        sample_bits: of 16-bit samples, likewise.
    """

    root: Path
    settings: Preprocess
    classes: tuple[DatasetClass, ...]
    binary: bool
    max_megapixels: int = field(default_factory=allowed_megapixels)
    sample_bits: int = field(default_factory=bits_in_use)

    def open(self, _worker: int) -> Cutting:
        """Get ready in a process: there is nothing to load."""
        allow_megapixels(self.max_megapixels)
        take_sample_bits(self.sample_bits)
        return self

    def weigh(self, pair: Pair) -> int:
        """Return the bytes that the picture holds in memory at most."""
        try:
            info = glance(pair.image_path)
        except PictureError:  # told when it is read
            return 0
        return info.width * info.height * max(A_PIXEL, decoding_bytes(info))

    def read(self, pair: Pair) -> tuple[bool, CutRecord]:
        """Cut a pair, in one of several threads.

        Returns:
            Whether anything was written, and what there is now.

        Raises:
            PictureError: the picture cannot be read.
            MaskError: the mask cannot, has another size, or holds ids of no class.
        """
        if not pair.mask_path.is_file():
            raise MaskError(f"mask {pair.mask_path.name} is missing")
        sha256 = pair.sha256 or sha256_of(pair.image_path)
        mask_sha256 = pair.mask_sha256 or sha256_of(pair.mask_path)
        key = fingerprint(
            _REVISION,
            sha256,
            mask_sha256,
            self.settings.model_dump(mode="json", exclude={"source", "split", "workers"}),
            [asdict(c) for c in self.classes],
            self.binary,
            pair.values,
            *reading_identity(),
        )
        state_path = self.root / STATE / f"{file_stem(pair.record_id)}.json"
        known = self._known(state_path, key)
        if known is not None:
            return False, known
        # A state that outlived a killed rewrite would vouch for tiles of other settings.
        discard(state_path)
        image = load_rgb(pair.image_path)
        size = (image.shape[1], image.shape[0])
        mask = self._as_ids(load_mask(pair.mask_path, size), pair)
        phash = perceptual_hash(image)
        scaled = scaled_size(size, self.settings)
        image, mask = resized(image, mask, scaled, self.settings.resize.interpolation.image)
        tiles = tuple(self._tiles(file_stem(pair.record_id), image, mask))
        counts = counts_of(image, mask, [c.id for c in self.classes])
        found = CutRecord(key, sha256, mask_sha256, size, phash, tiles, counts)
        write_json(state_path, asdict(found) | {"phash": f"{phash:016x}"})
        return True, found

    def predict(self, _pair: Pair, _given: tuple[bool, CutRecord]) -> Iterator[None]:
        """Find nothing: all is done while reading."""
        yield from ()

    def write(
        self, _pair: Pair, given: tuple[bool, CutRecord], _pieces: Pieces[None]
    ) -> tuple[bool, CutRecord]:
        """Pass on what was made."""
        return given

    def _tiles(self, stem: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Iterator[str]:
        for tile in cut(image, mask, self.settings):
            if self.settings.ignore_empty_data and not tile.mask.any():
                continue
            name = f"{stem}_x{tile.left}_y{tile.top}"
            write_bytes(self.root / "images" / f"{name}.png", _packed(tile.image))
            write_bytes(self.root / "masks" / f"{name}.png", png_bytes(tile.mask))
            yield name

    def _as_ids(self, mask: NDArray[np.uint8], pair: Pair) -> NDArray[np.uint8]:
        if self.binary:
            return np.where(mask != 0, np.uint8(self.classes[-1].id), np.uint8(0))
        if pair.values:
            table = np.arange(256, dtype=np.uint8)
            for there, here in pair.values:
                table[there] = here
            mask = table[mask]
        held = set(np.flatnonzero(histogram(mask)).tolist())
        strange = sorted(held - {c.id for c in self.classes})
        if strange:
            listed = ", ".join(map(str, strange[:5]))
            raise MaskError(
                f"the mask holds class ids {listed} that are not among the data set's classes", _UNKNOWN
            )
        return mask

    def _known(self, path: Path, key: str) -> CutRecord | None:
        try:
            found = _from_json(read_json_object(path))
        except (DataError, KeyError, TypeError, ValueError):
            return None
        places = (self.root / kind / f"{name}.png" for name in found.tiles for kind in ("images", "masks"))
        return found if found.fingerprint == key and all(p.is_file() for p in places) else None


def _from_json(state: dict[str, Any]) -> CutRecord:
    counts = state["counts"]
    return CutRecord(
        fingerprint=str(state["fingerprint"]),
        sha256=str(state["sha256"]),
        mask_sha256=str(state["mask_sha256"]),
        size=(int(state["size"][0]), int(state["size"][1])),
        phash=int(state["phash"], 16),
        tiles=tuple(state["tiles"]),
        counts=Counts(
            int(counts["pixels"]), *(tuple(map(int, counts[n])) for n in ("sums", "squares", "classes"))
        ),
    )


def _packed(image: NDArray[np.uint8]) -> bytes:
    """Return a tile as PNG; noise has no repetitions to look for, and without them both ways take half the time."""
    options = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
