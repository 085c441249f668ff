"""The group ``loop``: what a round is, when its model is trained, and when it is enough."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ._base import Group


class LoopTestSet(Group):
    """Which of the people's labels every model of a loop is tested on, and none learns from."""

    __test__ = False

    share: float = Field(default=0.25, gt=0.0, le=0.5)
    least: int = Field(default=5, ge=1)
    most: int = Field(default=200, ge=1)


class Budget(Group):
    """What ends a loop; null does not."""

    rounds: int | None = Field(default=None, ge=1)
    pictures: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0.0)
    target: float | None = Field(default=None, gt=0.0, le=1.0)
    patience: int | None = Field(default=2, ge=1)


class CapturesLookedAt(Group):
    """How captures of devices are chosen."""

    window: int | None = Field(default=None, ge=1)

    def of(self, count: int) -> int:
        """Return how many captures a round of so many looks at."""
        return 4 * count if self.window is None else self.window


class Policy(Group):
    """When the labels that have come back are learned from; null leaves a condition out."""

    combine: Literal["any", "all"] = "any"
    corrections: int | None = Field(default=None, ge=1)
    effort: float | None = Field(default=None, gt=0.0, le=1.0)
    drift: bool = False
    class_pictures: int | None = Field(default=None, ge=1)
    age_days: float | None = Field(default=None, gt=0.0)

    @property
    def asks(self) -> bool:
        """Whether there is any condition."""
        return self.drift or any(
            value is not None for value in (self.corrections, self.effort, self.class_pictures, self.age_days)
        )


class Hook(Group):
    """Who is told of batches and rounds."""

    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, repr=False)
    timeout_s: float = Field(default=30.0, gt=0.0, le=600.0)
    tries: int = Field(default=5, ge=1, le=20)

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("a hook's url begins with http:// or https://")
        return url


class Loop(Group):
    """Settings of ``loop``; every key is described in ``conf/loop/default.yaml``."""

    kind: Literal["segmentation", "pose"] = "segmentation"
    source: Literal["pool", "captures"] = "pool"
    pool: str | None = Field(default=None, min_length=1)
    count: int = Field(default=20, ge=1)
    cold_start: str = Field(default="random", min_length=1)
    test_run: str | None = Field(default=None, min_length=1)
    test: LoopTestSet = LoopTestSet()
    judge_first: bool = True
    captures: CapturesLookedAt = CapturesLookedAt()
    budget: Budget = Budget()
    policy: Policy = Policy()
    hook: Hook = Hook()
    measure_benefit: bool = False
    lease_s: float = Field(default=300.0, ge=1.0)
    poll_s: float = Field(default=30.0, ge=0.05)

    @model_validator(mode="after")
    def _captures_are_poses(self) -> Loop:
        if self.source == "captures" and self.kind != "pose":
            raise ValueError("source captures brings poses: set kind to pose")
        if self.source == "captures" and self.policy.asks:
            raise ValueError("with source captures firebase.retraining_threshold says when to train")
        return self
