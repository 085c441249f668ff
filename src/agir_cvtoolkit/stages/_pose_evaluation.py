"""How a pose model does on the frozen test set of its run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._evaluation import Judged

if TYPE_CHECKING:
    from agir_cvtoolkit.joints import JointSchema
    from agir_cvtoolkit.poses import Pose
    from agir_cvtoolkit.progress import Progress
    from agir_cvtoolkit.training.pose_samples import PoseSample

FIGURE = "mean PCK"
_GROUP = 8


def judge_pose(path: Path, samples: Sequence[PoseSample], device: str, progress: Progress) -> Judged:
    """Predict a test set and score it.

    A picture with one animal is predicted whole, as a device sees it; where there are several, each is predicted in
    its true box, so that every found pose belongs to one animal.

    Args:
        path: of the model.
        samples: the test set; files of pictures with true poses.
        device: as of the group ``pose_inference``.
        progress: told pose by pose.

    Raises:
        CheckpointError: the file is no pose model of ours.
        PictureError: a picture is missing or damaged.
    """
    from agir_cvtoolkit.inference.pose_predictor import PosePredictor
    from agir_cvtoolkit.pictures import load_rgb
    from agir_cvtoolkit.poses import box_of

    predictor = PosePredictor.load(path, device)
    schema = predictor.schema
    animals: dict[str, int] = {}
    for sample in samples:
        animals[sample.record_id] = animals.get(sample.record_id, 0) + 1
    found: list[Pose] = []
    with progress.bar("evaluate", len(samples)) as bar:
        for start in range(0, len(samples), _GROUP):
            group = samples[start : start + _GROUP]
            boxes = [box_of(s.pose, schema.joints) if animals[s.record_id] > 1 else None for s in group]
            found += predictor.predict([load_rgb(s.picture) for s in group], boxes)
            bar.advance(len(group))
    return judge_found(found, samples, schema)


def judge_found(found: Sequence[Pose], samples: Sequence[PoseSample], schema: JointSchema) -> Judged:
    """Score poses that are there already.

    Args:
        found: for each sample the pose that was found for it; one without joints where none was.
        samples: the test set.
        schema: the joints that count.
    """
    from agir_cvtoolkit.training.pose_scores import FRACTIONS, score_poses

    scores = score_poses(found, [sample.pose for sample in samples], schema)
    rows: dict[str, NDArray[np.float64]] = {}
    for pose, sample in zip(found, samples, strict=True):
        one = score_poses([pose], [sample.pose], schema)
        hits = [one.pck[share] * one.joints if one.joints else 0.0 for share in FRACTIONS]
        row = np.array([*hits, one.joints], dtype=np.float64)
        rows[sample.record_id] = rows.get(sample.record_id, np.zeros_like(row)) + row
    counts = np.stack([rows[name] for name in sorted(rows)]) if rows else np.zeros((0, len(FRACTIONS) + 1))
    metrics = {name: value for name, value in scores.metrics("test").items() if "." not in name}
    if len(counts):
        metrics["test_mean_pck"] = float(mean_pck(counts.sum(axis=0, keepdims=True))[0])
    return Judged(metrics, dict(scores.per_joint), counts)


def mean_pck(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of PCK over the shares of `pose_scores.FRACTIONS`.

    The mean judges better than PCK at one share: it sees both how many joints are found and how exactly.

    Args:
        counts: of shape (samples, shares + 1): correct joints at each share, and all joints.

    Returns:
        Shape (samples,), NaN where there is no joint.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts[:, :-1].mean(axis=1) / counts[:, -1])
