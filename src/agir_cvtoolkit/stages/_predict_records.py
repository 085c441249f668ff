"""Records into masks: what ``infer-seg`` does once it knows the run, the records and the predictor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.picture_limit import (
    allow_megapixels,
    allowed_megapixels,
    bits_in_use,
    reading_identity,
    take_sample_bits,
)
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Item, ManifestEntry, Record
from agir_cvtoolkit.runs import Run, atomic_path, fingerprint

from ._engine import bounds_of
from ._predicting import Predictions, forget_files, planned, predict_pass

if TYPE_CHECKING:
    from agir_cvtoolkit.config import SegInference
    from agir_cvtoolkit.engines import Engine, Pieces
    from agir_cvtoolkit.inference.originals import Original, Reading
    from agir_cvtoolkit.inference.predictor import Band, Predictor
    from agir_cvtoolkit.inference.segment import Piece, Segmented

STAGE = "infer-seg"
OUTPUTS = (
    "manifest.jsonl", "images", "masks", "cutouts", "colorized_masks", "uncertainty", "instances", "plots",
)  # fmt: skip
"""What the stage owns in a run; it moves to ``history/`` when a pass with other inputs begins."""

_NO_RESULT: dict[str, Any] = {
    "batch_size": True, "device": True, "workers": True,
    "model": {"predictor": True, "ckpt_path": True, "ensemble": True},
}  # fmt: skip
"""Settings that change no result: the predictor's name stands for the model."""

