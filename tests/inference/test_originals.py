from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.errors import DataError, PictureError
from agir_cvtoolkit.inference.originals import Reading, crop_of, read_original
from agir_cvtoolkit.pictures import RGB, load_rgb, sha256_of
from agir_cvtoolkit.records import Box, Record
from agir_cvtoolkit.runs import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("r", tmp_path / "run")


def drawn(path: Path, mode: str = "RGB", **options: object) -> Path:
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(rgb).convert(mode).save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.png"])
def test_an_upright_rgb_file_is_copied_byte_for_byte(name: str, run: Run, tmp_path: Path) -> None:
    source = drawn(tmp_path / name)
    original = read_original(Record("a", source), run, save=True)
    assert original.image_path is not None
    assert original.image_path == ("images/a.png" if name.endswith("png") else "images/a.jpg")
    content = run.inside(original.image_path).read_bytes()
    assert content == source.read_bytes()
    assert original.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_rendered_once(orientation: int, run: Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = drawn(tmp_path / "a.jpg", exif=exif)
    original = read_original(Record("a", source), run, save=True)
    assert original.image_path == "images/a.png"
    assert original.size == ((30, 40) if orientation >= 5 else (40, 30))
    assert np.array_equal(load_rgb(run.inside(original.image_path)), original.rgb)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.tif", "RGB"),
        ("a.jpg", "CMYK"),
        ("a.png", "P"),
        ("a.png", "I;16"),
        ("a.jpg", "L"),
        ("a.png", "RGBA"),
    ],
)
def test_other_files_are_rendered_once(name: str, mode: str, run: Run, tmp_path: Path) -> None:
    source = tmp_path / name
    if mode == "I;16":
        Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50).save(source)
    else:
        drawn(source, mode)
    original = read_original(Record("a", source), run, save=True)
    assert original.image_path == "images/a.png"
    with Image.open(run.inside(original.image_path)) as written:
        assert written.mode == "RGB"
    assert np.array_equal(load_rgb(run.inside(original.image_path)), original.rgb)


def test_a_cutout_is_scaled_to_the_real_picture(run: Run, tmp_path: Path) -> None:
    source = drawn(tmp_path / "a.png")
    record = Record("cut", source, crop=Box(20, 10, 40, 20), reference_size=(80, 60))
    original = read_original(record, run, save=True)
    assert original.image_path == "images/cut.png"
    assert np.array_equal(original.rgb, load_rgb(source)[5:15, 10:30])
    assert original.rgb.flags.owndata


@pytest.mark.parametrize(
    ("box", "part"),
    [
        (Box(-5, -5, 10, 10), (0, 0, 5, 5)),
        (Box(35, 25, 100, 100), (35, 25, 40, 30)),
        (Box(39.9, 29.9, 0.05, 0.05), (39, 29, 40, 30)),
        (Box(0, 0, 40, 30), (0, 0, 40, 30)),
    ],
)
def test_crops_end_at_the_picture(box: Box, part: tuple[int, int, int, int]) -> None:
    assert crop_of(Record("a", None, crop=box), (40, 30)) == part


def test_a_crop_outside_is_an_error() -> None:
    with pytest.raises(DataError, match="a lies outside its picture of 40x30"):
        crop_of(Record("a", None, crop=Box(50, 0, 5, 5)), (40, 30))


def test_nothing_is_written_when_not_wanted(run: Run, tmp_path: Path) -> None:
    source = drawn(tmp_path / "a.jpg")
    original = read_original(Record("a", source), run, save=False)
    assert original.image_path is None
    assert original.sha256 == sha256_of(source)
    part = read_original(Record("a", source, crop=Box(1, 1, 5, 5)), run, save=False)
    assert part.sha256 is None
    assert not run.root.exists()


def test_a_truncated_file_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    source = drawn(tmp_path / "a.jpg")
    source.write_bytes(source.read_bytes()[:-300])
    with pytest.raises(PictureError, match="damaged"):
        read_original(Record("a", source), run, save=True)
    assert not run.root.exists()


def test_pictures_that_are_too_large_lie_on_disk(run: Run, tmp_path: Path) -> None:
    source = drawn(tmp_path / "a.png")
    small = Reading(run, save=False, in_memory=1200).original(Record("a", source))
    large = Reading(run, save=False, in_memory=1199).original(Record("a", source))
    assert not isinstance(small.rgb, np.memmap)
    assert isinstance(large.rgb, np.memmap)
    assert np.array_equal(large.rgb, small.rgb)
    assert large.sha256 == small.sha256
    assert not [path for path in run.root.rglob("*") if path.is_file()]


def test_records_of_one_picture_decode_it_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []

    def counted(path: Path, scratch: Path | None = None) -> RGB:
        decoded.append(path)
        return load_rgb(path, scratch)

    monkeypatch.setattr("agir_cvtoolkit.inference.originals.load_rgb", counted)
    one, two = drawn(tmp_path / "one.png"), drawn(tmp_path / "two.png")
    reading = Reading(run, save=False)
    for number, path in enumerate([one, one, one, two, one]):
        reading.original(Record(str(number), path, crop=Box(number, 2, 8, 6)))
    assert decoded == [one, two, one]
