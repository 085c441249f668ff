"""The groups ``preprocess`` and ``train``: how corrections become a data set, and a data set a model."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from ._base import Group


class PreprocessSource(Group):
    """Where pairs of pictures and masks come from."""

    type: Literal["cvat_download", "inference_results", "custom"] = "cvat_download"
    tasks: tuple[int, ...] | None = None
    runs: tuple[str, ...] = ()
    custom_images_dir: str | None = None
    custom_masks_dir: str | None = None

    @model_validator(mode="after")
    def _folders(self) -> PreprocessSource:
        if self.type == "custom" and not (self.custom_images_dir and self.custom_masks_dir):
            raise ValueError("type custom needs custom_images_dir and custom_masks_dir")
        return self


class TileSize(Group):
    """Size of what the network is trained on; pixels."""

    height: int = Field(default=512, ge=32, le=8192)
    width: int = Field(default=512, ge=32, le=8192)


class Pad(Group):
    """What happens to pictures smaller than a tile."""

    enabled: bool = True
    mode: Literal["constant", "reflect"] = "constant"
    fill: int = Field(default=0, ge=0, le=255)


class GridCrop(Group):
    """How larger pictures are cut."""

    enabled: bool = True
    stride: int | None = Field(default=None, ge=1)
    threshold: float = Field(default=1.0, ge=1.0)


class Interpolation(Group):
    """How values between pixels are found; masks always take the nearest."""

    image: Literal["AREA", "BILINEAR", "BICUBIC", "NEAREST"] = "AREA"


class Resize(Group):
    """Whether pictures up to ``grid_crop.threshold`` tiles are shrunk into one."""

    enabled: bool = False
    interpolation: Interpolation = Interpolation()


class Split(Group):
    """Shares of the data set, by picture, and what is never divided."""

    enabled: bool = True
    train: float = Field(default=0.8, gt=0.0, le=1.0)
    val: float = Field(default=0.15, ge=0.0, lt=1.0)
    test: float = Field(default=0.05, ge=0.0, lt=1.0)
    seed: int | None = None
    together: tuple[str, ...] | None = None
    near_duplicates: int | None = Field(default=6, ge=0, le=16)
    test_set: str = Field(default="segmentation", pattern=r"^[\w.-]{1,40}$")
    listed: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Split:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train, val and test sum to {total:g}, not 1")
        return self


class CuttingWorkers(Group):
    """Where pictures are cut, and how many at once."""

    engine: Literal["local", "ray"] = "local"
    processes: int | None = Field(default=None, ge=1, le=1024)
    readers: int | None = Field(default=None, ge=1, le=64)
    megapixels: int = Field(default=80, ge=1)
    ray_address: str | None = None


class Preprocess(Group):
    """Settings of ``preprocess``; every key is described in ``conf/preprocess/default.yaml``."""

    source: PreprocessSource = PreprocessSource()
    classes: Literal["binary", "labels"] = "binary"
    scale: float = Field(default=1.0, gt=0.0, le=1.0)
    max_side: int | None = Field(default=None, ge=32)
    size: TileSize = TileSize()
    ignore_empty_data: bool = False
    pad: Pad = Pad()
    grid_crop: GridCrop = GridCrop()
    resize: Resize = Resize()
    split: Split = Split()
    workers: CuttingWorkers = CuttingWorkers()

    @model_validator(mode="after")
    def _every_size_has_a_way(self) -> Preprocess:
        if not (self.grid_crop.enabled or self.resize.enabled):
            raise ValueError("pictures larger than a tile need grid_crop.enabled or resize.enabled")
        if not self.pad.enabled and self.resize.enabled:
            raise ValueError("resize.enabled keeps the picture's proportions and needs pad.enabled")
        stride = self.grid_crop.stride
        if stride is not None and stride > min(self.size.height, self.size.width):
            raise ValueError(
                f"grid_crop.stride {stride} would leave gaps between tiles; take at most the tile"
            )
        return self


class TrainModel(Group):
    """Which network."""

    arch_name: str = "unet"
    encoder_name: str = "efficientnet_lite0"
    encoder_weights: Literal["imagenet"] | None = "imagenet"
    encoder_freeze: bool = False
    encoder_freeze_epochs: int = Field(default=0, ge=0)
    remembered_variations: int = Field(default=4, ge=0)


class Optimizer(Group):
    """AdamW and how its rate moves over the training."""

    lr: float = Field(default=3e-3, gt=0.0, le=1.0)
    weight_decay: float = Field(default=1e-3, ge=0.0)
    encoder_lr_factor: float = Field(default=0.2, gt=0.0, le=1.0)
    schedule: Literal["cosine", "poly", "constant"] = "cosine"
    warmup: float = Field(default=0.25, ge=0.0, lt=1.0)
    clip_norm: float | None = Field(default=None, gt=0.0)


class Loss(Group):
    """The loss: a sum of weighted parts; a part of weight 0 is left out."""

    cross_entropy: float = Field(default=0.5, ge=0.0)
    dice: float = Field(default=0.5, ge=0.0)
    focal: float = Field(default=0.0, ge=0.0)
    focal_gamma: float = Field(default=2.0, ge=0.0)
    lovasz: float = Field(default=0.0, ge=0.0)
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"

    @model_validator(mode="after")
    def _something_to_lose(self) -> Loss:
        if not self.cross_entropy + self.dice + self.focal + self.lovasz:
            raise ValueError("one of cross_entropy, dice, focal and lovasz must be above 0")
        if isinstance(self.class_weights, tuple) and (
            min(self.class_weights, default=-1.0) < 0 or not any(self.class_weights)
        ):
            raise ValueError("class_weights are at least 0, one for each class, and not all 0")
        return self


class EarlyStop(Group):
    """When training ends before ``max_epochs``."""

    patience: int | None = Field(default=10, ge=1)
    min_delta: float = Field(default=0.0, ge=0.0)


class Augmentation(Group):
    """How strongly pictures are varied while training; 0 turns a variation off."""

    flips: bool = True
    turns: bool = True
    scale: float = Field(default=0.25, ge=0.0, lt=1.0)
    brightness: float = Field(default=0.25, ge=0.0, le=1.0)
    contrast: float = Field(default=0.25, ge=0.0, le=1.0)
    colour: float = Field(default=0.15, ge=0.0, le=1.0)
    shadow: float = Field(default=0.3, ge=0.0, le=1.0)


class Tracking(Group):
    """Where the figures of each epoch go besides ``history.csv``."""

    tensorboard: bool = True
    wandb: str | None = None
    mlflow: str | None = None


class Train(Group):
    """Settings of ``train``; every key is described in ``conf/train/default.yaml``."""

    seed: int = Field(default=42, ge=0, lt=2**31)
    max_epochs: int = Field(default=40, ge=1)
    batch_size: int = Field(default=8, ge=1)
    num_workers: int | None = Field(default=None, ge=0)
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    processes: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    precision: Literal["auto", "32", "16-mixed", "bf16-mixed"] = "auto"
    auto_preprocess: bool = True
    use_data_augmentation: bool = True
    normalization: Literal["auto", "encoder", "dataset"] = "auto"
    model: TrainModel = TrainModel()
    optimizer: Optimizer = Optimizer()
    loss: Loss = Loss()
    early_stop: EarlyStop = EarlyStop()
    augmentation: Augmentation = Augmentation()
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _batches_divide(self) -> Train:
        together = self.processes * self.nodes
        if self.batch_size % together:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared by {together} processes; take a multiple of them"
            )
        if together > 1 and re.fullmatch(r"cuda:\d+", self.device):
            raise ValueError(f"device {self.device} is one GPU; several processes need auto, cuda or cpu")
        return self


_ORIGINALS = "pictures are always the originals that the run predicted on; remove it"
_NEVER_REMOVED = "source files are never removed; remove it"
_DEVICE = "use train.device (auto, cpu, cuda, cuda:1) and train.processes"
_CYCLE = "use train.optimizer.schedule (cosine, poly, constant) and train.optimizer.warmup"
_BEST = "model/best.pth is the epoch of the best IoU on val, and a killed training is continued; remove it"
_AUGMENTATION = "use train.augmentation (flips, turns, scale, brightness, contrast, colour, shadow)"
_CONCURRENCY = "use preprocess.workers"
_DATASET = "train reads the dataset/ folder of the run; remove it"
_VISUALIZER = "look at dataset/images and dataset/masks; remove it"
_EARLY_STOP = "training stops by the best IoU on val; remove it"

RETIRED: dict[str, str] = {
    "preprocess.source.db": _ORIGINALS,
    "preprocess.resolve_images": _ORIGINALS,
    "preprocess.remove_src": _NEVER_REMOVED,
    "preprocess.split.remove_src": _NEVER_REMOVED,
    "preprocess.split.use_concurrency": _CONCURRENCY,
    "preprocess.split.num_workers": _CONCURRENCY,
    "preprocess.pad_gridcrop_resize": "use preprocess.pad, preprocess.grid_crop and preprocess.resize",
    "preprocess.compute_data_stats": "dataset/stats.json is always written; remove it",
    "preprocess.resize.interpolation.mask": "masks always take the nearest pixel; remove it",
    "train.pin_memory": "it is set with the device; remove it",
    "train.use_data_normalization": "use train.normalization (auto, encoder, dataset)",
    "train.use_multi_gpu": _DEVICE,
    "train.gpu": _DEVICE,
    "train.trainer": "use train.device, train.max_epochs and train.seed",
    "train.scheduler": _CYCLE,
    "train.checkpoint": _BEST,
    "train.early_stop.monitor": _EARLY_STOP,
    "train.early_stop.mode": _EARLY_STOP,
    "train.optimizer._target_": "the optimizer is AdamW; remove it",
    "train.optimizer.betas": "the optimizer is AdamW with its usual betas; remove it",
    "train.model.in_channels": "pictures are RGB; remove it",
    "train.model.classes": "the classes are those of dataset/classes.json; remove it",
    "train.model.decoder_attention_type": "the decoder has no attention; remove it",
    "train.logger": "use train.tracking (tensorboard, wandb, mlflow); history.csv is always written beside the model",
    "train.loss.dice_weight": "use train.loss.dice and train.loss.cross_entropy",
    "train.dataloader_visualizer": _VISUALIZER,
    "train.augmentation_visualizer": _VISUALIZER,
    "train.train_images_dir": _DATASET,
    "train.train_masks_dir": _DATASET,
    "train.val_images_dir": _DATASET,
    "train.val_masks_dir": _DATASET,
    "train.test_images_dir": _DATASET,
    "train.test_masks_dir": _DATASET,
    "train.project_datastats_dir": _DATASET,
    "augment": _AUGMENTATION,
}
"""Keys of AgIR-CVToolkit that are refused, with all keys below them, and what to use instead."""
