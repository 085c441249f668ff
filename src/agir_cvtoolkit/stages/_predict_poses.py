"""Records into poses: what ``infer-pose`` does once it knows the run, the records and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agir_cvtoolkit.picture_limit import (
    allow_megapixels,
    allowed_megapixels,
    bits_in_use,
    reading_identity,
    take_sample_bits,
)
from agir_cvtoolkit.poses import Pose, joint_doubt, overall_confidence, write_poses
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.records import Box, ManifestEntry, Record
from agir_cvtoolkit.runs import Run, atomic_path, fingerprint

from ._engine import bounds_of
from ._predicting import Predictions, planned, predict_pass
from ._run_joints import keep_schema

if TYPE_CHECKING:
    from agir_cvtoolkit.config import PoseInference
    from agir_cvtoolkit.engines import Engine, Pieces
    from agir_cvtoolkit.inference.originals import Original, Reading
    from agir_cvtoolkit.inference.pose_predictor import PosePredictor

STAGE = "infer-pose"
OUTPUTS = ("manifest.jsonl", "images", "poses", "plots")
"""What the stage owns in a run; it moves to ``history/`` when a pass with other inputs begins."""

_NO_RESULT = {"device", "model", "workers"}
_LONGEST_PLOT = 2000


@dataclass(frozen=True, kw_only=True)
class InferPoseResult(Predictions):
    """What ``infer-pose`` did, or in a dry run would do.

    Attributes:
        schema: of the joints.
        mean_confidence: over the predicted records, in [0, 1]; None where there is none. The uncertainty of a record is
            1 - the overall confidence of its least sure animal.
    """

    schema: str
    mean_confidence: float | None


def plan(run: Run | None, records: Sequence[Record], predictor: PosePredictor) -> InferPoseResult:
    """Say which records would be predicted; looks at the headers of the pictures and changes nothing."""
    fields = planned(run, records, predictor.name)
    return InferPoseResult(**fields, schema=predictor.schema.name, mean_confidence=None)


def predict_poses(
    run: Run,
    records: Sequence[Record],
    predictor: PosePredictor,
    settings: PoseInference,
    progress: Progress | None = None,
    *,
    engine: Engine | None = None,
    opened: Callable[[int], PosePredictor] | None = None,
) -> InferPoseResult:
    """Predict records into a run, going on where an earlier call with the same ones stopped.

    Args:
        run: where the results go.
        records: in the order in which they are predicted; a doubled record id fails.
        predictor: of poses.
        settings: boxes and outputs.
        progress: one step per record.
        engine: where the work runs; None for threads of this process.
        opened: opens the predictor in a worker of the engine, by the worker's number; None takes `predictor` itself.
    """
    from agir_cvtoolkit.engines import Threads

    stage_pass = run.begin(STAGE, pass_fingerprint(records, predictor, settings), OUTPUTS)
    keep_schema(run, predictor.schema)
    work = PoseWork(run, settings, opened or (lambda _: predictor))
    passed = predict_pass(
        run, stage_pass, records, work, engine or Threads(bounds_of(settings.workers)), progress
    )
    sure = [1 - entry.uncertainty for entry in passed.entries]
    mean = round(sum(sure) / len(sure), 6) if sure else None
    if not passed.already_done:
        metrics = passed.metrics(len(records), predictor.name)
        metrics |= {
            "mean_confidence": mean,
            "mean_uncertainty": None if mean is None else round(1 - mean, 6),
            "schema": predictor.schema.name,
        }
        run.write_metrics(STAGE, metrics, number=stage_pass.number)
        run.finish(stage_pass)
    fields = passed.counts(run, len(records), predictor.name)
    return InferPoseResult(**fields, schema=predictor.schema.name, mean_confidence=mean)


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
    return fingerprint(
        rows, predictor.name, settings.model_dump(mode="json", exclude=_NO_RESULT), *reading_identity()
    )


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


def scores_of(poses: Sequence[Pose]) -> dict[str, float]:
    """Return the scores of a picture by name, each that of its least sure animal, in [0, 1].

    ``joints``: doubt whether the joints are there (`joint_doubt`); ``peaks``: how much second places rival them.
    """
    return {
        "joints": round(max(map(joint_doubt, poses), default=0.0), 6),
        "peaks": round(max((pose.rivalry or 0.0 for pose in poses), default=0.0), 6),
    }


@dataclass(frozen=True)
class PoseWork:
    """What is done with each record; can be sent to another process where `opened` can.

    Attributes:
        run: where the files go.
        settings: boxes and outputs.
        opened: opens the predictor, by the worker's number.
        max_megapixels: that a picture may have, there as here.
        sample_bits: of 16-bit samples, there as here.
    """

    run: Run
    settings: PoseInference
    opened: Callable[[int], PosePredictor]
    max_megapixels: int = field(default_factory=allowed_megapixels)
    sample_bits: int = field(default_factory=bits_in_use)

    def open(self, worker: int) -> PoseSteps:
        """Open the predictor in this process."""
        from agir_cvtoolkit.inference.originals import Reading

        allow_megapixels(self.max_megapixels)
        take_sample_bits(self.sample_bits)
        in_memory = self.settings.workers.megapixels * 1_000_000
        reading = Reading(self.run, save=self.settings.output.save_images, in_memory=in_memory)
        return PoseSteps(self.run, reading, self.opened(worker), self.settings)


@dataclass(frozen=True)
class PoseSteps:
    """The steps of one record, with a predictor that is open in this process."""

    run: Run
    reading: Reading
    predictor: PosePredictor
    settings: PoseInference

    def weigh(self, record: Record) -> int:
        """Return the bytes that the record holds in memory at most."""
        from agir_cvtoolkit.inference.held import Predicting, held_bytes

        return held_bytes(record, Predicting())

    def read(self, record: Record) -> Original:
        """Decode the picture and lay its original into the run."""
        return self.reading.original(record)

    def predict(self, record: Record, original: Original) -> Iterator[list[Pose]]:
        """Yield the poses, once."""
        boxes = boxes_of(record, original.size) if self.settings.source.boxes else [None]
        yield self.predictor.predict([original.rgb] * len(boxes), boxes)

    def write(self, record: Record, original: Original, found: Pieces[list[Pose]]) -> ManifestEntry:
        """Write the poses and what else was asked for."""
        poses = [pose for piece in found for pose in piece]
        path = self.run.path("poses", f"{record.stem}.json")
        write_poses(path, self.predictor.schema.name, poses)
        confidence = min(overall_confidence(pose, self.settings.min_confidence) for pose in poses)
        width, height = original.size
        return ManifestEntry(
            record_id=record.record_id,
            common_name=record.common_name,
            image_path=original.image_path,
            mask_path=None,
            width=width,
            height=height,
            sha256=original.sha256,
            model=self.predictor.name,
            uncertainty=round(1 - confidence, 6),
            edge_occupancy=0.0,
            inference_time_ms=round(found.seconds * 1000, 3),
            class_id=record.class_id,
            image_mode=self.settings.source.image_mode,
            source_path=str(record.image_path.absolute()) if record.image_path else None,
            viz_path=self._plot(record, original, poses) if self.settings.output.save_viz else None,
            label_values=dict(record.values),
            conflicts=tuple(sorted(record.conflicts)),
            pose_path=str(path.relative_to(self.run.root)),
            scores=scores_of(poses),
        )

    def _plot(self, record: Record, original: Original, poses: Sequence[Pose]) -> str:
        from PIL import Image

        from agir_cvtoolkit.reporting.overlay import shrunk
        from agir_cvtoolkit.reporting.skeletons import scaled, skeleton

        painted = shrunk(original.rgb, _LONGEST_PLOT)
        scale = painted.shape[1] / original.rgb.shape[1]
        for pose in poses:
            painted = skeleton(painted, scaled(pose, scale), self.predictor.schema)
        path = self.run.path("plots", f"{record.stem}.jpg")
        with atomic_path(path) as temporary:
            Image.fromarray(painted).save(temporary, format="JPEG", quality=90)
        return str(path.relative_to(self.run.root))
