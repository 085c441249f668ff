"""Pictures: checked, decoded, turned upright and hashed.

Upright means that the EXIF orientation (tag 0x0112, EXIF 2.3 section 4.6.4) has been applied once and for
all. Sizes are (width, height) of the upright picture; arrays have shape (height, width, 3), dtype uint8, RGB.
"""

from __future__ import annotations

import hashlib
import io
import logging
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from . import float_tiff, jpeg, row_decoding, wide_colours
from .errors import DataError, MaskError, PictureError
from .free_memory import free_bytes
from .picture_limit import allowed_megapixels, allowed_pixels
from .png_rows import write_rows
from .row_decoding import RowsError
from .scratch import bands, let_go, on_disk
from .upright import DAMAGE, TURNED_BY_PILLOW, flat_rgb, orientation_of, swaps_sides, turned, upright_rgb

_COPYABLE = {"JPEG": ".jpg", "PNG": ".png"}
# Only these are opened: other formats that Pillow knows start programs (PostScript) or are no photographs.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
RGB = NDArray[np.uint8]

_LARGE = 1 << 26
"""Pixels; larger pictures are checked and written a few rows at a time, which takes longer and little memory."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureInfo:
    """What a file holds, known without keeping its pixels.

    Attributes:
        width, height: of the upright picture.
        copyable: an upright, whole 8-bit RGB JPEG or PNG, which may go to CVAT byte for byte.
        suffix: of the file that `save_original` makes of it.
        float_bytes: that each pixel takes while colours of floats are decoded; 0 of any other file.
    """

    width: int
    height: int
    format: str
    mode: str
    orientation: int
    copyable: bool
    suffix: str
    float_bytes: int = 0

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
        PictureError: no such file, not a picture, or larger than `io.max_megapixels`.
    """
    with _opened(picture) as image:
        return _info(image)


def load_rgb(picture: Path | bytes, scratch: Path | None = None) -> RGB:
    """Decode a picture's file, or its content, to upright 8-bit RGB; of an animation the first frame.

    Of 16 bits the upper 8 of those in use are kept (``io.sample_bits``), floats up to 1 are shares of white
    (`pixel_depth`), transparency is laid on black, CMYK converted.

    Args:
        picture: the file, or its content.
        scratch: a folder; the pixels of a file then lie on disk there (`scratch.on_disk`) and not in memory. They are
            decoded a few rows at a time where `row_decoding` can, else as a whole: 4 bytes a pixel and more.

    Raises:
        PictureError: no such file, not a picture, truncated, larger than `io.max_megapixels`, or decoding it takes more
            memory than there is.
        OSError: the disk has no room for the pixels.
    """
    with _opened(picture) as image:
        if scratch is not None and isinstance(picture, Path):
            return _rgb_on_disk(picture, image, scratch)
        with _refusing(picture):
            return _pixels(upright_rgb(image))


def load_small(picture: Path | bytes, side: int) -> RGB:
    """Decode a picture squeezed into a square, uint8 of shape (side, side, 3), RGB, upright.

    Of a JPEG no more is decoded than is needed.

    Raises:
        PictureError: no such file, not a picture, truncated, or larger than `io.max_megapixels`.
    """
    with _opened(picture) as image, _refusing(picture):
        image.draft("RGB", (2 * side, 2 * side))
        return _pixels(upright_rgb(image).resize((side, side), Image.Resampling.BOX, reducing_gap=2.0))


