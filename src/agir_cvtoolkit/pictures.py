"""Pictures: checked, decoded, turned upright and hashed.

Upright means that the EXIF orientation (tag 0x0112, EXIF 2.3 section 4.6.4) has been applied once and for
all. Sizes are (width, height) of the upright picture; arrays have shape (height, width, 3), dtype uint8, RGB.
"""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from . import jpeg
from .errors import DataError, MaskError, PictureError

MAX_PIXELS = 1_000_000_000
"""Largest picture that is decoded (3 GB as RGB): above it a file is taken for a decompression bomb."""

_EXIF_ORIENTATION = 0x0112
_COPYABLE = {"JPEG": ".jpg", "PNG": ".png"}
# Only these are opened: other formats that Pillow knows start programs (PostScript) or are no photographs.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
# What Pillow's decoders raise for damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, MemoryError, OverflowError, TypeError, LookupError,
    AttributeError, AssertionError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

RGB = NDArray[np.uint8]

_BAND_PIXELS = 1 << 20


@dataclass(frozen=True)
class PictureInfo:
    """What a file holds, known without keeping its pixels.

    Attributes:
        width, height: of the upright picture.
        copyable: an upright, whole 8-bit RGB JPEG or PNG, which may go to CVAT byte for byte.
        suffix: of the file that `save_original` makes of it.
    """

    width: int
    height: int
    format: str
    mode: str
    orientation: int
    copyable: bool
    suffix: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return self.width, self.height


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def named(path: Path | None) -> Path:
    """Return a record's picture.

    Raises:
        PictureError: its source names none.
    """
    if path is None:
        raise PictureError(
            "the source names no picture",
            "Check the path columns (of a cutout the box), and that --projection keeps them.",
        )
    return path


def glance(picture: Path | bytes) -> PictureInfo:
    """Read the header only of a picture's file, or of its content.

    Raises:
        PictureError: no such file, not a picture, or larger than `MAX_PIXELS`.
    """
    with _opened(picture) as image:
        return _info(image)


def load_rgb(picture: Path | bytes, scratch: Path | None = None) -> RGB:
    """Decode a picture's file, or its content, to upright 8-bit RGB; of an animation the first frame.

    Of 16 bits the upper 8 are kept, floats up to 1 are shares of white, transparency is laid on black, CMYK
    converted.

    Args:
        picture: the file, or its content.
        scratch: a folder; the pixels then lie in a file there that has no name and goes with the array, and not in
            memory, which only decoding takes (4 bytes a pixel: Pillow decodes a file whole, a TIFF too).

    Raises:
        PictureError: no such file, not a picture, truncated, or larger than `MAX_PIXELS`.
    """
    with _opened(picture) as image, _refusing(picture):
        return _pixels(_upright_rgb(image), scratch)


