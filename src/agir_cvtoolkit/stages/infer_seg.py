"""``infer-seg``: predict the records of the run's query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Record

from ._call import Call
from ._engine import devices_of, engine_of, is_here
from ._kind_of_run import check_kind
from ._pictures_folder import Asked, records_to_predict
from ._predict_records import OUTPUTS, STAGE, InferResult, plan, predict_records
from ._segmentation_champion import champion_of

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference, Settings
    from agir_cvtoolkit.inference.predictor import Predictor
    from agir_cvtoolkit.inference.registry import Champion
    from agir_cvtoolkit.runs import Run

__all__ = ["OUTPUTS", "STAGE", "InferResult", "infer_seg", "plan", "predict_records"]


def infer_seg(call: Call | None = None, *, folder: Path | None = None) -> InferResult:
    """Predict masks for the records of the run's query or the pictures of a folder, with an uncertainty for each.

    Records that the same call has finished before are left alone; with another query, checkpoint or
    configuration the earlier results move to ``history/infer-seg/`` and a new pass begins. What fails for one
    record is listed, the rest goes on.

    Args:
        call: the common options.
        folder: of pictures; starts a run, or continues the current one if that is of the same folder. None takes
            the run's query, or the folder that the run was started with.

    Raises:
        NoRunError: there is no run, or neither query nor folder in it.
        UsageError: the query holds no records, no model has been promoted, or the run holds poses.
        ConfigError: wrong settings.
        CheckpointError: the checkpoint is not one of this package, or not the one that was promoted.
    """
    call = call or Call()
    settings = call.settings()
    source = settings.seg_inference.source
    found = records_to_predict(folder, Asked("seg_inference", source.db, source.image_mode), settings, call)
    if found.run is not None:
        check_kind(found.run, STAGE)
    from agir_cvtoolkit.inference.registry import open_predictor

    champion = champion_of(settings)
    predictor = open_predictor(settings.seg_inference, champion)
    if call.dry_run:
        return plan(found.run, found.records, predictor)
    run = found.opened(settings, call)
    with call.work(run, STAGE):
        call.record_config(run, STAGE, settings, settings.dump("seg_inference", "io", "db", "project"))
        result = predict_into(run, found.records, predictor, champion, settings.seg_inference, call.progress)
        _tell_ledger(run, settings)
    return result


def predict_into(
    run: Run,
    records: Sequence[Record],
    predictor: Predictor,
    champion: Champion | None,
    settings: SegInference,
    progress: Progress,
) -> InferResult:
    """Predict records that are at hand, into a run that is there, with the configured workers; nobody is told."""
    from agir_cvtoolkit.inference.registry import computed_by_torch

    devices = devices_of(settings.device, settings.workers, on_gpu=computed_by_torch(predictor))
    engine = engine_of(settings.workers, devices)
    opened = None if is_here(engine) else partial(_opened, settings, champion, devices)
    return predict_records(run, records, predictor, settings, progress, engine=engine, opened=opened)


def _opened(
    settings: SegInference, champion: Champion | None, devices: tuple[str, ...], worker: int
) -> Predictor:
    from agir_cvtoolkit.inference.registry import open_predictor

    device = devices[worker % len(devices)]
    return open_predictor(settings.model_copy(update={"device": device}), champion)


def _tell_ledger(run: Run, settings: Settings) -> None:
    from agir_cvtoolkit.ledger import Ledger
    from agir_cvtoolkit.pictures import sha256_of

    if not run.manifest_path.is_file():
        return
    entries = [
        (entry, sha256_of(run.inside(entry.mask_path)) if entry.mask_path else None)
        for entry in run.read_manifest()
    ]
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        ledger.record_predictions(run.run_id, entries)
