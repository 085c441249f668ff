"""What a picture file says beside its pixels: taken out byte by byte, so that no pixel is coded anew.

What stays is what the pixels look like: colour profile, resolution, and which side is up. Place, time, camera,
owner, serial numbers, comments, thumbnails, and all that lies behind the end of the picture (further pictures,
the film of a "live" photograph) go.

Sources: ITU-T T.81 annex B (JPEG markers), Adobe technical note 5116 (APP14), ICC.1 annex B.4 (APP2),
EXIF 2.3 section 4.5 (APP1), W3C PNG specification, third edition, section 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from . import jpeg
from .errors import PictureError

_PNG = b"\x89PNG\r\n\x1a\n"
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_ICC = b"ICC_PROFILE\x00"
_KEPT_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)


def can_lose_metadata(content: bytes) -> bool:
    """Whether `without_metadata` knows this kind of file: JPEG and PNG."""
    return content.startswith((jpeg.START, _PNG))


def without_metadata(content: bytes, orientation: int = 1) -> bytes:
    """Return a JPEG or PNG file with the same pixels and nothing personal.

    Args:
        content: the whole file.
        orientation: EXIF orientation (1 to 8) that it has; where it is not 1 a block of metadata stays that says
            this and nothing else.

    Raises:
        PictureError: neither JPEG nor PNG, or its parts cannot be told from each other.
    """
    exif = _orientation_block(orientation) if orientation != 1 else b""
    if content.startswith(jpeg.START):
        return b"".join(_jpeg_parts(content, exif))
    if content.startswith(_PNG):
        return b"".join(_png_parts(content, exif))
    raise PictureError("the file is neither JPEG nor PNG", "Convert it, or leave its metadata in.")


def _orientation_block(orientation: int) -> bytes:
    """Return a TIFF structure with one directory of one tag: 0x0112, SHORT, one value."""
    return b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg_parts(content: bytes, exif: bytes) -> Iterator[memoryview | bytes]:
    view = memoryview(content)
    yield jpeg.START
    said = not exif
    for part in jpeg.parts(content):
        body = content[part.start + 4 : min(part.head, part.start + 4 + 16)]
        if not said and part.head > part.start + 2 and part.marker != _APP0:
            said = True
            block = b"Exif\x00\x00" + exif
            yield b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
        if part.marker == _APP0 and body.startswith(b"JFIF\x00"):
            # The header without the thumbnail that it may carry.
            yield (
                b"\xff\xe0\x00\x10"
                + content[part.start + 4 : part.start + 16].ljust(12, b"\x00")
                + b"\x00\x00"
            )
        elif _stays(part.marker, body):
            yield view[part.start : part.end]


def _stays(marker: int, body: bytes) -> bool:
    if marker == _APP2:
        return body.startswith(_ICC)
    if marker == _APP14:
        return body.startswith(b"Adobe")
    return not (_APP0 <= marker <= _APP15 or marker == _COM)


def _png_parts(content: bytes, exif: bytes) -> Iterator[memoryview | bytes]:
    view = memoryview(content)
    yield _PNG
    at = len(_PNG)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content):
            yield view[at:]  # a file that was cut off: whoever decodes it will say so
            return
        if kind in _KEPT_CHUNKS:
            yield view[at:end]
        if kind == b"IHDR" and exif:
            yield (
                struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
            )
        if kind == b"IEND":
            return
        at = end
    if at < len(content):
        raise PictureError("the PNG file ends early", "Send it again.")
