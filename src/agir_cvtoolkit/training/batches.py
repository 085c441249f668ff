"""Tiles as tensors: every epoch's order and variations follow from seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from agir_cvtoolkit.config._training import Augmentation, Train
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.pictures import load_mask, load_rgb

from .augment import augment
from .dataset import PreparedDataset

Key = tuple[int, int]
Batch = tuple[Tensor, ...]
"""Pictures, labels and, where they are remembered, the encoder's maps."""


class Tiles(Dataset[Batch]):
    """One split.

    A key is (epoch, index); an item is the picture, uint8 of shape (3, height, width), and its labels, uint8
    class *indices* of shape (height, width).
    """

    def __init__(
        self, dataset: PreparedDataset, side: str, variations: Augmentation | None, seed: int
    ) -> None:
        self._dataset = dataset
        self._names = dataset.splits[side]
        self._variations = variations
        self._seed = seed
        self._index_of = _index_of(dataset.class_ids)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, key: Key) -> Batch:
        """Load a tile.

        Raises:
            DataError: its files are missing or damaged, or the mask holds an id that is no class.
        """
        epoch, index = key
        name = self._names[index]
        height, width = self._dataset.tile_size
        image = load_rgb(self._dataset.image_path(name))
        labels = self._index_of[load_mask(self._dataset.mask_path(name), (width, height))]
        if image.shape[:2] != (height, width) or labels.max(initial=0) == _NO_CLASS:
            raise DataError(
                f"tile {name} of data set {self._dataset.root} is not as its data set says",
                "Make it again: agir-cvtoolkit preprocess",
            )
        if self._variations is not None:
            rng = np.random.default_rng([self._seed, epoch, index])
            image, labels = augment(image, labels, self._variations, rng)
        return torch.from_numpy(image.copy()).permute(2, 0, 1), torch.from_numpy(labels)


_NO_CLASS = 255


def _index_of(class_ids: tuple[int, ...]) -> NDArray[np.uint8]:
    table = np.full(256, _NO_CLASS, dtype=np.uint8)
    for index, class_id in enumerate(class_ids):
        table[class_id] = index
    return table


class EpochOrder(Sampler[Key]):
    """Deals (epoch, index) keys, shuffled by seed and epoch, or in order.

    Of several processes each gets its part of every batch. While training they get equally many, the first tiles twice
    where the last batch cannot be shared; else each tile is dealt once.
    """

    def __init__(
        self, count: int, *, shuffle: bool, seed: int, batch_size: int = 1, processes: int = 1
    ) -> None:
        self._count, self._shuffle, self._seed = count, shuffle, seed
        self._batch_size, self._processes = batch_size, processes
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next iteration deals; Lightning calls it, after a resume too."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._dealt())

    def __iter__(self) -> Iterator[Key]:
        return iter([(self._epoch, int(i)) for i in self._dealt()])

    def _dealt(self) -> NDArray[np.int64]:
        order = np.arange(self._count)
        if self._shuffle:
            order = np.random.default_rng([self._seed, self._epoch]).permutation(self._count)
        if self._processes == 1:
            return order
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        if not self._shuffle:
            return order[rank :: self._processes]
        order = np.resize(order, self._count + -self._count % self._processes)
        batches = np.split(order, range(self._batch_size, len(order), self._batch_size))
        return np.concatenate([np.split(batch, self._processes)[rank] for batch in batches])


def tiles_of(dataset: PreparedDataset, side: str, settings: Train, *, training: bool) -> Tiles:
    """Return one split, varied while training where ``train.use_data_augmentation`` is set."""
    variations = settings.augmentation if training and settings.use_data_augmentation else None
    return Tiles(dataset, side, variations, settings.seed)


def loader(
    tiles: Dataset[Batch], count: int, settings: Train, *, training: bool, on_gpu: bool, workers: int
) -> DataLoader[Batch]:
    """Return batches of one split.

    Args:
        tiles: of the split.
        count: of them.
        settings: with the size of a batch, which the processes share.
        training: shuffled.
        on_gpu: pin memory for the transfer.
        workers: processes that load; 0 loads in this one.
    """
    processes = settings.processes * settings.nodes
    order = EpochOrder(
        count, shuffle=training, seed=settings.seed, batch_size=settings.batch_size, processes=processes
    )
    return DataLoader(
        tiles,
        batch_size=settings.batch_size // processes,
        sampler=order,
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=workers > 0,
    )


def in_order(count: int) -> EpochOrder:
    """Return keys of a whole split for one process, the first variation of each tile."""
    return EpochOrder(count, shuffle=False, seed=0)
