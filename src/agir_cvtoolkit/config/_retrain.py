"""The group ``retrain``: what is learned from, what is tested on, and when a new model takes over."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ._base import Group


class TestSet(Group):
    """The frozen test set of the pose models."""

    __test__ = False

    share: float = Field(default=0.2, gt=0.0, le=0.5)
    least: int = Field(default=5, ge=1)
    most: int = Field(default=500, ge=1)
    same_scene_s: float = Field(default=5.0, ge=0.0)
    near_duplicates: int | None = Field(default=6, ge=0, le=31)


class Judgement(Group):
    """When a model counts as better than another."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    resamples: int = Field(default=4000, ge=100, le=1_000_000)
    least_pictures: int = Field(default=5, ge=2)
    seed: int = Field(default=0, ge=0)


class Retrain(Group):
    """Settings of ``retrain``, ``evaluate`` and ``promote``; every key is described in ``conf/retrain/default.yaml``."""

    test_set: TestSet = TestSet()
    judgement: Judgement = Judgement()
    from_champion: bool = True
    cache_gb: float = Field(default=20.0, gt=0.0)
    onnx: Literal["auto", "always", "never"] = "auto"
    coreml: Literal["auto", "always", "never"] = "auto"
