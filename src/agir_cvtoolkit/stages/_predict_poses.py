"""Records into poses: what ``infer-pose`` does once it knows the run, the records and the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, DataError, PictureError, UsageError
from agir_cvtoolkit.poses import Pose, overall_confidence, write_poses
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import Box, Item, ManifestEntry, Record
from agir_cvtoolkit.runs import Run, StagePass, atomic_path, fingerprint

from ._predict_records import failure, unique, unloadable

if TYPE_CHECKING:
    from agir_cvtoolkit.config import PoseInference
    from agir_cvtoolkit.inference.originals import Original
    from agir_cvtoolkit.inference.pose_predictor import PosePredictor

STAGE = "infer-pose"
OUTPUTS = ("manifest.jsonl", "images", "poses", "plots")
"""What the stage owns in a run; it moves to ``history/`` when a pass with other inputs begins."""

_LONGEST_PLOT = 2000


@dataclass(frozen=True)
class InferPoseResult:
    """What ``infer-pose`` did, or in a dry run would do.

    Attributes:
        run_id, run_root: of the run; None where a dry run would start one.
        total: records.
        predicted: of them, those in the manifest (in a dry run: those that would be).
        kept: of the predicted, those that an earlier call of the same pass had finished.
        skipped: pictures that could not be loaded.
        failed: records with any other fault.
        items: one entry for each skipped and failed record.
        model: name and version.
        schema: of the joints.
        mean_confidence: over the predicted records, in [0, 1]; None where there is none. The uncertainty of a record is
            1 - the overall confidence of its least sure animal.
        already_done: every record had been finished before; nothing was changed.
    """

    run_id: str | None
    run_root: Path | None
    total: int
    predicted: int
    kept: int
    skipped: int
    failed: int
    items: tuple[Item, ...]
    model: str
    schema: str
    mean_confidence: float | None
    dry_run: bool = False
    already_done: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 where records were skipped or failed, 4 where no record could be predicted."""
        if not self.items:
            return 0
        return 1 if self.predicted else DataError.exit_code


def plan(run: Run | None, records: Sequence[Record], predictor: PosePredictor) -> InferPoseResult:
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
    return InferPoseResult(
        run_id=run.run_id if run else None,
        run_root=run.root if run else None,
        total=len(records),
        predicted=len(records) - len(items),
        kept=0,
        skipped=len(items),
        failed=0,
        items=tuple(items),
        model=predictor.name,
        schema=predictor.schema.name,
        mean_confidence=None,
        dry_run=True,
    )


