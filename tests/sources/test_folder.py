from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.pictures import glance
from agir_cvtoolkit.sources.folder import folder_records


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_below_a_folder_are_records_in_order(tmp_path: Path) -> None:
    _touch(tmp_path, "b.JPG", "a.png", "sub/c.tiff", "notes.txt", ".hidden.jpg", ".git/d.png")
    records = folder_records(tmp_path)
    assert [r.record_id for r in records] == ["a", "b", "c"]
    assert [r.image_path for r in records] == [
        tmp_path / "a.png",
        tmp_path / "b.JPG",
        tmp_path / "sub/c.tiff",
    ]


@pytest.mark.parametrize("suffix", ["gif", "jp2", "pgm", "ppm", "webp"])
def test_whatever_can_be_read_is_a_record(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"leaf.{suffix}"
    Image.new("RGB" if suffix != "pgm" else "L", (40, 30)).save(path)
    assert [record.image_path for record in folder_records(tmp_path)] == [path]
    assert glance(path).size == (40, 30)


def test_no_two_pictures_share_an_id(tmp_path: Path) -> None:
    _touch(tmp_path, "x/1.png", "y/1.png", "y/2.png", "y/2.jpg", "3.png")
    ids = [r.record_id for r in folder_records(tmp_path)]
    assert ids == ["3", "x/1", "y/1", "y/2.jpg", "y/2.png"]
    assert len({r.stem for r in folder_records(tmp_path)}) == 5


def test_a_linked_folder_is_not_followed(tmp_path: Path) -> None:
    _touch(tmp_path, "pics/a.png")
    (tmp_path / "pics/round").symlink_to(tmp_path / "pics", target_is_directory=True)
    assert len(folder_records(tmp_path / "pics")) == 1


def test_what_holds_no_picture_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        folder_records(tmp_path / "none")
    with pytest.raises(UsageError, match="there is no picture in"):
        folder_records(tmp_path)