def check(picture: Path | bytes, *, quick: bool = False) -> PictureInfo:
    """Decode a whole picture to be sure that a server can, and return what it is.

    Args:
        picture: the file, or its content.
        quick: of a JPEG's content decode only as much as can fail, where that is known: a tenth of the time.

    Raises:
        PictureError: no such file, not a picture, truncated, or larger than `MAX_PIXELS`.
    """
    if quick and isinstance(picture, bytes) and picture.startswith(jpeg.START):
        picture = jpeg.beginning(picture) or picture
    with _opened(picture) as image:
        info = _info(image)
        with _refusing(picture):
            if quick and image.format == "JPEG":
                # At an eighth of its size: all that is coded is read all the same.
                image.draft(None, (image.width // 8, image.height // 8))
            image.load()
        return info


def save_png(array: NDArray[np.uint8] | NDArray[np.uint16], path: Path) -> None:
    """Write an array of shape (height, width) or (height, width, 3 or 4) as PNG, losslessly and quickly."""
    with path.open("wb") as stream:
        _write_png(array, stream)


def png_bytes(array: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return an array of shape (height, width) or (height, width, 3 or 4) as the bytes of a PNG file.

    Args:
        array: uint8; of two dimensions also uint16.
    """
    buffer = io.BytesIO()
    _write_png(array, buffer)
    return buffer.getvalue()


def _write_png(array: NDArray[np.uint8] | NDArray[np.uint16], stream: IO[bytes]) -> None:
    if array.ndim == 2 and array.size:
        import cv2  # packs a mask in a third of Pillow's time, and smaller

        stream.write(cv2.imencode(".png", np.ascontiguousarray(array))[1].data)
    else:
        Image.fromarray(array).save(stream, format="PNG", compress_level=3)


def load_mask(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a mask file as class ids, shape (height, width), 0 is background.

    Args:
        path: a grey file of 1, 8 or 16 bits; in a colour file, and where 16-bit values exceed 255, all that is
            not 0 is class 255. Transparency says nothing.
        size: width and height that it must have.

    Raises:
        MaskError: it cannot be read, or has another size than `size`.
    """
    with _opened(path, MaskError) as image:
        info = _info(image)
        if size is not None and info.size != size:
            raise MaskError(
                f"mask {path} is {info.width}x{info.height}, its picture {size[0]}x{size[1]}",
                "Make the mask again from the same picture.",
            )
        with _refusing(path, MaskError):
            image.load()
            # A picture that is upright already would be copied.
            upright = ImageOps.exif_transpose(image) if _orientation(image) != 1 else image
        if upright.mode == "1":
            return _pixels(upright.convert("L"))
        if upright.mode in {"L", "P"}:
            return _pixels(upright)
        array = np.asarray(upright)
        if array.ndim == 2 and array.dtype.kind in "ui" and array.max(initial=0) <= 255:
            return array.astype(np.uint8)
        colours = len(upright.getbands()) - ("A" in upright.getbands())
        foreground = array if array.ndim == 2 else array[..., :colours].any(axis=2)
        return np.where(foreground, np.uint8(255), np.uint8(0))


def _pixels(image: Image.Image, scratch: Path | None = None) -> NDArray[np.uint8]:
    """Return the pixels of an 8-bit picture, taken over in bands: at once, Pillow would hold three copies."""
    bands = len(image.getbands())
    shape = (image.height, image.width) if bands == 1 else (image.height, image.width, bands)
    pixels = np.empty(shape, np.uint8) if scratch is None else _on_disk(shape, scratch)
    rows = max(1, _BAND_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _on_disk(shape: tuple[int, ...], folder: Path) -> NDArray[np.uint8]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as stream:
        return np.memmap(stream, np.uint8, "w+", shape=shape)


def _info(image: Image.Image) -> PictureInfo:
    kind = image.format or "?"
    # Before the orientation is asked for: Pillow decodes a PNG to answer, and forgets how it was stored.
    wide = any("16" in str(tile[3]) for tile in getattr(image, "tile", ()) if kind == "PNG")
    orientation = _orientation(image)
    width, height = image.size
    if orientation in {5, 6, 7, 8} and kind not in _TURNED_BY_PILLOW:
        width, height = height, width
    copyable = kind in _COPYABLE and image.mode == "RGB" and orientation == 1 and not wide
    copyable = copyable and "transparency" not in image.info and getattr(image, "n_frames", 1) == 1
    return PictureInfo(width, height, kind, image.mode, orientation, copyable, _COPYABLE.get(kind, ".png"))


_TURNED_BY_PILLOW = {"TIFF"}


def _orientation(image: Image.Image) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except _DAMAGE:  # a damaged EXIF block does not make the picture unusable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _opened(source: Path | bytes, kind: type[DataError] = PictureError) -> Iterator[Image.Image]:
    what = _called(source, kind)
    if isinstance(source, Path):
        _check_file(source, kind)
    with ExitStack() as held:
        try:
            # As a stream: Pillow maps files that it opens by name, and a mapped TIFF that is turned comes out
            # scrambled.
            stream: IO[bytes] = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
            held.enter_context(stream)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = held.enter_context(Image.open(stream, formats=_FORMATS))
        except UnidentifiedImageError as error:
            raise kind(
                f"{what} is not a picture that can be read",
                "Replace or remove the file; JPEG, PNG, TIFF, WEBP, BMP, GIF, PPM, JPEG 2000 of 1 to 16 bits are read.",
            ) from error
        except _DAMAGE as error:
            raise kind(f"{what} cannot be opened: {error}", "Replace or remove the file.") from error
        if image.width * image.height > MAX_PIXELS:
            raise kind(
                f"{what} claims {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}",
                "It looks like a decompression bomb: remove the file, or cut a true picture into smaller ones.",
            )
        yield image


_NOUNS: dict[type[DataError], str] = {PictureError: "picture", MaskError: "mask"}


def _called(source: Path | bytes, kind: type[DataError]) -> str:
    return f"{_NOUNS[kind]} {source}" if isinstance(source, Path) else f"the {_NOUNS[kind]}"


def _check_file(path: Path, kind: type[DataError]) -> None:
    what = f"{_NOUNS[kind]} {path}"
    where = (
        "Check the path columns and io.semif_storage_dir." if kind is PictureError else "Make the mask again."
    )
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise kind(f"{what} does not exist", where) from error
    except OSError as error:
        raise kind(f"{what} cannot be opened: {error.strerror}", where) from error
    if stat.S_ISDIR(state.st_mode):
        raise kind(f"{what} is a folder", where)
    if not stat.S_ISREG(state.st_mode):
        raise kind(f"{what} is no regular file", where)
    if state.st_size == 0:
        raise kind(f"{what} is empty (0 bytes)", "Replace or remove the file.")


@contextmanager
def _refusing(source: Path | bytes, kind: type[DataError] = PictureError) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except _DAMAGE as error:
        raise kind(f"{_called(source, kind)} is damaged: {error}", "Replace or remove the file.") from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    image.load()
    orientation = _orientation(image)
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_as_8_bit(np.asarray(image)))
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        flat = Image.new("RGBA", layered.size, (0, 0, 0, 255))
        flat.alpha_composite(layered)
        rgb = flat.convert("RGB")
    else:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    return _turned(rgb, orientation)


def _as_8_bit(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype.itemsize == 2:
        return (array.astype(np.uint16) >> 8).astype(np.uint8)
    values = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    highest = values.max(initial=0)
    is_share = array.dtype.kind == "f" and highest <= 1
    top = 1.0 if is_share else 65535.0 if highest > 255 else 255.0
    scaled: NDArray[np.uint8] = (values.clip(0, top) * (255.0 / top)).round().astype(np.uint8)
    return scaled


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


# Our own bound replaces Pillow's, which is below one frame of the field cameras.
Image.MAX_IMAGE_PIXELS = None
