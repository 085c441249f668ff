"""Predictors around another one: they say of themselves what that one says."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from .predictor import PicturePredictor, Predictor, TilePredictor
from .tile_size import USUAL, LearnedFromTiles

_Inner = TypeVar("_Inner", bound=Predictor)


class _Around(Generic[_Inner]):
    def __init__(self, inner: _Inner) -> None:
        self.name: str = inner.name
        self.classes: tuple[str, ...] = inner.classes
        self.class_ids: tuple[int, ...] = inner.class_ids
        self._inner = inner


class AroundTiles(_Around[TilePredictor]):
    """Begins a predictor of tiles; ``predict_tiles`` is left to do."""

    needs_tiles: Literal[True] = True

    @property
    def tile_size(self) -> tuple[int, int]:
        """Height and width in pixels that the inner one learned from."""
        return self._inner.tile_size if isinstance(self._inner, LearnedFromTiles) else USUAL

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """As of the inner one."""
        return self._inner.working_size(size)


class AroundPictures(_Around[PicturePredictor]):
    """Begins a predictor of whole pictures; ``predict_bands`` is left to do."""

    needs_tiles: Literal[False] = False
