"""Where the figures of a training go while it runs: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from lightning.pytorch.loggers import Logger

from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.errors import MissingExtraError

TENSORBOARD = "tensorboard"


def check_trackers(settings: Train) -> None:
    """Refuse what is configured in ``train.tracking`` where its package is missing.

    Raises:
        MissingExtraError: a package is not installed.
    """
    for name in ("wandb", "mlflow"):
        if getattr(settings.tracking, name) is not None:
            try:
                import_module(name)
            except ModuleNotFoundError as error:
                raise MissingExtraError(f"train.tracking.{name}", name) from error


def trackers(settings: Train, out_dir: Path, name: str) -> list[Logger]:
    """Return what is configured in ``train.tracking``.

    Args:
        settings: the group ``train``; its values are sent along.
        out_dir: usually ``model/`` of a run; TensorBoard's events lie below.
        name: of the training.

    Raises:
        MissingExtraError: a package is not installed.
    """
    check_trackers(settings)
    wanted = settings.tracking
    found: list[Logger] = []
    if wanted.tensorboard:
        found.append(_tensorboard(out_dir))
    if wanted.wandb is not None:
        found.append(_wandb(wanted.wandb, out_dir, name))
    if wanted.mlflow is not None:
        found.append(_mlflow(wanted.mlflow, name))
    for tracker in found:
        tracker.log_hyperparams(settings.model_dump(mode="json"))
    return found


def _tensorboard(out_dir: Path) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(out_dir, name=TENSORBOARD, version="", default_hp_metric=False)
    except ModuleNotFoundError as error:
        raise MissingExtraError("train.tracking.tensorboard", "train") from error


def _wandb(project: str, out_dir: Path, name: str) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(name=name, project=project, save_dir=out_dir)


def _mlflow(address: str, name: str) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    return MLFlowLogger(experiment_name="agir-cvtoolkit", run_name=name, tracking_uri=address)
