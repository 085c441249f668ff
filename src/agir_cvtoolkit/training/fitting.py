"""Lightning's trainer: on which device, in which processes, how precise; and what ends it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.utils.data import DataLoader

from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.errors import ConfigError, DataError, InterruptedByUser, UsageError

from .batches import Batch


def chosen_device(wanted: str, processes: int = 1) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` or ``cuda:<number>``, with several processes the first one.

    Raises:
        ConfigError: there is no such device, or there are fewer GPUs than processes.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        wanted = "cuda" if count else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and max((device.index or 0) + 1, processes) > count:
        asked = f"train.device is {wanted}" if processes == 1 else f"train.processes is {processes}"
        raise ConfigError(
            f"{asked}, but PyTorch sees {count} GPUs", "Set train.device=auto or train.device=cpu"
        )
    return device


def trainer_for(
    device: torch.device, settings: Train, callbacks: list[Callback], loggers: list[Logger]
) -> Trainer:
    """Return a trainer that is quiet, deterministic and leaves files to others."""
    on_gpu = device.type == "cuda"
    several = settings.processes * settings.nodes > 1
    processes: int | list[int] = [device.index or 0] if on_gpu and not several else settings.processes
    return Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=processes,
        num_nodes=settings.nodes,
        strategy=_strategy(settings) if several else "auto",
        precision=chosen_precision(settings.precision, on_gpu=on_gpu),
        gradient_clip_val=settings.optimizer.clip_norm,
        max_epochs=settings.max_epochs,
        callbacks=callbacks,
        logger=loggers,
        deterministic=True,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _strategy(settings: Train) -> Strategy:
    # Of a network with a frozen encoder most weights take no part.
    held = settings.model.encoder_freeze or settings.model.encoder_freeze_epochs > 0
    start: Literal["popen", "spawn"] = "popen" if settings.nodes > 1 else "spawn"
    return DDPStrategy(start_method=start, find_unused_parameters=held)


def chosen_precision(wanted: str, *, on_gpu: bool) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    """Return Lightning's word for the precision.

    Raises:
        ConfigError: the device does not have it.
    """
    if wanted == "auto":
        return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    if wanted == "16-mixed" and not on_gpu:
        raise ConfigError(
            "train.precision 16-mixed needs a GPU", "Set train.precision=bf16-mixed or train.precision=32"
        )
    return "16-mixed" if wanted == "16-mixed" else "bf16-mixed" if wanted == "bf16-mixed" else "32-true"


def fit_all(
    trainer: Trainer, learner: LightningModule, loaders: Mapping[str, DataLoader[Batch]], resume: Path | None
) -> None:
    """Train to the end, from a resume file where one is given.

    Raises:
        DataError: a process failed.
        InterruptedByUser: Ctrl-C.
        UsageError: the device ran out of memory.
    """
    try:
        # Lightning turns Ctrl-C into SystemExit; it is an interruption like any other.
        trainer.fit(
            learner,
            loaders["train"],
            loaders["val"],
            ckpt_path=str(resume) if resume else None,
            weights_only=True,
        )
    except (KeyboardInterrupt, SystemExit) as error:
        raise InterruptedByUser("training was interrupted", "Start it again to continue.") from error
    except torch.OutOfMemoryError as error:
        raise UsageError("the GPU ran out of memory", "Lower train.batch_size or preprocess.size") from error
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(f"a process of the training failed: {last}", "Start it again to continue.") from error
