"""The groups ``pose_inference`` and ``pose_train``: how poses are predicted, and how a pose model is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ._base import Group
from ._inference import TILE_MULTIPLE, Workers

_Width = Annotated[int, Field(ge=4, le=1024)]


class PoseSource(Group):
    """Which records of the run's query are predicted, and where in them."""

    db: Literal["semif", "field"] = "semif"
    image_mode: Literal["full_image", "cutout"] = "full_image"
    boxes: bool = True


class PoseOutput(Group):
    """Which files are written."""

    save_images: bool = True
    save_viz: bool = False


class PoseInference(Group):
    """Settings of ``infer-pose``; every key is described in ``conf/pose_inference/default.yaml``."""

    source: PoseSource = PoseSource()
    model: str = Field(default="champion", min_length=1)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    look_twice: bool = True
    min_confidence: float = Field(default=0.3, ge=0.0, lt=1.0)
    absent_below: float = Field(default=0.05, ge=0.0, lt=1.0)
    output: PoseOutput = PoseOutput()
    workers: Workers = Workers()


class PoseModel(Group):
    """Which network."""

    encoder_name: str = "efficientnet_lite0"
    encoder_weights: Literal["imagenet"] | None = "imagenet"
    encoder_freeze: bool = True
    widths: tuple[_Width, _Width, _Width] = (48, 32, 24)
    input_size: int = Field(default=256, ge=64, le=2048)
    padding: float = Field(default=0.15, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _whole_strides(self) -> PoseModel:
        if self.input_size % TILE_MULTIPLE:
            raise ValueError(f"input_size {self.input_size} is not a multiple of {TILE_MULTIPLE}")
        return self


class PoseOptimizer(Group):
    """AdamW, its rate rising and falling once over the training (one cycle)."""

    lr: float = Field(default=3e-3, gt=0.0, le=1.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    encoder_lr_factor: float = Field(default=0.1, gt=0.0, le=1.0)


class PoseAugmentation(Group):
    """How strongly pictures are varied while training; 0 turns a variation off."""

    flips: bool = True
    turn: float = Field(default=20.0, ge=0.0, le=180.0)
    zoom: float = Field(default=0.2, ge=0.0, lt=1.0)
    shift: float = Field(default=0.06, ge=0.0, le=0.5)
    whole_picture: float = Field(default=0.2, ge=0.0, le=1.0)
    brightness: float = Field(default=0.25, ge=0.0, le=1.0)
    contrast: float = Field(default=0.25, ge=0.0, le=1.0)
    colour: float = Field(default=0.1, ge=0.0, le=1.0)


class PoseTrain(Group):
    """Settings of the training of a pose model; every key is described in ``conf/pose_train/default.yaml``."""

    seed: int = Field(default=42, ge=0, lt=2**31)
    steps: int = Field(default=150, ge=1)
    passes: int = Field(default=4, ge=1)
    batch_size: int = Field(default=8, ge=1)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    variations: int = Field(default=8, ge=1, le=1000)
    cache_mib: int = Field(default=1024, ge=0)
    validation: float = Field(default=0.1, ge=0.0, le=0.5)
    save_every: int = Field(default=25, ge=1)
    sigma: float = Field(default=1.25, gt=0.2, le=8.0)
    model: PoseModel = PoseModel()
    optimizer: PoseOptimizer = PoseOptimizer()
    augmentation: PoseAugmentation = PoseAugmentation()
