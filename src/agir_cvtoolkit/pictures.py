"""Pictures: checked, decoded, turned upright and hashed.

Upright means that the EXIF orientation (tag 0x0112, EXIF 2.3 section 4.6.4) has been applied once and for all. Sizes
are (width, height) of the upright picture; arrays have shape (height, width, 3), dtype uint8, RGB.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import PictureError

MAX_PIXELS = 1_000_000_000
"""Largest picture that is decoded (a billion pixels, 3 GB as RGB): above it a file is taken for a decompression bomb."""

_EXIF_ORIENTATION = 0x0112
_COPYABLE = {"JPEG": ".jpg", "PNG": ".png"}

RGB = NDArray[np.uint8]


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


def glance(path: Path) -> PictureInfo:
    """Read a picture's header only.

    Raises:
        PictureError: no such file, not a picture, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as image:
        return _info(image)


def load_rgb(path: Path) -> RGB:
    """Decode a picture to upright 8-bit RGB; 16-bit is scaled to 8, transparency laid on black, CMYK converted.

    Raises:
        PictureError: no such file, not a picture, truncated, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as image:
        return np.asarray(_upright_rgb(image, path))


def check(path: Path) -> PictureInfo:
    """Decode a whole picture to be sure that a server can, and return what it is.

    Raises:
        PictureError: no such file, not a picture, truncated, or larger than `MAX_PIXELS`.
    """
    with _opened(path) as image:
        info = _info(image)
        _decoded(image, path)
        return info


def save_png(array: NDArray[np.uint8], path: Path) -> None:
    """Write an array of shape (height, width) or (height, width, 3 or 4) as PNG, losslessly and quickly."""
    Image.fromarray(array).save(path, format="PNG", compress_level=3)


def png_bytes(array: NDArray[np.uint8]) -> bytes:
    """Return an array of shape (height, width) or (height, width, 3 or 4) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def load_mask(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read a mask file as class ids, shape (height, width), 0 is background.

    Args:
        path: an 8-bit or 1-bit grey file; in a colour file any channel other than 0 is class 255.
        size: width and height that it must have.

    Raises:
        PictureError: it cannot be read, or has another size than `size`.
    """
    with _opened(path) as image:
        info = _info(image)
        if size is not None and info.size != size:
            raise PictureError(
                f"mask {path} is {info.width}x{info.height}, its picture {size[0]}x{size[1]}",
                "Make the mask again from the same picture.",
            )
        _decoded(image, path)
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "1":
            return np.asarray(upright.convert("L"))
        if upright.mode in {"L", "P"}:
            return np.asarray(upright)
        array = np.asarray(upright)
        foreground = array if array.ndim == 2 else array[..., :3].any(axis=2)
        return np.where(foreground, np.uint8(255), np.uint8(0))


def _info(image: Image.Image) -> PictureInfo:
    orientation = _orientation(image)
    width, height = image.size
    if orientation in {5, 6, 7, 8}:
        width, height = height, width
    frames = getattr(image, "n_frames", 1)
    kind = image.format or "?"
    copyable = kind in _COPYABLE and image.mode == "RGB" and orientation == 1 and frames == 1
    copyable = copyable and "transparency" not in image.info
    return PictureInfo(width, height, kind, image.mode, orientation, copyable, _COPYABLE.get(kind, ".png"))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError):  # a damaged EXIF block does not make the picture unusable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if not path.is_file():
        raise PictureError(f"picture {path} does not exist", "Check the path columns and io.semif_storage_dir.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise PictureError(f"{path} is not a picture", "Replace or remove the file.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"picture {path} cannot be opened: {error}", "Replace or remove the file.") from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise PictureError(
                f"picture {path} claims {image.width}x{image.height} pixels, more than {MAX_PIXELS:,}",
                "It looks like a decompression bomb; remove the file.",
            )
        yield image


def _decoded(image: Image.Image, path: Path) -> None:
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise PictureError(f"picture {path} is damaged: {error}", "Replace or remove the file.") from error


def _upright_rgb(image: Image.Image, path: Path) -> Image.Image:
    _decoded(image, path)
    if image.mode.startswith(("I", "F")):
        array = np.asarray(image).astype(np.float64)
        top = 65535.0 if array.max(initial=0) > 255 else 255.0
        image = Image.fromarray((array.clip(0, top) * (255.0 / top)).round().astype(np.uint8))
    orientation = _orientation(image)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        flat = Image.new("RGBA", layered.size, (0, 0, 0, 255))
        flat.alpha_composite(layered)
        rgb = flat.convert("RGB")
    else:
        rgb = image.convert("RGB")
    return _turned(rgb, orientation)


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
