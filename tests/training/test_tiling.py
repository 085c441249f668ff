from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agir_cvtoolkit.config._training import GridCrop, Pad, Preprocess, Resize, TileSize
from agir_cvtoolkit.training.tiling import cut, resized, scaled_size, starts

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


def _middles(side: int, smaller: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels in which the middles of smaller ones lie; two where one lies on their border."""
    middles = (np.arange(smaller) + 0.5) * side / smaller
    return np.floor(middles - 1e-3).astype(np.intp), np.floor(middles + 1e-3).astype(np.intp)


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.05, 1.0), st.sampled_from(["AREA", "BICUBIC"]))
def test_a_shrunk_mask_takes_the_pixel_in_the_middle_and_no_new_value(
    height: int, width: int, scale: float, way: str
) -> None:
    values = np.random.default_rng(height * 100 + width).choice([0, 7, 200], (height, width)).astype(np.uint8)
    size = scaled_size((width, height), Preprocess(scale=scale))
    image, mask = resized(np.repeat(values[..., None], 3, axis=2), values, size, way)
    assert mask.shape == image.shape[:2] == (size[1], size[0])
    rows, columns = _middles(height, size[1]), _middles(width, size[0])
    nearest = [values[np.ix_(r, c)] == mask for r in rows for c in columns]
    assert np.any(nearest, axis=0).all()
    assert set(np.unique(mask).tolist()) <= set(np.unique(values).tolist())


@settings(max_examples=40)
@given(st.integers(20, 120), st.integers(20, 120), st.integers(8, 40), st.integers(1, 40))
def test_tiles_put_back_together_are_the_picture(height: int, width: int, tile: int, stride: int) -> None:
    mask = np.random.default_rng(height).integers(0, 9, (height, width), dtype=np.uint8)
    image = np.repeat(mask[..., None], 3, axis=2)
    chosen = Preprocess(
        size=TileSize(height=max(32, tile), width=max(32, tile)),
        grid_crop=GridCrop(stride=min(stride, max(32, tile))),
        pad=Pad(mode="reflect"),
    )
    side = max(32, tile)
    above, left = max(0, side - height) // 2, max(0, side - width) // 2
    joined = np.full((max(side, height), max(side, width)), 255, np.uint8)
    for each in cut(image, mask, chosen):
        assert (each.image[..., 0] == each.mask).all()
        joined[each.top : each.top + side, each.left : each.left + side] = each.mask
    assert (joined[above : above + height, left : left + width] == mask).all()
    assert (joined < 9).all()
