from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.reporting.contact_sheet import SheetRow, contact_sheet
from agir_cvtoolkit.reporting.overlay import HIT, MISSED, WRONG, comparison, overlay, save_overlay, shrunk

GREY = np.full((60, 80, 3), 128, dtype=np.uint8)


def square(left: int, top: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros((60, 80), dtype=bool)
    mask[top : top + 20, left : left + 20] = True
    return mask


def test_an_overlay_tints_the_mask_alone() -> None:
    painted = overlay(GREY, square(10, 10), alpha=0.5)
    assert (painted[50, 70] == 128).all()
    assert painted[20, 20].tolist() == [(128 + c) // 2 for c in HIT]
    assert (GREY == 128).all()


def test_a_comparison_colours_errors() -> None:
    painted = comparison(GREY, square(10, 10), square(20, 10), alpha=1.0)
    assert painted[20, 25].tolist() == list(HIT)
    assert painted[20, 15].tolist() == list(WRONG)
    assert painted[20, 35].tolist() == list(MISSED)


def test_shrinking_keeps_small_ones_and_the_shape_of_large_ones() -> None:
    assert shrunk(GREY, 100) is GREY
    assert shrunk(GREY, 40).shape == (30, 40, 3)
    assert set(np.unique(shrunk(square(0, 0).view(np.uint8), 40))) == {0, 1}


def test_an_overlay_file_is_bounded(tmp_path: Path) -> None:
    save_overlay(np.zeros((10, 4000, 3), dtype=np.uint8), np.ones((10, 4000), dtype=bool), tmp_path / "x.tmp")
    with Image.open(tmp_path / "x.tmp") as image:
        assert image.size == (2000, 5)
        assert image.format == "JPEG"


def test_a_sheet_shows_all_masks_in_their_columns(tmp_path: Path) -> None:
    row = SheetRow(
        "a", GREY, square(10, 10), square(20, 10), square(20, 10), truth=square(20, 10), species="pea"
    )
    path = contact_sheet(
        [row], tmp_path / "deep" / "sheet.png", title="Round 1", cell_width=80, footer="mean"
    )
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red = (pixels[..., 0] - pixels[..., 1] > 80) & (pixels[..., 0] - pixels[..., 2] > 80)
    columns = np.flatnonzero(red[:180].any(axis=0)) // 94
    assert set(columns.tolist()) == {1}


@pytest.mark.parametrize("count", [0, 3])
def test_a_sheet_of_missing_masks_and_of_nothing(count: int, tmp_path: Path) -> None:
    rows = [SheetRow("x" * 200, GREY, truth=square(0, 0) if n else None) for n in range(count)]
    with Image.open(contact_sheet(rows, tmp_path / "sheet.png", cell_width=100)) as image:
        assert image.width == 14 + 4 * 114


def test_large_pictures_of_another_shape_fit_their_masks(tmp_path: Path) -> None:
    tall = np.zeros((1001, 333, 3), dtype=np.uint8)
    mask = np.ones((1001, 333), dtype=bool)
    path = contact_sheet([SheetRow("t", tall, mask, mask, mask, mask)], tmp_path / "s.png", cell_width=60)
    assert path.stat().st_size > 0
