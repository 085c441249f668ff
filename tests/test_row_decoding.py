from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit import pictures, row_decoding
from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.picture_limit import WHOLE_SAMPLES, take_sample_bits
from agir_cvtoolkit.pictures import check, load_rgb
from agir_cvtoolkit.row_decoding import RowsError, bytes_held, can_decode, decoded_rows

WIDTH, HEIGHT = 203, 157
RNG = np.random.default_rng(0)
DRAWN = np.clip(
    np.stack(np.broadcast_arrays(*np.ogrid[:HEIGHT, :WIDTH], 90), -1)
    + RNG.integers(-20, 20, (HEIGHT, WIDTH, 3)),
    0,
    255,
).astype(np.uint8)
WIDE = (DRAWN.astype(np.uint16) * 257 + RNG.integers(0, 200, DRAWN.shape)).astype(np.uint16)
ALPHA = RNG.integers(0, 65536, (HEIGHT, WIDTH, 1)).astype(np.uint16)

Writer = Callable[[Path], object]


def by_pillow(suffix: str, mode: str = "RGB", **options: object) -> tuple[str, Writer]:
    image = Image.fromarray(DRAWN).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray((ALPHA[..., 0] >> 8).astype(np.uint8)))
    return suffix, lambda path: image.save(path, **options)  # type: ignore[arg-type]


def by_opencv(suffix: str, array: NDArray[np.uint16]) -> tuple[str, Writer]:
    return suffix, lambda path: cv2.imwrite(str(path), array)


def by_vips(
    suffix: str, array: NDArray[np.uint8] | NDArray[np.uint16], **options: object
) -> tuple[str, Writer]:
    kind, space = ("uchar", "srgb") if array.dtype == np.uint8 else ("ushort", "rgb16")
    image = pyvips.Image.new_from_memory(array.tobytes(), WIDTH, HEIGHT, array.shape[2], kind)
    return suffix, lambda path: image.copy(interpretation=space).write_to_file(str(path), **options)


def turned(suffix: str, orientation: int) -> tuple[str, Writer]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return by_pillow(suffix, exif=exif)


STREAMED: dict[str, tuple[str, Writer]] = {
    **{f"jpeg of {n}": by_pillow(".jpg", subsampling=n, quality=88) for n in range(3)},
    "jpeg, progressive": by_pillow(".jpg", progressive=True),
    "jpeg, grey": by_pillow(".jpg", "L"),
    "jpeg, cmyk": by_pillow(".jpg", "CMYK"),
    **{f"png, {mode}": by_pillow(".png", mode) for mode in ("RGB", "L", "LA", "RGBA", "P", "1")},
    **{f"png, palette of {bits} bits": by_pillow(".png", "P", bits=bits) for bits in (1, 2, 4)},
    "png, palette with transparency": by_pillow(".png", "P", transparency=5),
    "png, colour that is transparent": by_pillow(".png", transparency=tuple(int(v) for v in DRAWN[3, 4])),
    "png, grey that is transparent": by_pillow(".png", "L", transparency=77),
    "png, grey of 16 bits": by_opencv(".png", WIDE[..., 0]),
    "png of 16 bits": by_opencv(".png", WIDE),
    "png of 16 bits with alpha": by_opencv(".png", np.dstack([WIDE, ALPHA])),
    "png, interlaced": by_vips(".png", DRAWN, interlace=True),
    **{f"tiff, {mode}": by_pillow(".tif", mode) for mode in ("RGB", "L", "LA", "RGBA", "P", "CMYK", "1")},
    **{
        f"tiff, {way}": by_pillow(".tif", compression=way)
        for way in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    },
    "tiff, big": by_pillow(".tif", big_tiff=True),
    "tiff, grey of 16 bits": by_opencv(".tif", WIDE[..., 0]),
    "tiff of 16 bits": by_opencv(".tif", WIDE),
    **{
        f"tiff, {way} tiles": by_vips(
            ".tif", DRAWN, tile=True, tile_width=64, tile_height=64, compression=way, bigtiff=True
        )
        for way in ("none", "jpeg", "lzw", "deflate")
    },
    "tiff, tiles of 16 bits": by_vips(".tif", WIDE, tile=True, tile_width=64, tile_height=64),
    "tiff, pyramid": by_vips(".tif", DRAWN, tile=True, pyramid=True),
    **{
        f"{suffix[1:]}, turned {n}": turned(suffix, n)
        for suffix in (".jpg", ".tif", ".png")
        for n in range(2, 9)
    },
}


