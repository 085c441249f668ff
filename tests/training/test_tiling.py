from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.config._training import GridCrop, Pad, Preprocess, Resize, TileSize
from agir_cvtoolkit.training.tiling import cut, scaled_size, starts

TILE = TileSize(height=32, width=40)


@given(st.integers(1, 500), st.integers(1, 100), st.data())
def test_tiles_cover_every_pixel_and_stay_inside(side: int, tile: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, tile))
    found = starts(side, tile, stride)
    assert found == sorted(set(found))
    assert {p for s in found for p in range(s, s + tile)} >= set(range(side))
    if side >= tile:
        assert found[-1] + tile == side


@given(st.integers(1, 120), st.integers(1, 120), st.sampled_from(["constant", "reflect"]))
def test_nothing_is_lost_and_masks_move_with_pictures(height: int, width: int, mode: str) -> None:
    mask = np.arange(height * width, dtype=np.uint32).reshape(height, width)
    image = np.stack([mask % 251, mask // 251 % 251, mask * 0 + 7], axis=2).astype(np.uint8)
    labels = (mask % 251).astype(np.uint8)
    settings = Preprocess(size=TILE, pad=Pad(mode=mode, fill=9))
    tiles = list(cut(image, labels, settings))
    pixels = set()
    for tile in tiles:
        assert tile.image.shape == (32, 40, 3)
        assert tile.mask.shape == (32, 40)
        inside = tile.image[..., 2] == 7
        assert (tile.image[..., 0][inside] == tile.mask[inside]).all()
        pixels |= set(zip(tile.image[inside][:, 0].tolist(), tile.image[inside][:, 1].tolist(), strict=True))
        if mode == "constant":
            assert (tile.image[~inside] == 9).all()
            assert not tile.mask[~inside].any()
    assert len(pixels) == height * width


def test_a_picture_wider_but_lower_than_a_tile_is_padded_and_cut() -> None:
    tiles = list(cut(np.ones((10, 100, 3), np.uint8), np.ones((10, 100), np.uint8), Preprocess(size=TILE)))
    assert [(t.left, t.top) for t in tiles] == [(0, 0), (40, 0), (60, 0)]
    assert [int(t.mask.sum()) for t in tiles] == [400, 400, 400]


def test_resize_shrinks_into_one_tile_and_keeps_proportions() -> None:
    mask = np.full((60, 60), 5, np.uint8)
    image = np.full((60, 60, 3), 200, np.uint8)
    settings = Preprocess(size=TILE, resize=Resize(enabled=True), grid_crop=GridCrop(threshold=2.5))
    (tile,) = cut(image, mask, settings)
    assert np.flatnonzero(tile.mask.any(axis=0)).tolist() == list(range(4, 36))
    assert tile.mask.any(axis=1).all()
    assert len(list(cut(np.zeros((90, 90, 3), np.uint8), np.zeros((90, 90), np.uint8), settings))) == 9


def test_without_padding_small_pictures_give_nothing() -> None:
    settings = Preprocess(size=TILE, pad=Pad(enabled=False))
    assert list(cut(np.zeros((31, 80, 3), np.uint8), np.zeros((31, 80), np.uint8), settings)) == []


@pytest.mark.parametrize(
    ("scale", "max_side", "expected"),
    [
        (1.0, None, (200, 100)),
        (0.5, None, (100, 50)),
        (1.0, 50, (50, 25)),
        (0.5, 100, (100, 50)),
        (0.01, None, (2, 1)),
    ],
)
def test_scale_and_longest_side(scale: float, max_side: int | None, expected: tuple[int, int]) -> None:
    assert scaled_size((200, 100), Preprocess(scale=scale, max_side=max_side)) == expected
