"""A device of the demonstration: it fetches the published model, looks at animals, and sends what it is not sure of."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agir_cvtoolkit.errors import CheckpointError, NoRunError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.pictures import load_rgb, sha256_of
from agir_cvtoolkit.poses import Pose, overall_confidence, pose_to_plain
from agir_cvtoolkit.runs import discard, write_json
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_submit import SubmitResult, firebase_submit

from .pose_pictures import AnimalPicture

_BETWEEN = timedelta(minutes=10)
_AT_ONCE = 16


@dataclass(frozen=True)
class Fetched:
    """A model that a device has fetched.

    Attributes:
        version: of its weights.
        predictor: that uses it.
    """

    version: str
    predictor: PosePredictor


def fetch_model(store: EmbeddedStore, folder: Path) -> Fetched:
    """Fetch the published model as devices do: the document, then the files it names, checked by their SHA-256.

    Args:
        store: where it is published.
        folder: on the device, for models by version.

    Raises:
        NoRunError: none is published.
        CheckpointError: a file is not the one that the document tells of.
    """
    model = store.current_model()
    if model is None:
        raise NoRunError(
            f"no model is published in {store.place}", "Publish one: agir-cvtoolkit promote --publish"
        )
    own = folder / model.version
    own.mkdir(parents=True, exist_ok=True)
    for kind in ("pth", "card"):
        if kind not in model.files:
            continue
        source = store.file(model.files[kind])
        target = own / source.name
        if not target.is_file() or sha256_of(target) != model.sha256[kind]:
            shutil.copyfile(source, target)
        if sha256_of(target) != model.sha256[kind]:
            raise CheckpointError(f"{source} is not what model {model.version} tells", "Publish it again.")
    return Fetched(model.version, PosePredictor.load(own / Path(model.files["pth"]).name, "cpu"))


def look(predictor: PosePredictor, pictures: Sequence[AnimalPicture]) -> dict[str, Pose]:
    """Return the pose that a model finds in each picture, by its id; no box is known."""
    found: dict[str, Pose] = {}
    for first in range(0, len(pictures), _AT_ONCE):
        group = pictures[first : first + _AT_ONCE]
        poses = predictor.predict([load_rgb(one.path) for one in group])
        found |= {one.picture_id: pose for one, pose in zip(group, poses, strict=True)}
    return found


def send(
    device: str,
    pictures: Sequence[AnimalPicture],
    poses: dict[str, Pose],
    when: datetime,
    folder: Path,
    call: Call,
) -> SubmitResult:
    """Send what a device is not sure of, as ``firebase submit`` does; with honest confidences.

    Args:
        device: its id.
        pictures: that it saw, one every ten minutes.
        poses: that it found in them.
        when: it saw the first one, with a time zone.
        folder: for the pictures and what is known of them; replaced.
        call: with the store in its settings.
    """
    discard(folder)
    shots = folder / "pictures"
    shots.mkdir(parents=True)
    told = {}
    for number, one in enumerate(pictures):
        shutil.copyfile(one.path, shots / one.path.name)
        pose = poses[one.picture_id]
        told[one.path.name] = {
            "detectedPoses": [{**pose_to_plain(pose), "coordinates": "pixel"}],
            "confidence": overall_confidence(pose),
            "timestamp": (when + number * _BETWEEN).isoformat(),
        }
    write_json(folder / "poses.json", told)
    return firebase_submit(call, pictures=shots, poses=folder / "poses.json", device=device)
