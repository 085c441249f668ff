"""The group ``seg_inference``: how records are segmented."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from agir_cvtoolkit.errors import did_you_mean

from ._base import Group

_Channel = Annotated[int, Field(ge=0, le=255)]
_FROM_CARD = "it is read from the checkpoint; of an smp: checkpoint use seg_inference.model.options ({})"

COLOUR_INDICES = (
    "excess_green",
    "excess_green_raw",
    "exgr",
    "ngrdi",
    "vari",
    "cive",
    "gli",
    "veg",
    "mgrvi",
    "rgbvi",
)
"""Predictors that need no weights."""
THRESHOLD_METHODS = ("otsu", "triangle", "entropy", "cross_entropy")
"""How the threshold of a colour index can be found."""
PixelScore = Literal["entropy", "margin", "top_k", "disagreement", "ensemble"]
Score = PixelScore | Literal["boundary", "amount"]
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

TILE_MULTIPLE = 32
"""Tiles are whole multiples of the coarsest stride of the encoders."""


class InferenceSource(Group):
    """Which records of the run's query are predicted, and as what."""

    db: Literal["semif", "field"] = "semif"
    image_mode: Literal["full_image", "cutout"] = "full_image"


class InferenceModel(Group):
    """Which predictor."""

    predictor: str | None = None
    ckpt_path: str | None = None
    ensemble: tuple[str, ...] = ()
    index_threshold: float | str = "otsu"
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("index_threshold")
    @classmethod
    def _is_a_method(cls, value: float | str) -> float | str:
        if isinstance(value, str) and value not in THRESHOLD_METHODS:
            raise ValueError(
                f"threshold '{value}' is neither a number nor one of {', '.join(THRESHOLD_METHODS)}"
            )
        return value

    @field_validator("predictor")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        known = (*COLOUR_INDICES, "torch", "champion")
        if value is None or value in known or _IMPORT_PATH.fullmatch(value):
            return value
        near = did_you_mean(value, known)
        raise ValueError(
            f"predictor '{value}' is unknown. {near} There are {', '.join(known)}, package.module:attribute"
        )


def whole_strides(side: int) -> int:
    """Return the side of a tile, in pixels, that is nearest to one and that networks take."""
    return max(TILE_MULTIPLE * 2, round(side / TILE_MULTIPLE) * TILE_MULTIPLE)


class Tile(Group):
    """How pictures are cut for networks; pixels. Without height or width it is that which the model learned from."""

    height: int | None = Field(default=None, ge=64)
    width: int | None = Field(default=None, ge=64)
    overlap: float = Field(default=0.25, ge=0.0, le=0.9)
    pad_mode: Literal["reflect", "constant"] = "reflect"

    @model_validator(mode="after")
    def _whole_strides(self) -> Tile:
        for side, value in (("height", self.height), ("width", self.width)):
            if value is not None and value % TILE_MULTIPLE:
                near = whole_strides(value)
                raise ValueError(f"tile {side} {value} is not a multiple of {TILE_MULTIPLE}; take {near}")
        return self


class PostProcess(Group):
    """What happens to probabilities on their way to a mask."""

    threshold: float = Field(default=0.5, gt=0.0, lt=1.0)
    min_area: int | None = Field(default=None, ge=0)
    fill_holes: int | None = Field(default=None, ge=0)
    edge_occupancy_threshold: float | None = Field(default=None, ge=0.0, le=1.0)


class UncertaintyScore(Group):
    """What the uncertainty of a pixel and of a picture is."""

    score: PixelScore = "entropy"
    scores: tuple[Score, ...] = ("entropy", "margin", "top_k", "boundary", "amount")
    top_k: float = Field(default=0.01, gt=0.0, le=1.0)


class Instances(Group):
    """How single plants are told apart."""

    method: Literal["components", "watershed"] = "components"
    distance: int = Field(default=100, ge=1, le=2000)


