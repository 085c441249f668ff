from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from agir_cvtoolkit.records import Box
from agir_cvtoolkit.reporting.picture_sheet import SheetPicture, _broken, picture_sheet

_GREY = np.full((60, 80, 3), 90, np.uint8)


def _sheet(
    path: Path, *pictures: SheetPicture, **options: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    picture_sheet(iter(pictures), len(pictures), path, title="x" * 500, **options)
    return np.asarray(Image.open(path))


def test_pictures_lie_row_by_row(tmp_path: Path) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    pictures = [
        SheetPicture(f"r{n}", "barley", np.full((60, 80, 3), c, np.uint8)) for n, c in enumerate(colours)
    ]
    sheet = _sheet(tmp_path / "sheet.jpg", *pictures, columns=2, cell=80)
    assert sheet.shape == (48 + 2 * (60 + 40 + 12), 12 + 2 * (80 + 12), 3)
    for (x, y), colour in zip([(52, 78), (144, 78), (52, 190)], colours, strict=True):
        assert np.abs(sheet[y, x].astype(int) - colour).max() < 12


def test_words_are_broken_between_words_and_only_the_last_line_is_cut() -> None:
    pen, font = ImageDraw.Draw(Image.new("RGB", (4, 4))), ImageFont.load_default(13)
    rule = "12. 0.152: holds much of the doubt about a class, and is not like what was chosen"
    found = _broken(pen, rule, 260, font, 3)
    assert 1 < len(found) <= 3
    assert " ".join(found) == rule
    assert all(pen.textlength(line, font) <= 260 for line in found)
    cut = _broken(pen, rule, 100, font, 2)
    assert len(cut) == 2
    assert cut[1].endswith("...")
    assert _broken(pen, "", 100, font, 2) == []


def test_a_longer_caption_has_its_room(tmp_path: Path) -> None:
    one = _sheet(tmp_path / "one.jpg", SheetPicture("r", "many words " * 9, _GREY), cell=80)
    three = _sheet(tmp_path / "three.jpg", SheetPicture("r", "many words " * 9, _GREY), cell=80, lines=3)
    assert three.shape[0] - one.shape[0] == 2 * 17


def test_a_box_is_shown_with_a_little_around_it_and_framed(tmp_path: Path) -> None:
    picture = _GREY.copy()
    picture[20:30, 40:50] = (250, 250, 250)
    sheet = _sheet(tmp_path / "sheet.jpg", SheetPicture("r", None, picture, Box(40, 20, 10, 10)), cell=160)
    shown = sheet[48:168, 12:172].astype(int)
    white = (shown.min(axis=2) > 230).sum()
    assert 4000 < white < 6400, "10 of 15 pixels of each side"
    green = (shown[..., 1] - shown[..., 0] > 60) & (shown[..., 1] - shown[..., 2] > 40)
    assert green.sum() > 300


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2)])
def test_pictures_of_any_size_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    sheet = _sheet(
        tmp_path / "sheet.jpg", SheetPicture("植" * 200, "s", picture, Box(0, 0, 0.5, 0.5)), cell=100
    )
    assert sheet.shape[1] == 124


def test_what_cannot_be_shown_leaves_its_place_blank(tmp_path: Path) -> None:
    sheet = _sheet(tmp_path / "sheet.jpg", SheetPicture("r", note="gone"), cell=100)
    assert np.abs(sheet[100, 80].astype(int) - (234, 232, 226)).max() < 8