def predict_poses(
    run: Run,
    records: Sequence[Record],
    predictor: PosePredictor,
    settings: PoseInference,
    progress: Progress | None = None,
) -> InferPoseResult:
    """Predict records into a run, going on where an earlier call with the same ones stopped.

    Args:
        run: where the results go.
        records: in the order in which they are predicted; a doubled record id fails.
        predictor: of poses.
        settings: boxes and outputs.
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
    with (progress or Silent()).bar("infer-pose", len(wanted)) as bar:
        bar.advance(kept)
        items += _predict(run, pending, predictor, settings, entries, bar.advance)
    result = _result(run, records, entries, items, kept, predictor)
    _write_metrics(run, result, entries, stage_pass)
    run.finish(stage_pass)
    return result


def pass_fingerprint(records: Sequence[Record], predictor: PosePredictor, settings: PoseInference) -> str:
    """Return what identifies a pass: records, model and all settings that change a result."""
    rows = [
        (
            r.record_id,
            str(r.image_path),
            r.crop and (r.crop.x, r.crop.y, r.crop.width, r.crop.height),
            [(b.x, b.y, b.width, b.height) for b in r.boxes] if settings.source.boxes else None,
            r.reference_size,
            r.common_name,
            dict(r.values),
        )
        for r in records
    ]
    return fingerprint(rows, predictor.name, settings.model_dump(mode="json", exclude={"device", "model"}))


def boxes_of(record: Record, size: tuple[int, int]) -> list[Box | None]:
    """Return where to look for animals: the record's boxes in pixels of its picture, else all of it.

    Args:
        record: whose picture, if it is not a part of one, may hold several animals.
        size: width and height of the picture.
    """
    if record.crop is not None:
        return [None]
    found: list[Box | None] = []
    for box in record.boxes:
        scaled = box.scaled(record.reference_size, size) if record.reference_size is not None else box
        if scaled.clipped(size) is not None:
            found.append(scaled)
    return found or [None]


def _predict(
    run: Run,
    pending: Sequence[Record],
    predictor: PosePredictor,
    settings: PoseInference,
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
    run: Run, record: Record, original: Original, predictor: PosePredictor, settings: PoseInference
) -> ManifestEntry | Item:
    try:
        started = time.perf_counter()
        boxes = boxes_of(record, original.size) if settings.source.boxes else [None]
        poses = predictor.predict([original.rgb] * len(boxes), boxes)
        elapsed = (time.perf_counter() - started) * 1000
        path = run.path("poses", f"{record.stem}.json")
        write_poses(path, predictor.schema.name, poses)
        confidence = min(overall_confidence(pose, settings.min_confidence) for pose in poses)
        width, height = original.size
        entry = ManifestEntry(
            record_id=record.record_id,
            common_name=record.common_name,
            image_path=original.image_path,
            mask_path=None,
            width=width,
            height=height,
            sha256=original.sha256,
            model=predictor.name,
            uncertainty=round(1 - confidence, 6),
            edge_occupancy=0.0,
            inference_time_ms=round(elapsed, 3),
            class_id=record.class_id,
            image_mode=settings.source.image_mode,
            source_path=str(record.image_path.absolute()) if record.image_path else None,
            viz_path=_plot(run, record, original, poses, predictor) if settings.output.save_viz else None,
            label_values=dict(record.values),
            conflicts=tuple(sorted(record.conflicts)),
            pose_path=str(path.relative_to(run.root)),
        )
        run.append_manifest(entry)
    except UsageError:
        raise
    except (AgirError, OSError, ValueError, ArithmeticError, MemoryError, RuntimeError) as error:
        return failure(record, error)
    return entry


def _plot(
    run: Run, record: Record, original: Original, poses: Sequence[Pose], predictor: PosePredictor
) -> str:
    from PIL import Image

    from agir_cvtoolkit.reporting.overlay import shrunk
    from agir_cvtoolkit.reporting.skeletons import scaled, skeleton

    painted = shrunk(original.rgb, _LONGEST_PLOT)
    scale = painted.shape[1] / original.rgb.shape[1]
    for pose in poses:
        painted = skeleton(painted, scaled(pose, scale), predictor.schema)
    path = run.path("plots", f"{record.stem}.jpg")
    with atomic_path(path) as temporary:
        Image.fromarray(painted).save(temporary, format="JPEG", quality=90)
    return str(path.relative_to(run.root))


def _finished(run: Run) -> dict[str, ManifestEntry]:
    if not run.manifest_path.is_file():
        return {}
    return {e.record_id: e for e in run.read_manifest() if all(run.inside(f).is_file() for f in _files(e))}


def _files(entry: ManifestEntry) -> list[str]:
    named = (entry.image_path, entry.pose_path, entry.viz_path)
    return [path for path in named if path is not None]


def _result(
    run: Run,
    records: Sequence[Record],
    entries: Mapping[str, ManifestEntry],
    items: Sequence[Item],
    kept: int,
    predictor: PosePredictor,
) -> InferPoseResult:
    sure = [1 - entry.uncertainty for entry in entries.values()]
    return InferPoseResult(
        run_id=run.run_id,
        run_root=run.root,
        total=len(records),
        predicted=len(entries),
        kept=kept,
        skipped=sum(item.outcome == "skipped" for item in items),
        failed=sum(item.outcome == "failed" for item in items),
        items=tuple(items),
        model=predictor.name,
        schema=predictor.schema.name,
        mean_confidence=round(sum(sure) / len(sure), 6) if sure else None,
    )


def _write_metrics(
    run: Run, result: InferPoseResult, entries: Mapping[str, ManifestEntry], stage_pass: StagePass
) -> None:
    total_ms = sum(entry.inference_time_ms for entry in entries.values())
    metrics = {
        "total_records": result.total,
        "processed": result.predicted,
        "skipped": result.skipped,
        "failed": result.failed,
        "total_inference_time_ms": round(total_ms, 3),
        "avg_inference_time_ms": round(total_ms / len(entries), 3) if entries else 0.0,
        "mean_confidence": result.mean_confidence,
        "mean_uncertainty": None if result.mean_confidence is None else round(1 - result.mean_confidence, 6),
        "model": result.model,
        "schema": result.schema,
        "items": [asdict(item) for item in result.items],
    }
    run.write_metrics(STAGE, metrics, number=stage_pass.number)
