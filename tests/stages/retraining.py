"""A store with corrected captures, and settings under which a pose model is trained in a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from agir_cvtoolkit import Call
from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.config import Settings, load_settings
from agir_cvtoolkit.firebase import CaptureStore, EmbeddedStore
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.stages._evaluation import Judged
from agir_cvtoolkit.training.pose_samples import PoseSample

JOINTS = ("nose", "middle", "tail")
COLOURS = ((40, 40, 230), (40, 220, 40), (230, 60, 40))
SIZE = (96, 72)
SCHEMA = """name: worm
label: worm
joints: [nose, middle, tail]
links: [[nose, middle], [middle, tail]]
aliases: {head: nose}
"""
START = datetime(2026, 1, 1, tzinfo=UTC)


def call(*more: str, **values: object) -> Call:
    """Return a call on the embedded store in the working directory, with a tiny network."""
    Path("worm.yaml").write_text(SCHEMA)
    overrides = (
        "firebase.store=embedded",
        "firebase.embedded_dir=store",
        "firebase.pose.joints=worm.yaml",
        "firebase.poll_s=0.1",
        "pose_train.steps=2",
        "pose_train.passes=1",
        "pose_train.batch_size=2",
        "pose_train.variations=1",
        "pose_train.device=cpu",
        "pose_train.model.encoder_weights=null",
        "pose_train.model.input_size=64",
        "pose_train.model.widths=[8,8,8]",
        "pose_inference.device=cpu",
        "retrain.onnx=never",
        "retrain.coreml=never",
    )
    return Call(overrides=(*overrides, *more), **values)  # type: ignore[arg-type]


def store() -> EmbeddedStore:
    """Return the store that `call` names."""
    return EmbeddedStore(Path("store"))


def points(number: int) -> dict[str, Keypoint]:
    """Return the joints of a worm, the same for the same number."""
    rng = np.random.default_rng(number)
    x, y = rng.uniform(25, 60), rng.uniform(20, 45)
    turn = rng.uniform(0, 6.28)
    step = np.array([np.cos(turn), np.sin(turn)]) * 14
    places = [(x + k * step[0], y + k * step[1]) for k in (-1, 0, 1)]
    return {
        name: Keypoint(round(float(px), 2), round(float(py), 2))
        for name, (px, py) in zip(JOINTS, places, strict=True)
    }


def picture(number: int) -> bytes:
    """Return the picture of a worm as JPEG."""
    image = np.full((SIZE[1], SIZE[0], 3), 90 + number % 40, dtype=np.uint8)
    found = points(number)
    for name, colour in zip(JOINTS, COLOURS, strict=True):
        centre = (round(found[name].x), round(found[name].y))
        cv2.circle(image, centre, 5, colour, -1)
    return cv2.imencode(".jpg", image)[1].tobytes()


def correct(
    into: CaptureStore,
    numbers: range,
    *,
    picture_of: dict[int, bytes | None] | None = None,
    wrong_by: float | None = None,
) -> None:
    """Put captures with their corrections in.

    Args:
        into: the store.
        numbers: of the worms.
        picture_of: some pictures may be others, or missing.
        wrong_by: pixels by which what the devices have sent is wrong; None: they have sent nothing.
    """
    poses = []
    for number in numbers:
        name = f"c{number:03d}"
        taken = START + timedelta(hours=number)
        content = (picture_of or {}).get(number, picture(number))
        seen = {} if wrong_by is None else points(number)
        sent = {n: Keypoint(p.x + (wrong_by or 0.0), p.y, "visible", 0.3) for n, p in seen.items()}
        found = (Pose(sent),) if sent else ()
        into.create(Capture(name, 0.2, 7, taken=taken, device_id="phone", poses=found), content)
        poses.append(
            LabeledPose(f"cvat_{name}_20260101T000000Z", name, points(number), 0.9, taken, "worm", size=SIZE)
        )
    into.write_labeled(poses)


def trigger(into: CaptureStore, threshold: int = 1) -> str:
    """Reserve a trigger and return its id."""
    made = into.reserve_trigger(threshold, datetime.now(UTC))
    assert made is not None
    return made.trigger_id


def with_small_encoder(patch: Callable[[Any, str, object], None]) -> None:
    """Let pose networks have an encoder that is built, saved and run in a millisecond; it sees next to nothing.

    Args:
        patch: sets an attribute, such as ``setattr``.
    """
    from torch import Tensor, nn

    from agir_cvtoolkit.models import heatmap
    from agir_cvtoolkit.models.pyramid import Encoder

    class SmallEncoder(Encoder):
        channels = (4, 4, 4, 4, 4)

        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList(nn.Conv2d(n, 4, 3, stride=2, padding=1) for n in (3, 4, 4, 4, 4))

        def forward(self, pixels: Tensor) -> list[Tensor]:
            maps = [pixels]
            for step in self.steps:
                maps.append(step(maps[-1]))
            return maps[1:]

    patch(heatmap, "build_encoder", lambda spec: SmallEncoder())


def with_settings_kept(patch: Callable[[Any, str, object], None]) -> None:
    """Let equal calls share their settings: composing them takes longer than a small training.

    Args:
        patch: sets an attribute, such as ``setattr``.
    """
    from agir_cvtoolkit import config

    patch(config, "load_settings", _settings)


@cache
def _settings(overrides: tuple[str, ...], given: str | None) -> Settings:
    return load_settings(overrides, given)


def judged(samples: Sequence[PoseSample], share: float) -> Judged:
    """Return what a model is judged that finds a share of the joints of every picture."""
    count = len({sample.record_id for sample in samples})
    counts = np.tile(np.array([share, share, share, share, 1.0]) * 24, (count, 1))
    return Judged({"test_pck_05": share}, {"nose": share}, counts)


def judged_half(path: Path, samples: Sequence[PoseSample], device: str, progress: object) -> Judged:
    """Stand for `judge_pose` with a model that finds every second joint."""
    return judged(samples, 0.5)