def turned_wide(suffix: str, orientation: int) -> Callable[[NDArray[np.uint16]], tuple[str, Writer]]:
    def written(array: NDArray[np.uint16]) -> tuple[str, Writer]:
        image = pyvips.Image.new_from_memory(array.tobytes(), WIDTH, HEIGHT, array.shape[2], "ushort")
        image = image.copy(interpretation="rgb16")
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        return suffix, lambda path: image.write_to_file(str(path))

    return written


WIDE_FORMS: dict[str, Callable[[NDArray[np.uint16]], tuple[str, Writer]]] = {
    "png, grey": lambda array: by_opencv(".png", array[..., 0]),
    "png": lambda array: by_opencv(".png", array),
    "png with alpha": lambda array: by_opencv(".png", np.dstack([array, np.full_like(array[..., 0], 65535)])),
    "tiff, grey": lambda array: by_opencv(".tif", array[..., 0]),
    "tiff": lambda array: by_opencv(".tif", array),
    "tiff, tiles": lambda array: by_vips(".tif", array, tile=True, tile_width=64, tile_height=64),
    **{f"{suffix[1:]}, turned {n}": turned_wide(suffix, n) for suffix in (".tif", ".png") for n in (3, 6, 7)},
}

LEFT_TO_PILLOW: dict[str, tuple[str, Writer]] = {
    "webp": by_pillow(".webp"),
    "bmp": by_pillow(".bmp"),
    "gif": by_pillow(".gif"),
    "tiff, floats": by_pillow(".tif", "F"),
    "tiff, whole numbers": by_pillow(".tif", "I"),
    "tiff, zstd": by_pillow(".tif", compression="zstd"),
    "tiff with multiplied alpha": by_vips(".tif", np.dstack([DRAWN, DRAWN[..., :1]]), premultiply=True),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    made = {}
    for number, (name, (suffix, write)) in enumerate((STREAMED | LEFT_TO_PILLOW).items()):
        made[name] = folder / f"{number}{suffix}"
        write(made[name])
    return made


def in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode few rows at a time, and nothing by Pillow."""
    monkeypatch.setattr(row_decoding, "_ROWS_PIXELS", WIDTH * 20)
    monkeypatch.setattr("agir_cvtoolkit.upright._TILE", 50)

    def no_pillow(image: Image.Image) -> Image.Image:
        raise AssertionError("Pillow decodes")

    monkeypatch.setattr(pictures, "upright_rgb", no_pillow)


@pytest.mark.parametrize("name", WIDE_FORMS)
def test_samples_of_twelve_bits_are_as_light_as_those_that_were_scaled(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for number, array in enumerate((WIDE, WIDE >> 4)):
        suffix, write = WIDE_FORMS[name](array.astype(np.uint16))
        paths.append(tmp_path / f"{number}{suffix}")
        write(paths[-1])
    scaled = load_rgb(paths[0])
    take_sample_bits(12)
    try:
        assert np.array_equal(load_rgb(paths[1]), scaled)
        in_bands(monkeypatch)
        assert np.array_equal(load_rgb(paths[1], tmp_path), scaled)
    finally:
        take_sample_bits(WHOLE_SAMPLES)
    assert load_rgb(paths[1], tmp_path).max() < 17, "dark as it is stored"


def test_samples_of_eight_bits_are_read_as_ever(files: dict[str, Path]) -> None:
    narrow = [path for name, path in files.items() if "16 bits" not in name]
    assert len(narrow) > 50
    usual = [load_rgb(path) for path in narrow]
    take_sample_bits(12)
    try:
        assert all(np.array_equal(load_rgb(path), seen) for path, seen in zip(narrow, usual, strict=True))
    finally:
        take_sample_bits(WHOLE_SAMPLES)


@pytest.mark.parametrize("name", STREAMED)
def test_the_same_pixels_come_out_by_rows(
    name: str, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_rgb(files[name])
    in_bands(monkeypatch)
    by_rows = load_rgb(files[name], tmp_path)
    assert isinstance(by_rows, np.memmap)
    assert np.array_equal(by_rows, whole)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", LEFT_TO_PILLOW)
def test_what_the_two_read_differently_is_left_to_pillow(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    with Image.open(files[name]) as image:
        assert not can_decode(image) or name == "tiff, zstd"
    on_disk = load_rgb(files[name], tmp_path)
    assert isinstance(on_disk, np.memmap)
    assert np.array_equal(on_disk, load_rgb(files[name]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    suffix=st.sampled_from([".jpg", ".png", ".tif"]),
    mode=st.sampled_from(["RGB", "L"]),
    orientation=st.integers(1, 8),
    rows=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_any_size_and_orientation(
    size: tuple[int, int],
    suffix: str,
    mode: str,
    orientation: int,
    rows: int,
    seed: int,
    tmp_path: Path,
) -> None:
    drawn = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(drawn).convert(mode).save(path, exif=exif)
    whole = load_rgb(path)
    with pytest.MonkeyPatch.context() as patched:
        in_bands(patched)
        patched.setattr(row_decoding, "_ROWS_PIXELS", size[0] * rows)
        assert np.array_equal(load_rgb(path, tmp_path), whole)


DAMAGED = [
    "jpeg of 2",
    "jpeg, progressive",
    "png, RGB",
    "png, interlaced",
    "tiff, RGB",
    "tiff, tiff_lzw",
    "tiff, jpeg tiles",
]


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_cut_file_is_refused_or_not_as_ever(
    name: str, kept: float, files: dict[str, Path], tmp_path: Path
) -> None:
    content = files[name].read_bytes()
    path = tmp_path / files[name].name
    path.write_bytes(content[: int(len(content) * kept)])
    said = []
    for scratch in (None, tmp_path):
        try:
            said.append(load_rgb(path, scratch).tobytes())
        except PictureError as error:
            said.append(str(error).encode())
    assert said[0] == said[1]


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_said_by_an_error_alone(
    name: str, files: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / files[name].name
    path.write_bytes(files[name].read_bytes()[:-2000])
    with Image.open(files[name]) as image, pytest.raises(RowsError):
        list(decoded_rows(path, image))
    assert capfd.readouterr() == ("", "")


def test_large_files_are_checked_by_rows(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "_LARGE", 1000)
    whole, cut = files["tiff, tiff_lzw"], tmp_path / "cut.tif"
    cut.write_bytes(files["tiff, RGB"].read_bytes()[:-4000])
    with pytest.raises(PictureError, match="truncated"):
        check(cut)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("Pillow decodes"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: pytest.fail("Pillow decodes"))
    assert check(whole).size == (WIDTH, HEIGHT)


def test_what_does_not_fit_into_memory_names_the_extra(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "free_bytes", lambda: 4 * WIDTH * HEIGHT - 1)
    assert load_rgb(files["jpeg of 2"], tmp_path).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(PictureError, match=r"takes 0\.0 GB to decode as a whole.*Save it again"):
        load_rgb(files["webp"], tmp_path)
    monkeypatch.setattr(row_decoding, "_vips", lambda: None)
    with pytest.raises(PictureError, match=r"by rows|rows at a time: pip install 'agir-cvtoolkit\[large\]'"):
        load_rgb(files["jpeg of 2"], tmp_path)
    monkeypatch.setattr(pictures, "free_bytes", lambda: 4 * WIDTH * HEIGHT)
    assert load_rgb(files["jpeg of 2"], tmp_path).shape == (HEIGHT, WIDTH, 3)


def test_a_damaged_file_that_pillow_has_no_room_for_is_called_damaged(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(files["jpeg of 2"].read_bytes()[:4000])
    monkeypatch.setattr(pictures, "free_bytes", lambda: 1000)
    with pytest.raises(PictureError, match=r"a\.jpg is damaged: .*premature end"):
        load_rgb(path, tmp_path)


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("jpeg of 0", 0),
        ("jpeg, progressive", 3 * WIDTH * HEIGHT),
        ("png, interlaced", 3 * WIDTH * HEIGHT),
        ("png, RGB", 0),
    ],
)
def test_what_is_stored_in_several_passes_lies_in_memory(
    name: str, held: int, files: dict[str, Path]
) -> None:
    with Image.open(files[name]) as image:
        assert bytes_held(image) == pytest.approx(held, abs=1)


def test_libvips_is_held_short() -> None:
    code = (
        "import logging; logging.basicConfig()\n"
        "from agir_cvtoolkit import row_decoding; assert row_decoding.is_there()\n"
        "import pyvips; print(pyvips.concurrency_get(), pyvips.cache_get_max())\n"
        "logging.getLogger('pyvips').warning('said')\n"
        'pyvips.Image.svgload_buffer(b\'<svg width="9" height="9"/>\')\n'
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "0"]
    assert "said" not in done.stderr
    assert "svgload_buffer" in done.stderr
    assert "block" in done.stderr


def test_files_are_decoded_from_a_name_that_is_no_text(files: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / "a[page=3]\udcff.jpg"
    odd.write_bytes(files["jpeg of 2"].read_bytes())
    assert np.array_equal(load_rgb(odd, tmp_path / "scratch"), load_rgb(odd))