_SILENCE = 10.0
"""Seconds after which a picture that is being predicted is heard of."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class InferResult(Predictions):
    """What ``infer-seg`` did, or in a dry run would do.

    Attributes:
        manifest_path: one line for each predicted record; None where a dry run would start a run.
        mean_uncertainty: over the predicted records, in [0, 1]; None where there is none.
    """

    manifest_path: Path | None
    mean_uncertainty: float | None


def plan(run: Run | None, records: Sequence[Record], predictor: Predictor) -> InferResult:
    """Say which records would be predicted; looks at the headers of the pictures and changes nothing."""
    fields = planned(run, records, predictor.name)
    return InferResult(**fields, manifest_path=run.manifest_path if run else None, mean_uncertainty=None)


def predict_records(
    run: Run,
    records: Sequence[Record],
    predictor: Predictor,
    settings: SegInference,
    progress: Progress | None = None,
    *,
    engine: Engine | None = None,
    opened: Callable[[int], Predictor] | None = None,
) -> InferResult:
    """Predict records into a run, going on where an earlier call with the same ones stopped.

    Args:
        run: where the results go.
        records: in the order in which they are predicted; a doubled record id fails.
        predictor: of either kind.
        settings: tiles (where they name none, those that the predictor learned from), post-processing and outputs.
        progress: one step per record.
        engine: where the work runs; None for threads of this process.
        opened: opens the predictor in a worker of the engine, by the worker's number; None takes `predictor` itself.
    """
    from agir_cvtoolkit.engines import Threads
    from agir_cvtoolkit.inference.tile_size import fitted

    settings = fitted(settings, predictor)
    stage_pass = run.begin(STAGE, pass_fingerprint(records, predictor, settings), OUTPUTS)
    work = SegmentationWork(run, settings, opened or (lambda _: predictor))
    passed = predict_pass(
        run, stage_pass, records, work, engine or Threads(bounds_of(settings.workers)), progress
    )
    doubts = [entry.uncertainty for entry in passed.entries]
    mean = sum(doubts) / len(doubts) if doubts else None
    if not passed.already_done:
        metrics = passed.metrics(len(records), predictor.name)
        metrics |= {"mean_uncertainty": mean, "classes": _named_values(predictor)}
        if predictor.needs_tiles:
            metrics["tile"] = {"height": settings.tile.height, "width": settings.tile.width}
        run.write_metrics(STAGE, metrics, number=stage_pass.number)
        run.finish(stage_pass)
    fields = passed.counts(run, len(records), predictor.name)
    return InferResult(**fields, manifest_path=run.manifest_path, mean_uncertainty=mean)


def pass_fingerprint(records: Sequence[Record], predictor: Predictor, settings: SegInference) -> str:
    """Return what identifies a pass: records, predictor and all settings that change a result."""
    from agir_cvtoolkit.inference.ensemble import PictureEnsemble, TileEnsemble

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
    beside = (predictor.names,) if isinstance(predictor, TileEnsemble | PictureEnsemble) else ()
    return fingerprint(
        rows,
        predictor.name,
        settings.model_dump(mode="json", exclude=_NO_RESULT),
        *beside,
        *reading_identity(),
    )


@dataclass(frozen=True)
class SegmentationWork:
    """What is done with each record; can be sent to another process where `opened` can.

    Attributes:
        run: where the files go.
        settings: tiles, post-processing and outputs.
        opened: opens the predictor, by the worker's number.
        max_megapixels: that a picture may have, there as here.
        sample_bits: of 16-bit samples, there as here.
    """

    run: Run
    settings: SegInference
    opened: Callable[[int], Predictor]
    max_megapixels: int = field(default_factory=allowed_megapixels)
    sample_bits: int = field(default_factory=bits_in_use)

    def open(self, worker: int) -> SegmentationSteps:
        """Open the predictor in this process."""
        from agir_cvtoolkit.inference.halving import Halving
        from agir_cvtoolkit.inference.originals import Reading

        allow_megapixels(self.max_megapixels)
        take_sample_bits(self.sample_bits)
        predictor = self.opened(worker)
        if predictor.needs_tiles:
            predictor = Halving(predictor)
        in_memory = self.settings.workers.megapixels * 1_000_000
        reading = Reading(self.run, save=self.settings.output.save_images, in_memory=in_memory)
        return SegmentationSteps(self.run, reading, predictor, self.settings)


@dataclass(frozen=True)
class SegmentationSteps:
    """The steps of one record, with a predictor that is open in this process."""

    run: Run
    reading: Reading
    predictor: Predictor
    settings: SegInference

    def weigh(self, record: Record) -> int:
        """Return the bytes that the record holds in memory at most."""
        from agir_cvtoolkit.inference.held import Predicting, held_bytes

        return held_bytes(record, Predicting.of(self.predictor, self.settings))

    def read(self, record: Record) -> Original:
        """Decode the picture and lay its original into the run."""
        return self.reading.original(record)

    def predict(self, record: Record, original: Original) -> Iterator[Piece]:
        """Yield what the predictor says, and leave all that does not need it to `write`."""
        from agir_cvtoolkit.inference.segment import predicted

        return predicted(self.predictor, original.rgb, self.settings)

    def write(self, record: Record, original: Original, pieces: Pieces[Piece]) -> ManifestEntry | Item:
        """Make masks of what was predicted, and write what was asked for."""
        from agir_cvtoolkit.inference.record import mask_value, write_record
        from agir_cvtoolkit.inference.segment import probability_bands, segmented

        if mask_value(record) != record.class_id:
            _log.warning(
                "Class id %s of record %s does not fit a mask (1..255); 255 is used",
                record.class_id,
                record.record_id,
            )
        bands = probability_bands(self.predictor, pieces, original.size, self.settings)
        bands = _told(record, bands, original.size[1])
        found = segmented(self.predictor, original.rgb, bands, self.settings)
        entry = write_record(
            self.run, record, original, found, pieces.seconds * 1000, self.predictor, self.settings
        )
        limit = self.settings.post_process.edge_occupancy_threshold
        if limit is not None and entry.edge_occupancy > limit:
            forget_files(self.run, entry)
            return Item(
                record.record_id, "skipped", f"edge occupancy {entry.edge_occupancy:.3f} is above {limit:g}"
            )
        if self.settings.output.save_viz:
            entry = replace(entry, viz_path=self._plot(record, original, found))
        return entry

    def _plot(self, record: Record, original: Original, found: Segmented) -> str:
        from agir_cvtoolkit.reporting.overlay import save_overlay

        path = self.run.path("plots", f"{record.stem}.jpg")
        with atomic_path(path) as temporary:
            save_overlay(original.rgb, found.index, temporary, self.settings.visualization.overlay_alpha)
        return str(path.relative_to(self.run.root))


def _told(record: Record, bands: Iterator[Band], rows: int) -> Iterator[Band]:
    """Log now and then how far a picture is that takes long."""
    said = time.monotonic()
    for band in bands:
        yield band
        if time.monotonic() - said >= _SILENCE:
            said = time.monotonic()
            done = band.top + band.probabilities.shape[1]
            _log.info("Record %s: %d of %d rows are predicted", record.record_id, done, rows)


def _named_values(predictor: Predictor) -> dict[str, str]:
    from agir_cvtoolkit.inference.predictor import is_plant_or_not

    if is_plant_or_not(predictor):
        return {}
    named = zip(predictor.class_ids, predictor.classes, strict=True)
    return {str(value): name for value, name in named if value != 0}
