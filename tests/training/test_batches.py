"""What the network gets to see: pixels as the configuration says, and every tile as often as it should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

torch = pytest.importorskip("torch")

from agir_cvtoolkit.config._training import Preprocess, Split, TileSize, Train  # noqa: E402
from agir_cvtoolkit.training.batches import EpochOrder, loader, tiles_of  # noqa: E402
from agir_cvtoolkit.training.dataset import PreparedDataset, open_dataset  # noqa: E402
from agir_cvtoolkit.training.pairs import pairs_from_folders  # noqa: E402
from agir_cvtoolkit.training.preprocess import prepare  # noqa: E402

OFF: dict[str, Any] = {
    "flips": False,
    "turns": False,
    "scale": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "colour": 0.0,
    "shadow": 0.0,
}
DRAWS = 12


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Tiles whose labels can be read from their red channel, and that differ in every quarter."""
    root = tmp_path_factory.mktemp("pixels")
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for index in range(4):
        mask = np.zeros((64, 64), np.uint8)
        mask[4:28, 8:56], mask[40:60, 6 + index : 24] = 1, 1
        ramp = np.arange(64, dtype=np.uint8)
        image = np.stack([mask * 80 + 60, np.broadcast_to(ramp + 80, (64, 64)), mask * 20 + 100], axis=2)
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"p{index}.png")
        Image.fromarray(mask).save(root / "masks" / f"p{index}.png")
    pairs, _ = pairs_from_folders(root / "images", root / "masks")
    split = Split(train=0.5, val=0.25, test=0.25, near_duplicates=None)
    prepare(pairs, root / "dataset", Preprocess(size=TileSize(height=64, width=64), split=split))
    return open_dataset(root / "dataset")


def seen(dataset: PreparedDataset, *, side: str = "train", **settings: Any) -> list[tuple[Any, ...]]:
    """Return picture and labels as they lie on the disk and as they come, over some epochs."""
    given = Train(**{"augmentation": OFF, **settings})
    training = side == "train"
    tiles = tiles_of(dataset, side, given, training=training)
    plain = tiles_of(dataset, side, given, training=False)
    found = []
    for epoch in range(DRAWS):
        image, labels = tiles[epoch, 0]
        before, before_labels = plain[0, 0]
        found.append(tuple(part.numpy() for part in (before, before_labels, image, labels)))
    return found


def test_without_variations_pixels_are_those_of_the_disk(dataset: PreparedDataset) -> None:
    every: dict[str, Any] = {
        "augmentation": {**OFF, "flips": True, "scale": 0.5, "brightness": 0.5, "shadow": 1.0}
    }
    off: dict[str, Any] = {}
    for settings in (off, {**every, "use_data_augmentation": False}):
        for before, before_labels, image, labels in seen(dataset, **settings):
            assert (image == before).all()
            assert (labels == before_labels).all()
    for side in ("val", "test"):
        assert all((image == before).all() for before, _, image, _ in seen(dataset, side=side, **every))


def test_flips_are_left_right_of_picture_and_mask(dataset: PreparedDataset) -> None:
    flipped = 0
    for before, before_labels, image, labels in seen(dataset, augmentation={**OFF, "flips": True}):
        if (image == before).all():
            assert (labels == before_labels).all()
            continue
        flipped += 1
        assert (image == before[:, :, ::-1]).all()
        assert (labels == before_labels[:, ::-1]).all()
    assert 0 < flipped < DRAWS


def test_turns_are_quarters_of_picture_and_mask(dataset: PreparedDataset) -> None:
    quarters = set()
    for before, before_labels, image, labels in seen(dataset, augmentation={**OFF, "turns": True}):
        by = [k for k in range(4) if (np.rot90(before, k, (1, 2)) == image).all()]
        assert len(by) == 1
        assert (np.rot90(before_labels, by[0]) == labels).all()
        quarters.add(by[0])
    assert len(quarters) > 2


def test_zoom_moves_the_mask_with_the_picture(dataset: PreparedDataset) -> None:
    for before, before_labels, image, labels in seen(dataset, augmentation={**OFF, "scale": 0.5}):
        assert (image != before).any()
        assert (labels != before_labels).any()
        # Red says what the label is; only edges, mixed by the zoom, may say otherwise.
        assert ((image[0] > 100) != (labels > 0)).mean() < 0.06


@pytest.mark.parametrize("key", ["brightness", "contrast", "colour"])
def test_light_and_colour_change_as_named_and_move_nothing(dataset: PreparedDataset, key: str) -> None:
    strength = 0.3
    for before, before_labels, image, labels in seen(dataset, augmentation={**OFF, key: strength}):
        assert (labels == before_labels).all()
        assert (image != before).any()
        ratios = [float(image[c].mean() / before[c].mean()) for c in range(3)]
        assert all(1 - strength - 0.02 <= ratio <= 1 + strength + 0.02 for ratio in ratios)
        if key == "brightness":
            assert max(ratios) - min(ratios) < 0.02
        if key == "colour":
            assert max(ratios) - min(ratios) > 0.002
        if key == "contrast":
            middle = np.abs(before.astype(int) - 127) <= 2
            assert (np.abs(image.astype(int) - 127)[middle] <= 4).all()


def test_a_shadow_only_darkens_and_comes_as_often_as_it_should(dataset: PreparedDataset) -> None:
    always = seen(dataset, augmentation={**OFF, "shadow": 1.0})
    for before, before_labels, image, labels in always:
        assert (labels == before_labels).all()
        assert (image <= before).all()
        assert (image < before).any()
    sometimes = [(a == b).all() for b, _, a, _ in seen(dataset, augmentation={**OFF, "shadow": 0.5})]
    assert 0 < sum(sometimes) < DRAWS


def test_batches_hold_pixels_and_labels(dataset: PreparedDataset) -> None:
    settings = Train(batch_size=2, augmentation=OFF)
    tiles = tiles_of(dataset, "train", settings, training=True)
    ((pixels, labels),) = loader(tiles, len(tiles), settings, training=True, on_gpu=False, workers=0)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 64, 64), torch.uint8)
    assert (labels.shape, labels.dtype) == ((2, 64, 64), torch.uint8)


class Ranked:
    """Stands for the process group of one of several processes."""

    def __init__(self, patch: pytest.MonkeyPatch, rank: int) -> None:
        patch.setattr(torch.distributed, "is_initialized", lambda: True)
        patch.setattr(torch.distributed, "get_rank", lambda: rank)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_processes_share_every_batch(count: int, each: int, processes: int, epoch: int) -> None:
    def dealt(of: int, *, shuffle: bool) -> list[list[int]]:
        found = []
        for rank in range(of):
            with pytest.MonkeyPatch.context() as patch:
                Ranked(patch, rank)
                order = EpochOrder(count, shuffle=shuffle, seed=5, batch_size=each * processes, processes=of)
                order.set_epoch(epoch)
                keys = list(order)
                assert len(order) == len(keys)
                assert {key[0] for key in keys} <= {epoch}
                found.append([key[1] for key in keys])
        return found

    (alone,) = dealt(1, shuffle=True)
    together = dealt(processes, shuffle=True)
    assert len({len(keys) for keys in together}) == 1
    assert {index for keys in together for index in keys} == set(range(count))
    whole = count // (each * processes)
    for batch in range(whole):
        shared = {index for keys in together for index in keys[batch * each : (batch + 1) * each]}
        assert shared == set(alone[batch * each * processes : (batch + 1) * each * processes])
    in_order = dealt(processes, shuffle=False)
    assert sorted(index for keys in in_order for index in keys) == list(range(count))