def check(picture: Path | bytes, *, quick: bool = False) -> PictureInfo:
    """Decode a whole picture to be sure that a server can, and return what it is.

    Args:
        picture: the file, or its content.
        quick: of a JPEG's content decode only as much as can fail, where that is known: a tenth of the time.

    Raises:
        PictureError: no such file, not a picture, truncated, or larger than `io.max_megapixels`.
    """
    if quick and isinstance(picture, bytes) and picture.startswith(jpeg.START):
        picture = jpeg.beginning(picture) or picture
    with _opened(picture) as image:
        info = _info(image)
        with _refusing(picture):
            if quick and image.format == "JPEG":
                # At an eighth of its size: all that is coded is read all the same.
                image.draft(None, (image.width // 8, image.height // 8))
            if not (isinstance(picture, Path) and _decodes_by_rows(picture, image)):
                image.load()
        return info


def save_png(array: NDArray[np.uint8] | NDArray[np.uint16], path: Path) -> None:
    """Write an array of shape (height, width) or (height, width, 3 or 4) as PNG, losslessly and quickly."""
    save_png_of(lambda rows: rows, path, array)


def save_png_of(
    made: Callable[..., NDArray[np.uint8] | NDArray[np.uint16]],
    path: Path,
    *arrays: NDArray[np.uint8] | NDArray[np.uint16],
) -> None:
    """Write what is made of arrays as PNG; of a large picture a few rows at a time.

    Args:
        made: gives rows of the picture for the same rows of each array.
        path: where to.
        arrays: of the same height and width, the first two axes.
    """
    height, width = arrays[0].shape[:2]
    with path.open("wb") as stream:
        if height * width <= _LARGE:
            _write_png(made(*arrays), stream)
        else:
            parts = (made(*(array[rows] for array in arrays)) for rows in bands(*arrays))
            write_rows(stream, (width, height), parts)


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
            upright = ImageOps.exif_transpose(image) if orientation_of(image) != 1 else image
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


def _pixels(image: Image.Image, pixels: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Return the pixels of an 8-bit picture, taken over in bands: at once, Pillow would hold three copies."""
    if pixels is None:
        channels = len(image.getbands())
        shape = (image.height, image.width) if channels == 1 else (image.height, image.width, channels)
        pixels = np.empty(shape, np.uint8)
    for rows in bands(pixels):
        pixels[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    return pixels


def _rgb_on_disk(path: Path, image: Image.Image, folder: Path) -> RGB:
    orientation = orientation_of(image)
    damage = None
    if row_decoding.can_decode(image) and row_decoding.is_there():
        _check_memory(path, image, row_decoding.bytes_held(image))
        try:
            return _decoded_on_disk(path, image, orientation, folder)
        except RowsError as error:
            damage = error  # Pillow decides: it bears with ends that are missing.
    try:
        _check_memory(path, image, _bytes_to_decode(image, orientation))
    except PictureError as error:
        if damage is None:
            raise
        raise PictureError(f"picture {path} is damaged: {damage}", "Replace or remove the file.") from error
    with _refusing(path):
        rgb = upright_rgb(image)
    return _pixels(rgb, on_disk((rgb.height, rgb.width, 3), np.uint8, folder))


def _decoded_on_disk(path: Path, image: Image.Image, orientation: int, folder: Path) -> RGB:
    width, height = image.size
    if swaps_sides(orientation) and image.format in TURNED_BY_PILLOW:
        width, height = height, width
    pixels = on_disk((height, width, 3), np.uint8, folder)
    for top, band in row_decoding.decoded_rows(path, image, wide_colours.bits_of(image)):
        pixels[top : top + band.height] = np.asarray(flat_rgb(band))
        let_go(pixels)
    return turned(pixels, orientation)


def _decodes_by_rows(path: Path, image: Image.Image) -> bool:
    """Whether a large file could be decoded a few rows at a time; what could not, is left to Pillow."""
    large = image.width * image.height > _LARGE
    if not (large and row_decoding.can_decode(image) and row_decoding.is_there()):
        return False
    try:
        for _band in row_decoding.decoded_rows(path, image):
            pass
    except RowsError:
        return False
    return True


def _bytes_to_decode(image: Image.Image, orientation: int) -> int:
    """Return about how much memory it takes to decode a picture as a whole."""
    if each := float_tiff.bytes_to_decode(image):
        return each * image.width * image.height
    if wide_colours.are_in(image):
        return (6 * len(image.getbands()) + 8) * image.width * image.height
    each = 1 if len(image.getbands()) == 1 and not image.mode.startswith(("I", "F")) else 4
    if image.mode != "RGB":
        each += 4
    if image.mode.startswith(("I", "F")):
        each += 17
    if "A" in image.mode or "transparency" in image.info:
        each += 8
    if orientation != 1:
        each += 4
    return each * image.width * image.height + row_decoding.bytes_held(image)


def _check_memory(path: Path, image: Image.Image, needed: int) -> None:
    free = free_bytes()
    if free is None or needed <= free:
        return
    extra = f"pip install 'agir-cvtoolkit[{row_decoding.EXTRA}]'"
    if row_decoding.can_decode(image) and not row_decoding.is_there():
        way = f"Decode it a few rows at a time: {extra}"
    else:
        way = f"Save it again as baseline JPEG, PNG without interlace or plain TIFF, and decode it by rows: {extra}"
    raise PictureError(
        f"picture {path} of {image.width}x{image.height} takes {needed / 1e9:.1f} GB to decode as a whole, "
        f"and {free / 1e9:.1f} GB of memory are free",
        way,
    )


def _info(image: Image.Image) -> PictureInfo:
    kind = image.format or "?"
    # Before the orientation is asked for: Pillow decodes a PNG to answer, and forgets how it was stored.
    wide = any("16" in str(tile[3]) for tile in getattr(image, "tile", ()) if kind == "PNG")
    orientation = orientation_of(image)
    width, height = image.size
    if swaps_sides(orientation) and kind not in TURNED_BY_PILLOW:
        width, height = height, width
    copyable = kind in _COPYABLE and image.mode == "RGB" and orientation == 1 and not wide
    copyable = copyable and "transparency" not in image.info and getattr(image, "n_frames", 1) == 1
    return PictureInfo(
        width,
        height,
        kind,
        image.mode,
        orientation,
        copyable,
        _COPYABLE.get(kind, ".png"),
        float_tiff.bytes_to_decode(image),
    )


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
                image = held.enter_context(_image(stream))
        except UnidentifiedImageError as error:
            raise kind(
                f"{what} is not a picture that can be read",
                "Replace or remove the file; JPEG, PNG, TIFF, WEBP, BMP, GIF, PPM, JPEG 2000 of 1 to 16 bits are read.",
            ) from error
        except DAMAGE as error:
            raise kind(f"{what} cannot be opened: {error}", "Replace or remove the file.") from error
        if image.width * image.height > allowed_pixels():
            raise kind(
                f"{what} claims {image.width}x{image.height} pixels, more than {allowed_megapixels():,} million",
                "It looks like a decompression bomb: remove the file, or of a true picture raise io.max_megapixels.",
            )
        yield image


def _image(stream: IO[bytes]) -> Image.Image:
    try:
        return Image.open(stream, formats=_FORMATS)
    except UnidentifiedImageError:
        image = float_tiff.opened(stream)
        if image is None:
            raise
        return image


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
    except DAMAGE as error:
        raise kind(f"{_called(source, kind)} is damaged: {error}", "Replace or remove the file.") from error


# Our own bound replaces Pillow's, which is below one frame of the field cameras.
Image.MAX_IMAGE_PIXELS = None
