from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from agir_cvtoolkit import pictures
from agir_cvtoolkit.pictures import save_png, save_png_of
from agir_cvtoolkit.png_rows import write_rows


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4])),
    wide=st.booleans(),
    rows=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_other_readers_read_what_is_written(
    shape: tuple[int, int, int], wide: bool, rows: int, seed: int
) -> None:
    height, width, channels = shape
    kind = np.uint16 if wide and channels == 1 else np.uint8
    array = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)
    array = array[..., 0] if channels == 1 else array
    stream = io.BytesIO()
    write_rows(stream, (width, height), (array[top : top + rows] for top in range(0, height, rows)))
    assert np.array_equal(np.asarray(Image.open(stream)), array)
    read = cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert np.array_equal(np.asarray(read).reshape(shape)[..., order], array.reshape(shape))


def test_large_pictures_are_made_and_written_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_LARGE", 400)
    monkeypatch.setattr("agir_cvtoolkit.scratch.bands.__kwdefaults__", {"pixels": 100})
    rgb = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    mask = rgb[..., 0] // 128
    made: list[int] = []

    def plants(colours: NDArray[np.uint8], index: NDArray[np.uint8]) -> NDArray[np.uint8]:
        made.append(len(index))
        return np.asarray(colours * index[..., None])

    save_png_of(plants, tmp_path / "a.png", rgb, mask)
    assert made == [5] * 6
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), rgb * mask[..., None])
    save_png(rgb, tmp_path / "b.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), rgb)
