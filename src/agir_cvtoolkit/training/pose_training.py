"""Training of a pose model: poses in, ``best.pth`` and ``card.json`` out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agir_cvtoolkit.config._pose import PoseTrain
from agir_cvtoolkit.errors import CheckpointError, DataError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.card import CARD_NAME, ModelCard, read_card
from agir_cvtoolkit.models.libraries import require_torch
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.poses import box_of
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.runs import discard, fingerprint, read_json_object, write_json

from .pose_samples import PoseSample, points_of, usable

BEST, LAST, HISTORY, FINISHED = "best.pth", "last.ckpt", "history.csv", "training.json"
_REVISION = 1
_FEWEST_TO_HOLD_OUT = 50


@dataclass(frozen=True)
class PoseProgress:
    """One stretch of a training.

    Attributes:
        step: number of steps done at its end.
        loss: mean over its steps.
        learning_rate: of the head at its end.
        seconds: that it took.
    """

    step: int
    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class PoseTraining:
    """What `train_pose` made.

    Attributes:
        path: the checkpoint.
        card: what it says; the same lies beside it as ``card.json``.
        history: stretch by stretch.
        metrics: ``train_loss`` and, where poses were held out, their scores (``val_pck_05``, ``val_oks_ap``, …).
        trained, held_out: numbers of poses.
        state: ``trained``, ``continued`` after an earlier kill, or ``unchanged``: nothing was left to do.
    """

    path: Path
    card: ModelCard
    history: tuple[PoseProgress, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    trained: int = 0
    held_out: int = 0
    state: str = "trained"


def train_pose(
    samples: Sequence[PoseSample],
    schema: JointSchema,
    settings: PoseTrain,
    out_dir: Path,
    *,
    initial: Path | None = None,
    progress: Progress | None = None,
) -> PoseTraining:
    """Train a pose model, or continue a training that was killed, or find that it is finished already.

    The same samples, schema, settings and device give the same weights, in whatever order the samples come and
    interrupted in between or not.

    Args:
        samples: poses with their pictures; those without a joint of the schema are left out.
        schema: the joints that the model will know.
        settings: the group ``pose_train``.
        out_dir: gets ``best.pth``, ``card.json``, ``history.csv`` and, while training, ``last.ckpt``.
        initial: a pose model of the same joints to begin with; None begins with a new head.
        progress: told step by step.

    Raises:
        MissingExtraError: torch or the encoder's package is not installed.
        ConfigError: unknown encoder, or a device that is not there.
        DataError: no usable sample, a picture that is missing, damaged or of another size, or a training that
            diverged.
        CheckpointError: `initial` is no pose model, or one of other joints.
        InterruptedByUser: Ctrl-C; the next call continues.
    """
    chosen = usable(samples, schema)
    digest = data_fingerprint(chosen, schema)
    begin = sha256_of(initial) if initial is not None and initial.is_file() else None
    configured = settings.model_dump(mode="json", exclude={"cache_mib", "save_every"})
    key = fingerprint(_REVISION, digest, asdict(schema), configured, begin)
    earlier = _finished(out_dir, key)
    if earlier is not None:
        return earlier
    require_torch("Training a pose model")
    from ._pose_loop import run_pose_training

    learned, held_out = split_off(chosen, settings)
    settings = settings.model_copy(update={"steps": steps_of(settings, len(learned))})
    outcome = run_pose_training(
        learned, held_out, schema, settings, out_dir, key, digest, initial, progress or Silent()
    )
    content = {
        "fingerprint": key,
        "version": outcome.card.version,
        "history": [asdict(stretch) for stretch in outcome.history],
        "metrics": dict(outcome.metrics),
        "trained": outcome.trained,
        "held_out": outcome.held_out,
    }
    write_json(out_dir / FINISHED, content)
    discard(out_dir / LAST)
    return outcome


def steps_of(settings: PoseTrain, count: int) -> int:
    """Return how many steps a training with `count` poses takes."""
    return max(settings.steps, math.ceil(settings.passes * count / settings.batch_size))


def split_off(
    samples: Sequence[PoseSample], settings: PoseTrain
) -> tuple[list[PoseSample], list[PoseSample]]:
    """Return the samples to learn from and those to hold out, all of one picture on the same side.

    The side follows from the record's id and the seed alone, so that a picture stays where it is when others
    come.
    """
    if len(samples) < _FEWEST_TO_HOLD_OUT or settings.validation == 0:
        return list(samples), []
    learned: list[PoseSample] = []
    held_out: list[PoseSample] = []
    for sample in samples:
        drawn = hashlib.sha256(
            f"{settings.seed}/{sample.record_id}".encode("utf-8", "surrogatepass")
        ).digest()
        share = int.from_bytes(drawn[:4], "big") / 2**32
        (held_out if share < settings.validation else learned).append(sample)
    return (learned, held_out) if learned else (list(samples), [])


def data_fingerprint(samples: Sequence[PoseSample], schema: JointSchema) -> str:
    """Return a fingerprint of samples: pictures by content, places and visibilities of joints."""
    rows = []
    for sample in samples:
        box = box_of(sample.pose, schema.joints)
        rows.append(
            (
                sample.record_id,
                _content(sample),
                sample.size,
                None if box is None else (box.x, box.y, box.width, box.height),
                points_of(sample.pose, schema).tolist(),
                [sample.pose.at(joint).visibility for joint in schema.joints],
            )
        )
    return fingerprint(rows)


def _content(sample: PoseSample) -> str:
    try:
        return sha256_of(sample.picture)
    except OSError as error:
        raise DataError(
            f"picture {sample.picture} of record {sample.record_id} cannot be read: {error.strerror}",
            "Bring the corrections and their pictures again.",
        ) from error


def _finished(out_dir: Path, key: str) -> PoseTraining | None:
    try:
        content: dict[str, Any] = read_json_object(out_dir / FINISHED)
        if content.get("fingerprint") != key or not (out_dir / BEST).is_file():
            return None
        card = read_card(out_dir / CARD_NAME)
        if card.version != content.get("version"):
            return None
        history = tuple(PoseProgress(**values) for values in content["history"])
        metrics = {str(name): float(value) for name, value in content["metrics"].items()}
        counts = int(content["trained"]), int(content["held_out"])
        return PoseTraining(out_dir / BEST, card, history, metrics, *counts, "unchanged")
    except (CheckpointError, DataError, KeyError, TypeError, ValueError, AttributeError):
        return None
