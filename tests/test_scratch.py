from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit.scratch import bands, beside, copied, let_go, on_disk


def test_an_array_on_disk_keeps_what_is_written_and_leaves_no_file(tmp_path: Path) -> None:
    array = on_disk((300, 200, 3), np.uint8, tmp_path / "scratch")
    assert not array.any()
    for rows in bands(array, pixels=1000):
        array[rows] = np.arange(200, dtype=np.uint8)[:, None]
    assert not list((tmp_path / "scratch").iterdir())
    let_go(array, np.zeros(3))
    assert np.array_equal(array[299, :, 2], np.arange(200, dtype=np.uint8))


def test_others_lie_where_it_does(tmp_path: Path) -> None:
    array = on_disk((30, 20, 3), np.uint8, tmp_path)
    assert isinstance(beside(array[3:5], (4, 5), np.uint16), np.memmap)
    assert not isinstance(beside(np.zeros((2, 2)), (4, 5), np.uint16), np.memmap)
    array[7, 7] = 9
    copy = copied(array[5:, 5:])
    assert isinstance(copy, np.memmap)
    assert copy[2, 2].tolist() == [9, 9, 9]
    array[7, 7] = 1
    assert copy[2, 2].tolist() == [9, 9, 9]
    assert beside(array, (0, 5), np.uint8).shape == (0, 5)


def test_bands_cover_all_rows_once() -> None:
    array = np.zeros((10, 4))
    assert [(rows.start, rows.stop) for rows in bands(array, pixels=12)] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert [rows.stop for rows in bands(array, pixels=1)] == list(range(1, 11))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory is touched")
def test_pages_that_were_let_go_take_no_memory(tmp_path: Path) -> None:
    array = on_disk((4000, 10_000), np.uint8, tmp_path)
    before = resident()
    for rows in bands(array):
        array[rows] = 1
    assert resident() - before < 20_000_000
    assert int(array[::100, ::100].sum()) == 4000


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_full_disk_says_so_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        on_disk((10, 10), np.uint8, tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_room_cannot_be_taken_a_file_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(file: int, start: int, size: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    assert not on_disk((10, 10), np.uint8, tmp_path).any()
    monkeypatch.delattr(os, "posix_fallocate")
    assert not on_disk((10, 10), np.uint8, tmp_path).any()
