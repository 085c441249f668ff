"""The group ``simulate``: how strategies are tried on labelled data."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ._base import Group
from ._inference import TILE_MULTIPLE


class Simulate(Group):
    """Settings of ``simulate``; every key is described in ``conf/simulate/default.yaml``."""

    strategies: tuple[Annotated[str, Field(min_length=1)], ...] = ("random", "entropy", "default")
    budgets: tuple[Annotated[int, Field(ge=1)], ...] = (8, 16, 32, 64)
    seeds: int = Field(default=5, ge=1, le=1000)
    unit: Literal["tile", "picture"] = "tile"
    tile: int = Field(default=320, ge=64, le=4096)
    max_side: int = Field(default=2048, ge=64)
    test: str | None = None
    test_share: float = Field(default=0.3, gt=0.0, lt=1.0)
    duplicates: float = Field(default=0.0, ge=0.0, le=0.95)
    jobs: int = Field(default=2, ge=1, le=256)
    encoder: str = Field(default="efficientnet_lite0", min_length=1)
    level: float = Field(default=0.9, gt=0.0, lt=1.0)

    @model_validator(mode="after")
    def _sensible(self) -> Simulate:
        if len(self.budgets) < 2 or any(b <= a for a, b in pairwise(self.budgets)):
            raise ValueError("budgets are two or more rising numbers, such as [8, 16, 32, 64]")
        if len(set(self.strategies)) != len(self.strategies) or not self.strategies:
            raise ValueError("strategies are one or more different names")
        if self.tile % TILE_MULTIPLE:
            raise ValueError(f"tile {self.tile} is not a multiple of {TILE_MULTIPLE}")
        return self
