"""What a frozen encoder saw of each tile, kept on the disk while the decoder learns.

A frozen encoder gives the same maps in every epoch. Each tile goes through it once for each of a few variations; an
epoch then takes the next variation of each tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.progress import Bar
from agir_cvtoolkit.runs import discard, read_json_object, write_json

from .batches import Batch, Key, Tiles, in_order

FOLDER = "remembered"
_DONE = "done.json"
_BATCH = 4
_LARGEST = float(np.finfo(np.float16).max)


class RememberedTiles(Dataset[Batch]):
    """One split, with the maps of its tiles.

    A key is (epoch, index); an item is that of `Tiles`, followed by the maps as float16 of shape (channels, h, w).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.variations = int(read_json_object(folder / _DONE)["variations"])
        self._arrays: list[NDArray[Any]] = []

    def __getitem__(self, key: Key) -> Batch:
        """Read a tile."""
        if not self._arrays:  # opened in the process that reads
            self._arrays = [np.load(path, mmap_mode="r") for path in sorted(self._folder.glob("*.npy"))]
        epoch, index = key
        return tuple(torch.from_numpy(array[epoch % self.variations, index].copy()) for array in self._arrays)


def remember(
    encoder: nn.Module, normalise: Any, tiles: Tiles, variations: int, folder: Path, key: str, bar: Bar
) -> RememberedTiles:
    """Show every tile to an encoder, or find that it was done before.

    Args:
        encoder: frozen, on its device.
        normalise: from uint8 pixels (B, 3, H, W) to what the encoder takes.
        tiles: of one split.
        variations: of each tile, those of the first epochs.
        folder: gets one array for each of pictures, labels and maps.
        key: of data set and settings; the folder of another training is made anew.
        bar: told batch by batch.
    """
    wanted = {"key": key, "variations": variations}
    try:
        if read_json_object(folder / _DONE) == wanted:
            return RememberedTiles(folder)
    except DataError:
        pass
    discard(folder)
    folder.mkdir(parents=True)
    encoder.eval()
    device = next(encoder.parameters()).device
    with ExitStack() as files:
        opened: list[BinaryIO] = []
        for variation in range(variations):
            for pixels, labels in _batches(tiles, variation):
                with torch.inference_mode():
                    maps = encoder(normalise(pixels.to(device)))
                found = [pixels, labels, *(m.clamp(-_LARGEST, _LARGEST).half().cpu() for m in maps)]
                arrays = [part.contiguous().numpy() for part in found]
                if not opened:
                    shape = (variations, len(tiles))
                    opened = [
                        files.enter_context(_begun(folder / f"{number:03d}.npy", array, shape))
                        for number, array in enumerate(arrays)
                    ]
                for file, array in zip(opened, arrays, strict=True):
                    file.write(array.data)
                bar.advance()
    write_json(folder / _DONE, wanted)
    return RememberedTiles(folder)


def _begun(path: Path, like: NDArray[Any], shape: tuple[int, int]) -> BinaryIO:
    """Begin an array file; written, not mapped: a mapped one that finds no room on the disk kills the process."""
    file = path.open("wb")
    header = np.lib.format.header_data_from_array_1_0(like) | {"shape": (*shape, *like.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def batches_to_remember(tiles: Tiles, variations: int) -> int:
    """Return how often `remember` advances its bar."""
    return variations * -(-len(tiles) // _BATCH)


@contextmanager
def answering(encoder: nn.Module, maps: list[Tensor]) -> Iterator[None]:
    """Let an encoder answer with maps that it made before."""
    encoder.forward = lambda _pixels: list(maps)
    try:
        yield
    finally:
        del encoder.forward


def _batches(tiles: Tiles, variation: int) -> DataLoader[Batch]:
    order = in_order(len(tiles))
    order.set_epoch(variation)
    return DataLoader(tiles, batch_size=_BATCH, sampler=order)
