"""Arrays that lie on disk while they are worked on, for pictures that do not fit into memory.

An array is a file without a name: it goes with the array, also when the process is killed. It is read and written
through `numpy.memmap`. Pages that were touched count as memory of the process until they are let go of; they stay in
the system's cache of files, which gives way to whoever needs memory. Who goes through such an array does it in bands
and lets go of each.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_BAND_PIXELS = 1 << 20

Number = TypeVar("Number", bound=np.generic)


def on_disk(shape: tuple[int, ...], dtype: type[Number], folder: Path) -> NDArray[Number]:
    """Return an array of zeros that lies in a file in `folder`.

    Args:
        shape: of the array; nothing in it is 0.
        dtype: of its elements.
        folder: made where it is missing.

    Raises:
        OSError: the disk has no room for it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # By its name, for `beside`; the name is gone before anything is written.
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        Path(stream.name).unlink()
        _take_room(stream.fileno(), int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        return np.memmap(stream, dtype, "r+", shape=shape)


def beside(array: NDArray[np.generic], shape: tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    """Return zeros that lie where `array` does: in memory, or on the same disk.

    Raises:
        OSError: the disk has no room for them.
    """
    if isinstance(array, np.memmap) and array.filename is not None and 0 not in shape:
        return on_disk(shape, dtype, Path(array.filename).parent)
    return np.zeros(shape, dtype)


def copied(array: NDArray[Number]) -> NDArray[Number]:
    """Return a copy that lies where the array does."""
    if _mapping(array) is None:
        return array.copy()
    copy = beside(array, array.shape, array.dtype.type)
    for rows in bands(copy, array):
        copy[rows] = array[rows]
    return copy


def bands(*arrays: NDArray[np.generic], pixels: int = _BAND_PIXELS) -> Iterator[slice]:
    """Yield rows of arrays of the same height, from top to bottom, and let go of what was touched after each.

    Args:
        arrays: shape (height, width, ...).
        pixels: in a band of the first array, at most, and at least one row.
    """
    height, width = arrays[0].shape[:2]
    step = max(1, pixels // max(1, width))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
        let_go(*arrays)


def let_go(*arrays: NDArray[np.generic]) -> None:
    """Give back the memory in which parts of arrays on disk were touched; nothing is lost, arrays in memory stay."""
    for array in arrays:
        mapping = _mapping(array)
        if mapping is not None and hasattr(mapping, "madvise"):
            mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: NDArray[np.generic]) -> mmap.mmap | None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _take_room(file: int, size: int) -> None:
    """Give a file its size; a disk that is full says so here, and not by killing who writes into the array."""
    try:
        os.posix_fallocate(file, 0, size)
    except AttributeError:  # macOS has no such call
        os.truncate(file, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise
        os.truncate(file, size)
