"""Colour TIFF files of floats."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.errors import MaskError, PictureError
from agir_cvtoolkit.picture_limit import DEFAULT_MEGAPIXELS, allow_megapixels
from agir_cvtoolkit.picture_memory import A_PIXEL, decoding_bytes
from agir_cvtoolkit.pictures import check, glance, load_mask, load_rgb
from agir_cvtoolkit.pixel_depth import as_8_bit

RGB = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def written(path: Path, samples: np.ndarray) -> Path:
    order = [2, 1, 0, 3][: samples.shape[2]]
    assert cv2.imwrite(str(path), samples[..., order])
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_colours_of_floats_are_read(tmp_path: Path, dtype: type[np.floating], white: int) -> None:
    file = written(tmp_path / "a.tif", (RGB / 255 * white).astype(dtype))
    info = glance(file)
    assert (info.size, info.copyable, info.suffix, info.format) == ((40, 24), False, ".png", "TIFF")
    assert check(file).size == (40, 24)
    assert np.array_equal(load_rgb(file), RGB)
    assert np.array_equal(load_rgb(file.read_bytes()), RGB)
    assert np.array_equal(load_rgb(file, tmp_path / "scratch"), RGB)


def test_what_is_no_number_is_black_and_transparency_is_laid_on_black(tmp_path: Path) -> None:
    samples = np.dstack([RGB / 255, np.ones(RGB.shape[:2])]).astype(np.float32)
    samples[0, 0] = np.nan
    samples[1, 1, 3] = 0
    found = load_rgb(written(tmp_path / "a.tif", samples))
    expected = RGB.copy()
    expected[0, 0] = expected[1, 1] = 0
    assert np.array_equal(found, expected)


def test_it_is_turned_upright(tmp_path: Path) -> None:
    file = written(tmp_path / "a.tif", (RGB / 255).astype(np.float32))
    content = bytearray(file.read_bytes())
    start = int.from_bytes(content[4:8], "little")
    entries = range(start + 2, start + 2 + 12 * int.from_bytes(content[start : start + 2], "little"), 12)
    where = {int.from_bytes(content[at : at + 2], "little"): at for at in entries}
    # How planes lie (284) is said besides by its absence; its entry now tells the orientation (274).
    content[where[284] : where[284] + 2] = (274).to_bytes(2, "little")
    content[where[284] + 8] = 6
    file.write_bytes(content)
    assert glance(file).size == (24, 40)
    assert np.array_equal(load_rgb(file), np.rot90(RGB, -1))


def test_damaged_and_too_large_ones_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "a.tif", (RGB / 255).astype(np.float32))
    allow_megapixels(0)
    try:
        with pytest.raises(PictureError, match="more than 0 million"):
            glance(file)
    finally:
        allow_megapixels(DEFAULT_MEGAPIXELS)
    content = file.read_bytes()
    for end in (9, 40, len(content) // 2):
        file.write_bytes(content[:end])
        with pytest.raises(PictureError):
            load_rgb(file)


def test_as_masks_they_say_where_anything_is(tmp_path: Path) -> None:
    samples = np.zeros((4, 5, 3), np.float32)
    samples[1, 2, 0] = 1
    assert load_mask(written(tmp_path / "a.tif", samples)).sum() == 255
    (tmp_path / "b.tif").write_bytes(b"II*\0nothing")
    with pytest.raises(MaskError):
        load_mask(tmp_path / "b.tif")


def test_a_picture_in_parts_has_one_white() -> None:
    deep = np.zeros((2000, 1200), np.float32)
    deep[-1, -1] = 65535
    deep[0, 0] = 257
    assert as_8_bit(deep)[0, 0] == 1
    assert as_8_bit(deep)[-1, -1] == 255
    assert np.array_equal(as_8_bit(np.array([[4096, 255]], np.uint16)), [[16, 0]])


def test_greys_of_floats_are_as_before(tmp_path: Path) -> None:
    Image.fromarray((RGB[..., 0] / 255).astype(np.float32)).save(tmp_path / "a.tif")
    assert np.array_equal(load_rgb(tmp_path / "a.tif")[..., 0], RGB[..., 0])


def test_a_glance_decodes_nothing_and_tells_what_decoding_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "a.tif", (RGB / 255).astype(np.float64))

    def decoded(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imdecode", decoded)
        info = glance(file)
    assert info.size == (40, 24)
    assert decoding_bytes(info) >= 3 * 8 * 3
    Image.fromarray(RGB).save(tmp_path / "b.tif")
    assert decoding_bytes(glance(tmp_path / "b.tif")) < A_PIXEL
