"""What a frozen encoder sees of pictures, kept on disk: what learners that are trained in seconds begin with.

An encoder that is not trained gives the same maps every time. Each picture goes through it once; every model after
that is a small head over the maps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agir_cvtoolkit.models.card import ArchSpec
from agir_cvtoolkit.models.encoders import LITE, build_encoder, pixel_norm
from agir_cvtoolkit.models.pyramid import padded
from agir_cvtoolkit.runs import waiting_lock

RGB = NDArray[np.uint8]
_MAPS, _INDEX, _LOCK = "maps.f16", "index.jsonl", "lock"
_LARGEST = float(np.finfo(np.float16).max)


class FrozenEncoder:
    """Looks at pictures one by one, so that what it sees of one does not depend on others.

    Attributes:
        name: of the encoder.
        channels: of its maps at strides 4, 8, 16 and 32.
    """

    def __init__(self, name: str = LITE) -> None:
        """Open the encoder with its pretrained weights.

        Raises:
            ConfigError: there is no such encoder, or it has no weights.
            CheckpointError: the folder holds no backbone that can be used.
            MissingExtraError: the encoder's package is not installed.
        """
        spec = ArchSpec(encoder=name)
        norm = pixel_norm(spec)
        self.name = name
        self._encoder = build_encoder(spec).eval()
        self._mean = torch.tensor(norm.mean).reshape(1, 3, 1, 1)
        self._std = torch.tensor(norm.std).reshape(1, 3, 1, 1)
        self.channels = tuple(self._encoder.channels[-4:])

    def maps(self, rgb: RGB, step: int = 1) -> list[NDArray[np.float16]]:
        """Return the maps at strides 4, 8, 16 and 32.

        Args:
            rgb: uint8 of shape (height, width, 3); filled up to whole multiples of 32 by repeating its edge.
            step: of the finest map only every so many-th row and column is kept.

        Returns:
            float16 of shape (channels, h, w) each.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            found = self._encoder((padded(pixels, self._encoder.divisor) - self._mean) / self._std)[-4:]
        found[0] = found[0][:, :, ::step, ::step]
        return [level[0].clamp(-_LARGEST, _LARGEST).half().numpy() for level in found]


class FrozenFeatures:
    """Maps on disk, each under a key; read by any number of processes, without the encoder."""

    def __init__(self, folder: Path) -> None:
        """Open the maps of a folder, which need not be there.

        Args:
            folder: of one encoder alone.
        """
        self._folder = folder
        self._places: dict[str, tuple[int, list[list[int]]]] = {}
        self._read = 0

    def __contains__(self, key: str) -> bool:
        if key not in self._places:
            self._look_again()
        return key in self._places

    def maps(self, key: str) -> list[NDArray[np.float16]]:
        """Return the maps of a key, as `FrozenEncoder.maps` made them.

        Raises:
            KeyError: it has none.
        """
        if key not in self:
            raise KeyError(key)
        at, shapes = self._places[key]
        sizes = [int(np.prod(shape)) for shape in shapes]
        with (self._folder / _MAPS).open("rb") as stream:
            stream.seek(at)
            values = np.fromfile(stream, np.float16, sum(sizes))
        ends = np.cumsum(sizes)[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(values, ends), shapes, strict=True)]

    def append(self, key: str, maps: Sequence[NDArray[np.float16]]) -> None:
        """Add maps; a line of the index is written behind them, so that of a cut-off append nothing is seen.

        Raises:
            OSError: the disk is full.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with waiting_lock(self._folder / _LOCK), (self._folder / _MAPS).open("ab") as stream:
            at = stream.tell()
            for level in maps:
                stream.write(np.ascontiguousarray(level).data)
            stream.flush()
            line = {"key": key, "at": at, "shapes": [list(level.shape) for level in maps]}
            with (self._folder / _INDEX).open("a", encoding="utf-8") as index:
                index.write(json.dumps(line) + "\n")

    def _look_again(self) -> None:
        try:
            with (self._folder / _INDEX).open("rb") as stream:
                stream.seek(self._read)
                for line in stream:
                    if not line.endswith(b"\n"):
                        break
                    self._read += len(line)
                    try:
                        content = json.loads(line)
                        self._places[content["key"]] = int(content["at"]), content["shapes"]
                    except (ValueError, KeyError):
                        continue  # two halves of lines, of an append that was cut off
        except FileNotFoundError:
            return


def key_of(rgb: RGB, step: int = 1) -> str:
    """Return the key of a picture's maps: it names its pixels, and how fine the finest map is."""
    found = hashlib.sha256(f"{rgb.shape} {step}".encode())
    found.update(np.ascontiguousarray(rgb).data)
    return found.hexdigest()


def tensors(maps: Sequence[NDArray[np.float16]]) -> list[Tensor]:
    """Return maps as float32 tensors of shape (1, channels, h, w)."""
    return [torch.from_numpy(level)[None].float() for level in maps]


def embedding_of(maps: Sequence[NDArray[np.float16]]) -> NDArray[np.float32]:
    """Return an embedding as `models.embedder` makes it, of maps: the means of the last two, each of length 1, joined.

    Returns:
        float32 of length 1.
    """
    parts = []
    for level in maps[-2:]:
        mean = level.astype(np.float32).mean(axis=(1, 2))
        parts.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    joined = np.concatenate(parts)
    return np.asarray(joined / max(float(np.linalg.norm(joined)), 1e-12), dtype=np.float32)
