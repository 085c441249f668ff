"""Parts of a JPEG file, and whether its beginning tells as much as the whole."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agir_cvtoolkit import jpeg
from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.pictures import check


def _photograph(*, mode: str = "RGB", **options: bool | int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", quality=80, **options)
    return stream.getvalue()


PLAIN = _photograph()
KINDS = {
    "plain": PLAIN,
    "restarts": _photograph(restart_marker_blocks=4),
    "progressive": _photograph(progressive=True),
    "grey": _photograph(mode="L"),
    "four inks": _photograph(mode="CMYK"),
}


def _verdict(content: bytes, *, quick: bool) -> bool:
    try:
        check(content, quick=quick)
    except PictureError:
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_the_whole_file(kind: str) -> None:
    content = KINDS[kind]
    found = list(jpeg.parts(content))
    assert found[0].start == 2
    assert all(one.end == next_one.start for one, next_one in pairwise(found))
    assert found[-1].marker == jpeg.EOI
    assert found[-1].end == len(content)


@pytest.mark.parametrize("kind", ["plain", "restarts", "grey", "four inks"])
def test_the_beginning_is_short_and_decodes(kind: str) -> None:
    short = jpeg.beginning(KINDS[kind])
    assert short is not None
    assert len(short) <= len(KINDS[kind])
    assert _verdict(short, quick=False)


def test_of_a_large_file_little_is_decoded() -> None:
    short = jpeg.beginning(PLAIN)
    assert short is not None
    assert len(short) < len(PLAIN) / 3


def test_scans_that_build_on_each_other_have_no_beginning() -> None:
    assert jpeg.beginning(KINDS["progressive"]) is None


def test_a_file_without_end_has_no_beginning() -> None:
    assert jpeg.beginning(PLAIN[:-2]) is None
    assert not _verdict(PLAIN[:-2], quick=True)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    at=st.floats(0, 1),
    length=st.integers(0, 400),
    put=st.binary(max_size=400),
)
def test_the_quick_check_says_what_decoding_says(kind: str, at: float, length: int, put: bytes) -> None:
    content = KINDS[kind]
    start = 2 + int(at * (len(content) - 2))
    changed = content[:start] + put + content[start + length :]
    assert _verdict(changed, quick=True) == _verdict(changed, quick=False)


@given(st.sampled_from(sorted(KINDS)), st.integers(2, 700), st.integers(0, 255))
def test_one_wrong_byte_in_the_head_is_judged_alike(kind: str, at: int, value: int) -> None:
    content = bytearray(KINDS[kind])
    content[min(at, len(content) - 1)] = value
    assert _verdict(bytes(content), quick=True) == _verdict(bytes(content), quick=False)
