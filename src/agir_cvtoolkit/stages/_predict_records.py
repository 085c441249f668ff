"""Records into predictions: what ``infer-seg`` does once it knows the run, the records and the predictor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, DataError, PictureError, UsageError
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import Item, ManifestEntry, Record
from agir_cvtoolkit.runs import Run, StagePass, atomic_path, discard, fingerprint

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference
    from agir_cvtoolkit.inference.originals import Original
    from agir_cvtoolkit.inference.predictor import Predictor
    from agir_cvtoolkit.inference.segment import Segmented

STAGE = "infer-seg"
OUTPUTS = ("manifest.jsonl", "images", "masks", "cutouts", "colorized_masks", "plots")
"""What the stage owns in a run; it moves to ``history/`` when a pass with other inputs begins."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferResult:
    """What ``infer-seg`` did, or in a dry run would do.

    Attributes:
        total: records of the query.
        predicted: of them, those in the manifest (in a dry run: those that would be).
        kept: of the predicted, those that an earlier call of the same pass had finished.
        skipped: pictures that could not be loaded, and records beyond the edge occupancy threshold.
        failed: records with any other fault.
        items: one entry for each skipped and failed record.
        mean_uncertainty: over the predicted records, in [0, 1]; None where there is none.
        already_done: every record had been finished before; nothing was changed.
    """

    run_id: str
    run_root: Path
    total: int
    predicted: int
    kept: int
    skipped: int
    failed: int
    items: tuple[Item, ...]
    manifest_path: Path
    model: str
    mean_uncertainty: float | None
    dry_run: bool = False
    already_done: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 where records were skipped or failed, 4 where no record could be predicted."""
        if not self.items:
            return 0
        return 1 if self.predicted else DataError.exit_code


def plan(run: Run, records: Sequence[Record], predictor: Predictor) -> InferResult:
    """Say which records would be predicted; looks at the headers of the pictures and changes nothing."""
    from agir_cvtoolkit.pictures import glance

    items = []
    for record in records:
        try:
            if record.image_path is None:
                raise PictureError("the source names no picture", "Check the path columns.")
            glance(record.image_path)
        except PictureError as error:
            items.append(unloadable(record, error))
    return InferResult(
        run_id=run.run_id,
        run_root=run.root,
        total=len(records),
        predicted=len(records) - len(items),
        kept=0,
        skipped=len(items),
        failed=0,
        items=tuple(items),
        manifest_path=run.manifest_path,
        model=predictor.name,
        mean_uncertainty=None,
        dry_run=True,
    )


def predict_records(
    run: Run,
    records: Sequence[Record],
    predictor: Predictor,
    settings: SegInference,
    progress: Progress | None = None,
) -> InferResult:
    """Predict records into a run, going on where an earlier call with the same ones stopped.

    Args:
        run: where the results go.
        records: in the order in which they are predicted; a doubled record id fails.
        predictor: of either kind.
        settings: tiles, post-processing and outputs.
        progress: one step per record.
    """
    stage_pass = run.begin(STAGE, pass_fingerprint(records, predictor, settings), OUTPUTS)
    finished = _finished(run)
    wanted, items = unique(records)
    pending = [record for record in wanted if record.record_id not in finished]
    entries = {r.record_id: finished[r.record_id] for r in wanted if r.record_id in finished}
    kept = len(entries)
    if stage_pass.state == "done" and not pending:
        return replace(_result(run, records, entries, items, kept, predictor), already_done=True)
    if stage_pass.state == "done":
        run.reopen(stage_pass)
    with (progress or Silent()).bar("infer-seg", len(wanted)) as bar:
        bar.advance(kept)
        items += _predict(run, pending, predictor, settings, entries, bar.advance)
    result = _result(run, records, entries, items, kept, predictor)
    _write_metrics(run, result, entries, predictor, stage_pass)
    run.finish(stage_pass)
    return result


def pass_fingerprint(records: Sequence[Record], predictor: Predictor, settings: SegInference) -> str:
    """Return what identifies a pass: records, predictor and all settings that change a result."""
    rows = [
        (
            r.record_id,
            str(r.image_path),
            r.crop and (r.crop.x, r.crop.y, r.crop.width, r.crop.height),
            r.reference_size,
            r.common_name,
            r.class_id,
            dict(r.values),
            sorted(r.conflicts),
        )
        for r in records
    ]
    configured = settings.model_dump(mode="json", exclude={"batch_size", "device", "model"})
    return fingerprint(rows, predictor.name, configured)


def _predict(
    run: Run,
    pending: Sequence[Record],
    predictor: Predictor,
    settings: SegInference,
    entries: dict[str, ManifestEntry],
    advance: Callable[[], None],
) -> list[Item]:
    from agir_cvtoolkit.inference.originals import read_ahead

    items = []
    for record, original in read_ahead(pending, run, save=settings.output.save_images):
        outcome = (
            failure(record, original)
            if isinstance(original, BaseException)
            else _predict_one(run, record, original, predictor, settings)
        )
        if isinstance(outcome, Item):
            items.append(outcome)
        else:
            entries[record.record_id] = outcome
        advance()
    return items


def _predict_one(
    run: Run, record: Record, original: Original, predictor: Predictor, settings: SegInference
) -> ManifestEntry | Item:
    from agir_cvtoolkit.inference.record import mask_value, predict_record

    if mask_value(record) != record.class_id:
        _log.warning(
            "Class id %s of record %s does not fit a mask (1..255); 255 is used",
            record.class_id,
            record.record_id,
        )
    try:
        entry, found = predict_record(run, record, original, predictor, settings)
        limit = settings.post_process.edge_occupancy_threshold
        if limit is not None and entry.edge_occupancy > limit:
            _forget_files(run, entry)
            return Item(
                record.record_id, "skipped", f"edge occupancy {entry.edge_occupancy:.3f} is above {limit:g}"
            )
        if settings.output.save_viz:
            entry = replace(entry, viz_path=_plot(run, record, original, found, settings))
        run.append_manifest(entry)
    except UsageError:
        raise
    except (AgirError, OSError, ValueError, ArithmeticError, MemoryError, RuntimeError) as error:
        return failure(record, error)
    return entry


def _plot(run: Run, record: Record, original: Original, found: Segmented, settings: SegInference) -> str:
    from agir_cvtoolkit.reporting.overlay import save_overlay

    path = run.path("plots", f"{record.stem}.jpg")
    with atomic_path(path) as temporary:
        save_overlay(original.rgb, found.index != 0, temporary, settings.visualization.overlay_alpha)
    return str(path.relative_to(run.root))


def failure(record: Record, error: BaseException) -> Item:
    """Return what is listed of a record that failed; what is no `Exception` is raised again."""
    if not isinstance(error, Exception):
        raise error
    if isinstance(error, PictureError):
        return unloadable(record, error)
    _log.error("Record %s failed: %s", record.record_id, error, exc_info=not isinstance(error, AgirError))
    return Item(record.record_id, "failed", str(error) or type(error).__name__)


def unloadable(record: Record, error: PictureError) -> Item:
    """Return what is listed of a record whose picture cannot be read."""
    _log.warning("Could not load image for record %s: %s", record.record_id, error)
    return Item(record.record_id, "skipped", f"Could not load image for record {record.record_id}: {error}")


def _finished(run: Run) -> dict[str, ManifestEntry]:
    if not run.manifest_path.is_file():
        return {}
    return {e.record_id: e for e in run.read_manifest() if all(run.inside(f).is_file() for f in _files(e))}


def _files(entry: ManifestEntry) -> list[str]:
    named = (entry.image_path, entry.mask_path, entry.cutout_path, entry.colorized_mask_path, entry.viz_path)
    return [path for path in named if path is not None]


def _forget_files(run: Run, entry: ManifestEntry) -> None:
    for path in _files(entry):
        discard(run.inside(path))


def unique(records: Sequence[Record]) -> tuple[list[Record], list[Item]]:
    """Return the first record of each id, and what is listed of the others."""
    known: dict[str, Record] = {}
    items = []
    for record in records:
        if record.record_id in known:
            _log.error("Record %s occurs twice in the query; its first row is used", record.record_id)
            items.append(Item(record.record_id, "failed", "occurs twice in the query"))
        known.setdefault(record.record_id, record)
    return list(known.values()), items


def _result(
    run: Run,
    records: Sequence[Record],
    entries: Mapping[str, ManifestEntry],
    items: Sequence[Item],
    kept: int,
    predictor: Predictor,
) -> InferResult:
    doubts = [entry.uncertainty for entry in entries.values()]
    return InferResult(
        run_id=run.run_id,
        run_root=run.root,
        total=len(records),
        predicted=len(entries),
        kept=kept,
        skipped=sum(item.outcome == "skipped" for item in items),
        failed=sum(item.outcome == "failed" for item in items),
        items=tuple(items),
        manifest_path=run.manifest_path,
        model=predictor.name,
        mean_uncertainty=sum(doubts) / len(doubts) if doubts else None,
    )


def _write_metrics(
    run: Run,
    result: InferResult,
    entries: Mapping[str, ManifestEntry],
    predictor: Predictor,
    stage_pass: StagePass,
) -> None:
    total_ms = sum(entry.inference_time_ms for entry in entries.values())
    metrics = {
        "total_records": result.total,
        "processed": result.predicted,
        "skipped": result.skipped,
        "failed": result.failed,
        "total_inference_time_ms": round(total_ms, 3),
        "avg_inference_time_ms": round(total_ms / len(entries), 3) if entries else 0.0,
        "mean_uncertainty": result.mean_uncertainty,
        "model": result.model,
        "classes": _named_values(predictor),
        "items": [asdict(item) for item in result.items],
    }
    run.write_metrics(STAGE, metrics, number=stage_pass.number)


def _named_values(predictor: Predictor) -> dict[str, str]:
    from agir_cvtoolkit.inference.predictor import is_plant_or_not

    if is_plant_or_not(predictor):
        return {}
    named = zip(predictor.class_ids, predictor.classes, strict=True)
    return {str(value): name for value, name in named if value != 0}
