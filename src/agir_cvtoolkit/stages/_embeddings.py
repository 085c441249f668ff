"""Embeddings of pictures and of regions of them: made once in a workspace, whatever run they come in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.choosing import Region
from agir_cvtoolkit.errors import MissingExtraError, PictureError
from agir_cvtoolkit.pictures import load_rgb, load_small
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.similarity import layout
from agir_cvtoolkit.similarity.embedding_store import EmbeddingStore

from ._ahead import ahead

_log = logging.getLogger(__name__)

FOLDER = "embeddings"
"""Beside ``runs/``."""
AUTO, NONE = "auto", "none"
_AT_ONCE = 64

RGB = NDArray[np.uint8]
Model = Literal["auto", "efficientnet_lite0", "layout", "none"] | str


@dataclass(frozen=True)
class Pictured:
    """What is embedded.

    Attributes:
        sha256: of the picture's file.
        path: of the file.
        region: of the picture; None for all of it.
    """

    sha256: str
    path: Path
    region: Region | None = None

    @property
    def key(self) -> str:
        """What the embedding is kept under."""
        if self.region is None:
            return self.sha256
        r = self.region
        return f"{self.sha256}@{r.left},{r.top},{r.width}x{r.height}"


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings and what made them.

    Attributes:
        rows: float16 of shape (pictures, dimensions), of length 1; of a picture that could not be read zeros.
        model: such as ``efficientnet_lite0`` or ``layout``.
        version: of its weights.
        failed: why, by place, of pictures that could not be read.
        made: how many were not there before.
    """

    rows: NDArray[np.float16]
    model: str
    version: str
    failed: Mapping[int, str]
    made: int


def embeddings_of(
    pictures: Sequence[Pictured],
    out_root: Path,
    model: Model = AUTO,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> Embedded | None:
    """Return the embeddings of pictures, and make those that this workspace does not have.

    Args:
        pictures: in any order.
        out_root: of the runs.
        model: ``efficientnet_lite0``, ``hf:<folder>``, ``layout`` (no network), ``auto`` (the first of them that is
            installed) or ``none``.
        device: that a network is computed on.
        progress: one step per picture that is embedded.

    Returns:
        None for ``none``.

    Raises:
        ConfigError: there is no such model or device.
        CheckpointError: the folder holds no backbone that can be used.
        MissingExtraError: what the model needs is not installed.
        OSError: the disk is full.
    """
    if model == NONE:
        return None
    maker = _maker(model, device)
    folder = out_root.parent / FOLDER / f"{file_stem(maker.name)}@{maker.version}"
    store = EmbeddingStore(folder, maker.dimensions)
    keys = [picture.key for picture in pictures]
    first = {keys[place]: place for place in reversed(store.missing(keys))}
    failed = _make(store, maker, [pictures[place] for place in sorted(first.values())], progress or Silent())
    rows = np.zeros((len(keys), maker.dimensions), dtype=np.float16)
    good = [place for place, key in enumerate(keys) if key not in failed]
    rows[good] = store.rows([keys[place] for place in good])
    why = {place: failed[key] for place, key in enumerate(keys) if key in failed}
    return Embedded(rows, maker.name, maker.version, why, len(first) - len(failed))


@dataclass(frozen=True, eq=False)
class _Maker:
    name: str
    version: str
    dimensions: int
    side: int
    embed: Callable[[RGB], NDArray[np.float32]]


def _maker(model: Model, device: str) -> _Maker:
    if model != layout.NAME:
        try:
            from agir_cvtoolkit.models.libraries import require_torch

            require_torch("Embedding pictures by a network")
            from agir_cvtoolkit.models.embedder import SIDE, Embedder
            from agir_cvtoolkit.models.encoders import LITE

            made = Embedder(LITE if model == AUTO else model, device)
            return _Maker(made.name, made.version, made.dimensions, SIDE, made.embed)
        except MissingExtraError:
            if model != AUTO:
                raise
            _log.info("Pictures are embedded by their layout: a network needs the extra train")

    def embed(pictures: RGB) -> NDArray[np.float32]:
        return np.stack([layout.layout_embedding(picture) for picture in pictures])

    return _Maker(layout.NAME, layout.VERSION, layout.DIMENSIONS, layout.SIDE, embed)


def _make(
    store: EmbeddingStore, maker: _Maker, pictures: Sequence[Pictured], progress: Progress
) -> Mapping[str, str]:
    """Embed pictures and keep the rows; return why, by key, of those that cannot be read."""
    failed: dict[str, str] = {}
    waiting: list[tuple[str, RGB]] = []

    def keep() -> None:
        if waiting:
            store.append([key for key, _ in waiting], maker.embed(np.stack([rgb for _, rgb in waiting])))
            waiting.clear()

    work = ((group, partial(_read, group, maker.side)) for group in _by_file(pictures))
    with progress.bar("embeddings", len(pictures)) as bar:
        for group, outcome in ahead(work, 2):
            try:
                read = outcome.result() if outcome else _read(group, maker.side)
                waiting += [(picture.key, rgb) for picture, rgb in zip(group, read, strict=True)]
            except PictureError as error:
                _log.warning("%s", error)
                failed |= {picture.key: str(error) for picture in group}
            if len(waiting) >= _AT_ONCE:
                keep()
            bar.advance(len(group))
        keep()
    return failed


def _by_file(pictures: Sequence[Pictured]) -> list[list[Pictured]]:
    """Return the pictures in groups: regions of one file together, whole ones each alone."""
    groups: dict[tuple[Path, bool], list[Pictured]] = {}
    for picture in pictures:
        groups.setdefault((picture.path, picture.region is None), []).append(picture)
    return list(groups.values())


def _read(group: Sequence[Pictured], side: int) -> list[RGB]:
    path = group[0].path
    if group[0].region is None:
        return [load_small(path, side)] * len(group)
    rgb = load_rgb(path)
    found = []
    for picture in group:
        r = picture.region
        part = rgb if r is None else rgb[r.top : r.top + r.height, r.left : r.left + r.width]
        found.append(np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8))
    return found
