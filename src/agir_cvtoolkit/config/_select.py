"""The group ``select``: what goes to the annotators next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from ._base import Group


class Bounds(Group):
    """How many units of a group a batch holds."""

    least: int = Field(default=0, ge=0)
    most: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _are_in_order(self) -> Bounds:
        if self.most is not None and self.most < self.least:
            raise ValueError("most is below least")
        return self


class Quotas(Group):
    """Bounds by stratum and by class."""

    strata: Mapping[str, Bounds] = Field(default_factory=dict)
    classes: Mapping[str, Bounds] = Field(default_factory=dict)


class RegionGrid(Group):
    """How pictures are parted into regions."""

    size: int = Field(default=512, ge=16)
    stride: int | None = Field(default=None, ge=8)


class Sequence(Group):
    """Which records follow each other: frames of one film."""

    by: str | None = Field(default=None, min_length=1)
    order: str | None = Field(default=None, min_length=1)


class Select(Group):
    """Settings of ``select``; every key is described in ``conf/select/default.yaml``."""

    count: int = Field(default=20, ge=1)
    strategy: str = Field(default="class-doubt", min_length=1)
    options: Mapping[str, Any] = Field(default_factory=dict)
    scores: Mapping[str, FiniteFloat] = Field(default_factory=lambda: {"uncertainty": 1.0})
    unit: Literal["picture", "region"] = "picture"
    control: float = Field(default=0.10, ge=0.0, le=1.0)
    seed: int = Field(default=0, ge=0)
    near_duplicates: int | None = Field(default=4, ge=0, le=32)
    alike: float | None = Field(default=0.995, gt=0.0, le=1.0)
    embeddings: str = Field(default="auto", min_length=1)
    device: str = Field(default="auto", min_length=1)
    sequence: Sequence = Sequence()
    strata: str | None = Field(default=None, min_length=1)
    quotas: Quotas = Quotas()
    class_share: float = Field(default=0.01, gt=0.0, le=1.0)
    per_picture: int | None = Field(default=4, ge=1)
    region: RegionGrid = RegionGrid()
    exact_up_to: int = Field(default=100_000, ge=100)
    known_runs: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _have_strata(self) -> Select:
        if self.quotas.strata and self.strata is None:
            raise ValueError("quotas.strata needs strata: the column that names them")
        return self
