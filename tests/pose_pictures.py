"""Small pictures with animals of four coloured joints, for tests of poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config import PoseTrain
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.records import Box
from agir_cvtoolkit.training.pose_samples import PoseSample

SCHEMA = JointSchema(
    "four",
    "beast",
    ("head", "left_foot", "right_foot", "tail"),
    links=(("head", "tail"), ("head", "left_foot"), ("head", "right_foot")),
    pairs=(("left_foot", "right_foot"),),
    sigmas=(0.05, 0.05, 0.05, 0.05),
)
_COLOURS = {
    "head": (250, 40, 40),
    "left_foot": (40, 230, 60),
    "right_foot": (60, 80, 250),
    "tail": (250, 240, 60),
}


def beast(
    seed: int, size: tuple[int, int] = (120, 100), *, tail: bool = True, hidden: bool = False
) -> tuple[NDArray[np.uint8], Pose]:
    """Return a picture of `size` (width, height) and the pose in it; a hidden head lies under something dark."""
    rng = np.random.default_rng(seed)
    width, height = size
    rgb = rng.integers(90, 120, (height, width, 3), dtype=np.uint8)
    places = {
        "head": (rng.uniform(0.2, 0.35) * width, rng.uniform(0.2, 0.4) * height),
        "left_foot": (rng.uniform(0.2, 0.4) * width, rng.uniform(0.65, 0.85) * height),
        "right_foot": (rng.uniform(0.6, 0.8) * width, rng.uniform(0.65, 0.85) * height),
        "tail": (rng.uniform(0.65, 0.85) * width, rng.uniform(0.2, 0.4) * height),
    }
    rows, columns = np.mgrid[:height, :width] + 0.5
    keypoints = {}
    for joint, (x, y) in places.items():
        if joint == "tail" and not tail:
            keypoints[joint] = ABSENT
            continue
        covered = hidden and joint == "head"
        rgb[np.hypot(columns - x, rows - y) < 5] = (5, 5, 5) if covered else _COLOURS[joint]
        keypoints[joint] = Keypoint(x, y, "occluded" if covered else "visible")
    return rgb, Pose(keypoints, Box(0.1 * width, 0.1 * height, 0.8 * width, 0.8 * height))


def beasts(folder: Path, count: int, *, tail: bool = True, hidden: bool = False) -> list[PoseSample]:
    """Write pictures and return the samples of them."""
    samples = []
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        rgb, pose = beast(seed, tail=tail, hidden=hidden)
        path = folder / f"beast{seed:02d}.png"
        save_png(rgb, path)
        samples.append(PoseSample(path.stem, path, pose, (rgb.shape[1], rgb.shape[0])))
    return samples


def small(**changes: object) -> PoseTrain:
    """Return settings of a training of a second; `changes` as in the group ``pose_train``."""
    content: dict[str, object] = {
        "steps": 6,
        "passes": 1,
        "batch_size": 3,
        "variations": 2,
        "save_every": 2,
        "device": "cpu",
        "model": {"input_size": 64, "widths": [16, 12, 8], "encoder_weights": None},
    }
    return PoseTrain.model_validate(content | changes)
