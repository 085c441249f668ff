"""The parts of a JPEG file, told from each other without decoding (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .errors import PictureError

START = b"\xff\xd8"
SOS, EOI = 0xDA, 0xD9
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length: TEM, RST0 to RST7, SOI."""
_BEHIND_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = {0xC0, 0xC1}
_SAMPLE = 2048
"""Bytes of what is coded that are decoded all the same: more than the first blocks of any picture."""


class Part(NamedTuple):
    """One marker with what belongs to it; bytes ``start`` to ``end`` of the file.

    Attributes:
        head: end of the marker's own parameters; behind it, up to `end`, lies what is coded (after SOS only).
    """

    marker: int
    start: int
    head: int
    end: int


def parts(content: bytes) -> Iterator[Part]:
    """Yield the parts behind SOI, up to EOI or, where the file was cut off in a scan, to its end.

    Raises:
        PictureError: something that is no marker lies where one must be, or a part is longer than the file.
    """
    at = len(START)
    while True:
        start = at
        while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] == b"\xff":
            at += 1  # fill bytes
        if content[at : at + 1] != b"\xff" or at + 2 > len(content):
            raise PictureError(f"the JPEG file is damaged at byte {start}", "Send it again.")
        marker = content[at + 1]
        if marker == EOI or marker in _ALONE:
            yield Part(marker, at, at + 2, at + 2)
            if marker == EOI:
                return
            at += 2
            continue
        head = end = at + 2 + _length(content, at + 2)
        if marker == SOS:
            found = _BEHIND_SCAN.search(content, head)
            end = found.start() if found else len(content)
        yield Part(marker, at, head, end)
        if marker == SOS and found is None:
            return
        at = end


def beginning(content: bytes) -> bytes | None:
    """Return a JPEG file that decodes if and only if the whole one does, with only a little of what is coded.

    Decoders take any bits for coded blocks as long as no marker lies between them: with one scan and Huffman coding
    only the tables before it, its first blocks and its end can be wrong.

    Returns:
        None where that does not hold (progressive, arithmetic, several scans) or the file has no end.
    """
    try:
        found = list(parts(content))
    except PictureError:
        return None
    frames = [part for part in found if part.marker in _FRAMES]
    scans = [part for part in found if part.marker == SOS]
    if len(frames) != 1 or frames[0].marker not in _SEQUENTIAL or len(scans) != 1:
        return None
    scan, end = found[-2], found[-1]
    if scan.marker != SOS or end.marker != EOI or not _has_all(content, frames[0], scan):
        return None
    return content[: min(scan.end, scan.head + _SAMPLE)] + content[end.start : end.end]


def _has_all(content: bytes, frame: Part, scan: Part) -> bool:
    """Whether a scan has all components of its frame (T.81 B.2.2, B.2.3)."""
    components = content[frame.start + 9 : frame.start + 10]
    return bool(components) and components == content[scan.start + 4 : scan.start + 5]


def _length(content: bytes, at: int) -> int:
    if at + 2 > len(content):
        raise PictureError("the JPEG file ends early", "Send it again.")
    length: int = struct.unpack_from(">H", content, at)[0]
    if length < 2 or at + length > len(content):
        raise PictureError(f"the JPEG file is damaged at byte {at}", "Send it again.")
    return length
