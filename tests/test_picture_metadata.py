"""Metadata goes without a pixel being touched."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.picture_metadata import can_lose_metadata, without_metadata

GPS, ARTIST, ORIENTATION = 0x8825, 0x013B, 0x0112
SECRET = b"Jane Doe of Raleigh"


def picture(seed: int = 1, size: tuple[int, int] = (48, 32), mode: str = "RGB") -> Image.Image:
    channels = {"RGB": 3, "CMYK": 4, "L": 1}[mode]
    array = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], channels), dtype=np.uint8)
    return Image.fromarray(array.squeeze(), mode)


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[ARTIST] = SECRET.decode()
    found[ORIENTATION] = orientation
    found.get_ifd(GPS)[1] = "N"
    found.get_ifd(GPS)[2] = (35.0, 46.0, 30.0)
    return found


def jpeg(orientation: int = 1, **options: object) -> bytes:
    stream = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    mode = str(options.pop("mode", "RGB"))
    picture(mode=mode).save(
        stream, "JPEG", exif=exif(orientation), icc_profile=profile, comment=SECRET, **options
    )
    return stream.getvalue()


def png(orientation: int = 1) -> bytes:
    stream, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Author", SECRET.decode())
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>" + SECRET.decode() + "</x:xmpmeta>")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture().save(stream, "PNG", pnginfo=text, exif=exif(orientation), icc_profile=profile, dpi=(72, 72))
    return stream.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize(
    "content",
    [
        jpeg(),
        jpeg(progressive=True),
        jpeg(mode="CMYK"),
        jpeg(restart_marker_blocks=2),
        jpeg(mode="L"),
        png(),
        jpeg() + b"\x00film with a place " + SECRET + jpeg(),
    ],
    ids=["plain", "progressive", "cmyk", "restarts", "grey", "png", "trailer"],
)
def test_pixels_and_profile_stay_and_the_rest_goes(content: bytes) -> None:
    assert SECRET in content
    cleaned = without_metadata(content)
    assert SECRET not in cleaned
    before, after = opened(content), opened(cleaned)
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert after.info["icc_profile"] == before.info["icc_profile"]
    said = "jfif_density" if before.format == "JPEG" else "dpi"
    assert after.info.get(said) == before.info.get(said)
    assert dict(after.getexif()) == {}
    assert without_metadata(cleaned) == cleaned


@pytest.mark.parametrize("content", [jpeg(6), png(6)], ids=["jpeg", "png"])
def test_which_side_is_up_is_still_said(content: bytes) -> None:
    cleaned = without_metadata(content, 6)
    assert dict(opened(cleaned).getexif()) == {ORIENTATION: 6}
    assert not opened(cleaned).getexif().get_ifd(GPS)
    assert SECRET not in cleaned


def test_the_scan_is_the_very_same_bytes() -> None:
    content = jpeg()
    scan = content[content.index(b"\xff\xda") :]
    assert without_metadata(content).endswith(scan)


def test_other_files_are_refused() -> None:
    assert not can_lose_metadata(b"GIF89a")
    with pytest.raises(PictureError, match="neither JPEG nor PNG"):
        without_metadata(b"GIF89a")


@given(
    cut=st.integers(2, len(jpeg()) - 1), flips=st.lists(st.integers(2, 3000), max_size=4), kind=st.booleans()
)
def test_damaged_files_end_in_an_error_or_in_bytes(cut: int, flips: list[int], *, kind: bool) -> None:
    content = bytearray((jpeg() if kind else png())[:cut])
    for at in flips:
        if at < len(content):
            content[at] ^= 0xFF
    if not can_lose_metadata(bytes(content)):
        return
    try:
        cleaned = without_metadata(bytes(content))
    except PictureError:
        return
    assert len(cleaned) <= len(content) + 32
