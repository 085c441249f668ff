"""``infer-pose``: find the animals' joints in the pictures of a folder, or in the records of the run's query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import CheckpointError, ConfigError, UsageError
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Record
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._engine import devices_of, engine_of, is_here
from ._kind_of_run import check_kind
from ._pictures_folder import Asked, records_to_predict
from ._predict_poses import OUTPUTS, STAGE, InferPoseResult, plan, predict_poses

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.inference.pose_predictor import PosePredictor

__all__ = ["OUTPUTS", "STAGE", "InferPoseResult", "infer_pose"]

CHAMPION, NONE = "champion", "none"


def infer_pose(folder: Path | None = None, call: Call | None = None) -> InferPoseResult:
    """Find joints, with a confidence for each and an uncertainty for each record.

    Records that the same call has finished before are left alone; with other records, another model or
    configuration the earlier results move to ``history/infer-pose/`` and a new pass begins. What fails for one
    record is listed, the rest goes on.

    Args:
        folder: of pictures; starts a run, or continues the current one if that is of the same folder. None takes
            the run's query, or the folder that the run was started with.
        call: options that every command takes.

    Raises:
        NoRunError: there is no run, or neither query nor folder in it.
        UsageError: there are no records, no pose model has been promoted, or the run holds masks.
        ConfigError: wrong settings.
        CheckpointError: the model is no pose model of this package, or not the one that was promoted.
    """
    call = call or Call()
    settings = call.settings()
    source = settings.pose_inference.source
    found = records_to_predict(folder, Asked("pose_inference", source.db, source.image_mode), settings, call)
    if found.run is not None:
        check_kind(found.run, STAGE)
    predictor = open_pose_predictor(settings)
    if call.dry_run:
        return plan(found.run, found.records, predictor)
    return infer_records(found.opened(settings, call), found.records, predictor, call)


def infer_records(
    run: Run, records: Sequence[Record], predictor: PosePredictor, call: Call
) -> InferPoseResult:
    """Find joints in records that are at hand, into a run that is there; otherwise as `infer_pose`."""
    settings = call.settings()
    with call.work(run, STAGE):
        call.record_config(run, STAGE, settings, settings.dump("pose_inference", "io", "db", "project"))
        result = _predicted(run, records, predictor, settings, call.progress)
        _tell_ledger(run, settings)
    return result


def _predicted(
    run: Run, records: Sequence[Record], predictor: PosePredictor, settings: Settings, progress: Progress
) -> InferPoseResult:
    wanted = settings.pose_inference
    devices = devices_of(wanted.device, wanted.workers)
    engine = engine_of(wanted.workers, devices)
    opened = None if is_here(engine) else partial(_opened, settings, devices)
    return predict_poses(run, records, predictor, wanted, progress, engine=engine, opened=opened)


def _opened(settings: Settings, devices: tuple[str, ...], worker: int) -> PosePredictor:
    chosen = settings.pose_inference.model_copy(update={"device": devices[worker % len(devices)]})
    return open_pose_predictor(settings.model_copy(update={"pose_inference": chosen}))


def open_pose_predictor(settings: Settings) -> PosePredictor:
    """Open the model that ``pose_inference.model`` names.

    Raises:
        UsageError: no pose model has been promoted.
        CheckpointError: the file is missing, no pose model of this package, or not the one that was promoted.
        MissingExtraError: torch, or for ``.onnx`` ONNX Runtime, is not installed.
    """
    wanted = settings.pose_inference
    if wanted.model == NONE:
        from agir_cvtoolkit.inference.blank_poses import BlankPosePredictor
        from agir_cvtoolkit.joints import load_schema

        return BlankPosePredictor(
            load_schema(settings.cvat_upload.pose.joints or settings.firebase.pose.joints)
        )
    options: dict[str, Any] = {"absent_below": wanted.absent_below, "look_twice": wanted.look_twice}
    if wanted.model != CHAMPION:
        path = Path(wanted.model).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"the model {path} does not exist",
                "Check pose_inference.model: a file, champion for the promoted one, or none for no proposals.",
            )
        return _predictor(path, wanted.device, options)
    from agir_cvtoolkit.ledger import Ledger

    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        champion = ledger.champion("pose")
    if champion is None:
        raise UsageError(
            "no pose model has been promoted yet",
            "Train one (agir-cvtoolkit retrain), promote one (agir-cvtoolkit promote path/to/best.pth), or name one "
            "with -o pose_inference.model=path/to/best.pth",
        )
    path = Path(champion.path)
    if not path.is_file():
        raise CheckpointError(
            f"the champion {champion.version} is no longer at {path}",
            "Copy the file back, or promote a model again: agir-cvtoolkit promote path/to/best.pth",
        )
    predictor = _predictor(path, wanted.device, options)
    if predictor.card.version != champion.version:
        raise CheckpointError(
            f"{path} holds model {predictor.card.version}, but model {champion.version} was promoted",
            "Promote the one that shall predict: agir-cvtoolkit promote path/to/best.pth",
        )
    return predictor


def _predictor(path: Path, device: str, options: dict[str, Any]) -> PosePredictor:
    from agir_cvtoolkit.inference.pose_predictor import PosePredictor

    return PosePredictor.load(path, device, **options)


def _tell_ledger(run: Run, settings: Settings) -> None:
    from agir_cvtoolkit.ledger import Ledger

    if not run.manifest_path.is_file():
        return
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        ledger.record_predictions(run.run_id, [(entry, None) for entry in run.read_manifest()])