class Workers(Group):
    """Where the work runs, and how much of it at once; of masks and of poses."""

    engine: Literal["local", "ray"] = "local"
    processes: int | None = Field(default=None, ge=1, le=1024)
    gpus: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    readers: int = Field(default=2, ge=1, le=64)
    megapixels: int = Field(default=80, ge=1)
    ray_address: str | None = None


class InferenceOutput(Group):
    """Which files are written."""

    save_masks: bool = True
    save_images: bool = True
    save_cutouts: bool = False
    cutout_use_rgba: bool = False
    save_colorized_masks: bool = False
    colorize_brightness: float = Field(default=1.0, gt=0.0)
    colorize_rgb_field: str = "category_rgb"
    colorize_fallback_rgb: tuple[_Channel, _Channel, _Channel] = (80, 200, 80)
    save_viz: bool = False
    save_uncertainty: bool = False
    save_instances: bool = False


class Visualization(Group):
    """How overlays look."""

    overlay_alpha: float = Field(default=0.5, ge=0.0, le=1.0)


class SegInference(Group):
    """Settings of ``infer-seg``; every key is described in ``conf/seg_inference/default.yaml``."""

    source: InferenceSource = InferenceSource()
    model: InferenceModel = InferenceModel()
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    precision: Annotated[Literal["32", "bf16"], BeforeValidator(str)] = "32"
    batch_size: int = Field(default=4, ge=1, le=1024)
    tile: Tile = Tile()
    post_process: PostProcess = PostProcess()
    uncertainty: UncertaintyScore = UncertaintyScore()
    instances: Instances = Instances()
    output: InferenceOutput = InferenceOutput()
    visualization: Visualization = Visualization()
    workers: Workers = Workers()

    @model_validator(mode="after")
    def _has_others(self) -> SegInference:
        if not self.model.ensemble and "ensemble" in (self.uncertainty.score, *self.uncertainty.scores):
            raise ValueError(
                "the score ensemble needs other models: name them in seg_inference.model.ensemble"
            )
        return self

    @property
    def all_scores(self) -> tuple[Score, ...]:
        """All scores that are made, each once."""
        beside: tuple[Score, ...] = ("ensemble",) if self.model.ensemble else ()
        return tuple(dict.fromkeys((self.uncertainty.score, *self.uncertainty.scores, *beside)))


RETIRED: dict[str, str] = {
    "seg_inference.source.type": "records come from the run's query; run agir-cvtoolkit query first",
    "seg_inference.source.filters": "use agir-cvtoolkit query --filters",
    "seg_inference.source.sample": "use agir-cvtoolkit query --sample",
    "seg_inference.source.limit": "use agir-cvtoolkit query --limit",
    "seg_inference.gpu": "use seg_inference.device (auto, cpu, cuda:1) and seg_inference.workers.gpus",
    "seg_inference.gpu.max_gpus": "name the GPUs to use: seg_inference.workers.gpus=[0,1]",
    "seg_inference.gpu.exclude_ids": "name the GPUs to use: seg_inference.workers.gpus=[0,1]",
    "seg_inference.model.arch": _FROM_CARD.format("arch"),
    "seg_inference.model.encoder_name": _FROM_CARD.format("encoder_name"),
    "seg_inference.model.in_channels": "pictures are RGB; remove it",
    "seg_inference.model.num_classes": _FROM_CARD.format("classes"),
    "seg_inference.model.encoder_weights": "all weights are in the checkpoint; remove it",
    "seg_inference.model.pad_divisor": "tiles are multiples of 32; remove it",
    "seg_inference.model.strict_load": "a checkpoint always has to fit; remove it",
    "seg_inference.model.normalization": _FROM_CARD.format("mean and std"),
    "seg_inference.model.normalization.mean": _FROM_CARD.format("mean"),
    "seg_inference.model.normalization.std": _FROM_CARD.format("std"),
    "seg_inference.output.save_visualizations": "use seg_inference.output.save_viz",
    "seg_inference.output.cutout_rgba_transparent": "use seg_inference.output.cutout_use_rgba",
    "seg_inference.visualization.enabled": "use seg_inference.output.save_viz",
}
"""Keys of AgIR-CVToolkit that are refused, and what to use instead."""
