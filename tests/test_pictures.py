"""Pictures: decoded upright, checked whole, and every failure a clear error that names the file."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit.errors import DataError, MaskError, PictureError
from agir_cvtoolkit.picture_limit import WHOLE_SAMPLES, allowed_pixels, reading_identity, take_sample_bits
from agir_cvtoolkit.pictures import check, glance, load_mask, load_rgb, named, png_bytes, save_png, sha256_of

ORIENTATION = 0x0112
READERS: list[Callable[[Path], Any]] = [load_rgb, check]
EVERY_READER: list[Callable[[Path], Any]] = [load_rgb, check, load_mask]

# What a camera stores for an upright scene, by EXIF orientation (EXIF 2.3, 4.6.4): where row 0 and column 0
# lie.
STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, *range(2, a.ndim)),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, *range(2, a.ndim)),
    8: lambda a: np.rot90(a, -1),
}


EXACT: dict[str, dict[str, Any]] = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}


def scene(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    """A picture without any symmetry."""
    ys, xs = np.mgrid[0:height, 0:width]
    return np.stack([xs * 6, ys * 10, (xs + 2 * ys) * 2], axis=2).astype(np.uint8)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


def saved(path: Path, array: NDArray[Any], **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_come_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = scene()
    options = EXACT.get(suffix, {})
    stored = np.ascontiguousarray(STORED[orientation](upright))
    path = saved(tmp_path / f"a{suffix}", stored, exif=exif(orientation), **options)
    tolerance = 4 if suffix == ".jpg" else 0
    found = load_rgb(path)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= tolerance
    assert glance(path).size == check(path).size == (40, 24)
    assert glance(path).copyable == (orientation == 1 and suffix in {".jpg", ".png"})


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_turned_16_bit_picture_comes_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = scene()[..., 0].astype(np.uint16) * 257
    stored = np.ascontiguousarray(STORED[orientation](upright))
    path = saved(tmp_path / f"a{suffix}", stored, exif=exif(orientation))
    assert glance(path).size == (40, 24)
    assert np.array_equal(load_rgb(path), np.repeat(scene()[..., :1], 3, axis=2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_turned_mask_comes_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = (scene()[..., 0] > 90).astype(np.uint8) * 7
    stored = np.ascontiguousarray(STORED[orientation](upright))
    path = saved(tmp_path / f"m{suffix}", stored, exif=exif(orientation))
    assert np.array_equal(load_mask(path, (40, 24)), upright)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_impossible_orientation_is_none(tmp_path: Path, value: int) -> None:
    path = saved(tmp_path / "a.png", scene(), exif=exif(value))
    assert np.array_equal(load_rgb(path), scene())
    assert glance(path).orientation == 1


def test_a_damaged_exif_block_does_not_spoil_the_picture(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.jpg",
        scene(),
        quality=100,
        subsampling=0,
        exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff",
    )
    assert load_rgb(path).shape == scene().shape
    assert glance(path).orientation == 1


# --- kinds of pictures ----------------------------------------------------------------------------


def test_an_upright_rgb_jpeg_or_png_may_be_copied(tmp_path: Path) -> None:
    for name, suffix in (("a.jpg", ".jpg"), ("a.jpeg", ".jpg"), ("a.png", ".png")):
        info = glance(saved(tmp_path / name, scene()))
        assert (info.copyable, info.suffix, info.mode, info.size) == (True, suffix, "RGB", (40, 24))


def png_16_bit_rgb(path: Path) -> Path:
    """Pillow cannot write 16-bit RGB, so by hand (PNG specification, chunks IHDR, IDAT, IEND)."""
    height, width = 24, 40
    samples = scene().astype(np.uint16) * 257
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in samples)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def test_16_bit_rgb_is_rendered_not_copied(tmp_path: Path) -> None:
    path = png_16_bit_rgb(tmp_path / "a.png")
    assert not glance(path).copyable
    assert not check(path).copyable
    assert np.array_equal(load_rgb(path), scene())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_above_the_bits_in_use_is_white_and_other_samples_are_as_ever(tmp_path: Path, suffix: str) -> None:
    wide = saved(tmp_path / f"a{suffix}", np.array([[0, 255, 4095, 4096, 65535]], np.uint16))
    narrow = saved(tmp_path / f"b{suffix}", np.array([[0, 100, 255]], np.uint8))
    assert load_rgb(wide)[0, :, 0].tolist() == [0, 0, 15, 16, 255]
    take_sample_bits(12)
    try:
        assert load_rgb(wide)[0, :, 0].tolist() == [0, 15, 255, 255, 255]
        assert load_rgb(narrow)[0, :, 0].tolist() == [0, 100, 255]
        assert reading_identity() == (12,)
    finally:
        take_sample_bits(WHOLE_SAMPLES)
    assert reading_identity() == ()


def test_a_damaged_file_of_wide_colours_is_named(tmp_path: Path) -> None:
    path = png_16_bit_rgb(tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:-60])
    take_sample_bits(12)
    try:
        with pytest.raises(PictureError, match=r"a\.png"):
            load_rgb(path)
    finally:
        take_sample_bits(WHOLE_SAMPLES)


def test_a_dark_16_bit_picture_stays_dark(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.full((4, 5), 200, np.uint16))
    assert load_rgb(path).max() <= 1


def test_float_and_32_bit_pictures_are_scaled(tmp_path: Path) -> None:
    share = scene()[..., 0].astype(np.float32) / 255
    share[0, 0] = np.nan
    found = load_rgb(saved(tmp_path / "f.tif", share))
    assert np.abs(found[1:, :, 0].astype(int) - scene()[1:, :, 0]).max() <= 1
    wide = scene()[..., 0].astype(np.int32)
    assert np.array_equal(load_rgb(saved(tmp_path / "i.tif", wide))[..., 0], scene()[..., 0])


def test_cmyk_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(scene()).convert("CMYK").save(path, quality=100, subsampling=0)
    assert not glance(path).copyable
    assert np.abs(load_rgb(path).astype(int) - scene()).max() <= 8


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_other_modes_become_rgb_and_are_not_copied(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(scene()).convert(mode).save(path)
    assert not glance(path).copyable
    found = load_rgb(path)
    assert found.shape == (24, 40, 3)
    assert found.dtype == np.uint8
    if mode in {"L", "LA"}:
        assert np.array_equal(found[..., 0], np.asarray(Image.fromarray(scene()).convert("L")))


def test_transparency_is_laid_on_black(tmp_path: Path) -> None:
    layered = np.dstack([scene(), np.full((24, 40), 255, np.uint8)])
    layered[:, :20, 3] = 0
    found = load_rgb(saved(tmp_path / "a.png", layered))
    assert not found[:, :20].any()
    assert np.array_equal(found[:, 20:], scene()[:, 20:])


def test_a_transparent_colour_is_laid_on_black_and_not_copied(tmp_path: Path) -> None:
    picture = scene()
    picture[:, :20] = (250, 10, 10)
    path = saved(tmp_path / "a.png", picture, transparency=(250, 10, 10))
    assert not glance(path).copyable
    assert not load_rgb(path)[:, :20].any()


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    first, second = Image.new("RGB", (6, 4), (255, 0, 0)), Image.new("RGB", (6, 4), (0, 0, 255))
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=[second], **options)
    assert not glance(path).copyable
    assert (load_rgb(path) == (255, 0, 0)).all()


def test_a_format_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", scene(), format="PNG")
    assert glance(path).suffix == ".png"
    assert np.array_equal(load_rgb(path), scene())


# --- failures -------------------------------------------------------------------------------------


def truncated(path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])


def bomb(path: Path) -> None:
    data = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    header = b"IHDR" + data
    idat = b"IDAT" + zlib.compress(b"\x00")
    content = b""
    for chunk in (header, idat, b"IEND"):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


BAD: dict[str, Callable[[Path], object]] = {
    "text": lambda p: p.write_text("this is no picture\n"),
    "html": lambda p: p.write_text("<html><body>502</body></html>"),
    "empty": lambda p: p.write_bytes(b""),
    "one-byte": lambda p: p.write_bytes(b"\xff"),
    "jpeg-magic": lambda p: p.write_bytes(b"\xff\xd8\xff\xe0"),
    "png-magic": lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"),
    "half-jpeg": lambda p: truncated(p, "JPEG"),
    "half-png": lambda p: truncated(p, "PNG"),
    "half-tiff": lambda p: truncated(p, "TIFF"),
    "half-webp": lambda p: truncated(p, "WEBP"),
    "half-bmp": lambda p: truncated(p, "BMP"),
    "half-gif": lambda p: truncated(p, "GIF"),
    "bomb": bomb,
    "folder": lambda p: p.mkdir(),
    "missing": lambda p: None,
    "postscript": lambda p: p.write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    ),
}


@pytest.mark.parametrize("reader", EVERY_READER)
@pytest.mark.parametrize("kind", BAD)
def test_every_failure_is_an_error_that_names_the_file(
    tmp_path: Path, kind: str, reader: Callable[[Path], Any]
) -> None:
    path = tmp_path / "IMG 5 & grün.jpg"
    BAD[kind](path)
    expected = MaskError if reader is load_mask else PictureError
    with pytest.raises(expected) as caught:
        reader(path)
    assert str(path) in caught.value.problem
    assert caught.value.next_step
    assert caught.value.problem.startswith(("mask ", str(path))) or reader is not load_mask


@pytest.mark.parametrize("kind", ["text", "empty", "bomb", "folder", "missing", "jpeg-magic"])
def test_glance_fails_where_there_is_no_header(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jpg"
    BAD[kind](path)
    with pytest.raises(PictureError, match=r"a\.jpg"):
        glance(path)


def test_the_kind_of_failure_is_said(tmp_path: Path) -> None:
    said = {}
    for kind in ("text", "half-jpeg", "bomb", "folder", "missing", "empty"):
        path = tmp_path / f"{kind}.jpg"
        BAD[kind](path)
        with pytest.raises(PictureError) as caught:
            check(path)
        said[kind] = str(caught.value)
    assert "is not a picture" in said["text"]
    assert "damaged" in said["half-jpeg"]
    assert "decompression bomb" in said["bomb"]
    assert "100000x100000" in said["bomb"]
    assert "folder" in said["folder"]
    assert "does not exist" in said["missing"]
    assert "is empty" in said["empty"]


def test_a_name_that_no_file_system_takes_is_an_error_too(tmp_path: Path) -> None:
    for name in ("x" * 5000, "nul\x00byte", "lone\ud800surrogate"):
        with pytest.raises(PictureError):
            load_rgb(tmp_path / name)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(scene(12, 16))
    image.save(buffer, kind, **({"exif": exif(6)} if kind in {"JPEG", "PNG", "TIFF", "WEBP"} else {}))
    return buffer.getvalue()


SAMPLES = {kind: encoded(kind) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM")}


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_bytes_are_read_or_refused_but_never_crash(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = bytearray(SAMPLES[kind])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    for reader in (glance, check, load_rgb, load_mask):
        try:
            reader(path)
        except DataError as error:
            assert str(path) in error.problem


# --- masks ----------------------------------------------------------------------------------------


def test_an_8_bit_mask_holds_class_ids(tmp_path: Path) -> None:
    ids = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)
    path = tmp_path / "m.png"
    save_png(ids, path)
    assert np.array_equal(load_mask(path), ids)
    assert np.array_equal(load_mask(path, (4, 3)), ids)


def test_a_1_bit_mask_is_255(tmp_path: Path) -> None:
    binary = np.array([[0, 1, 0], [1, 1, 0]], np.bool_)
    found = load_mask(saved(tmp_path / "m.png", binary))
    assert np.array_equal(found, binary * np.uint8(255))
    assert found.dtype == np.uint8


def test_a_palette_mask_holds_its_indices(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    image = Image.fromarray(ids, "L").convert("L")
    image = Image.frombytes("P", (3, 2), ids.tobytes())
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "m.png")
    assert np.array_equal(load_mask(tmp_path / "m.png"), ids)


def test_any_colour_is_foreground(tmp_path: Path) -> None:
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[0, 0], rgb[1, 2] = (0, 0, 1), (90, 200, 3)
    expected = np.array([[255, 0, 0], [0, 0, 255]], np.uint8)
    assert np.array_equal(load_mask(saved(tmp_path / "rgb.png", rgb)), expected)
    opaque = np.dstack([rgb, np.full((2, 3), 255, np.uint8)])
    assert np.array_equal(load_mask(saved(tmp_path / "rgba.png", opaque)), expected)
    grey_alpha = Image.fromarray(expected).convert("LA")
    grey_alpha.save(tmp_path / "la.png")
    assert np.array_equal(load_mask(tmp_path / "la.png"), expected)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    save_png(np.zeros((3, 4), np.uint8), path)
    with pytest.raises(MaskError, match=r"m\.png is 4x3, its picture 8x6"):
        load_mask(path, (8, 6))


# --- writing and hashing --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_png_is_lossless(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    save_png(array, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), array)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(array)))), array)


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 300_000)
    assert sha256_of(path) == hashlib.sha256(b"x" * 300_000).hexdigest()


def test_large_pictures_of_field_cameras_are_below_the_bound() -> None:
    assert allowed_pixels() > 13_368 * 9_520
    assert Image.MAX_IMAGE_PIXELS is None


def test_a_record_without_a_picture_says_what_may_have_left_it_out(tmp_path: Path) -> None:
    assert named(tmp_path) == tmp_path
    with pytest.raises(PictureError, match=r"names no picture.*--projection"):
        named(None)
