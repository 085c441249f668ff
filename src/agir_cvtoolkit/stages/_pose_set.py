"""The pose data set of a training as it lies in its run: who learned from which correction, and what is tested on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, atomic_path, fingerprint, read_json_object, write_json

from ._retrain_pictures import picture_folder
from ._retrain_split import TEST

if TYPE_CHECKING:
    from agir_cvtoolkit.training.pose_samples import PoseSample

POSES = ("dataset", "poses.json")
TEST_PICTURES = ("dataset", "test")


@dataclass(frozen=True)
class LearnedPose:
    """One corrected animal.

    Attributes:
        record_id: of its picture; several animals of one picture have the same.
        sha256: of the picture.
        size: width and height of the upright picture.
        side: ``train``, ``test``, or ``apart`` where it is neither.
        keypoints: by joint of the schema.
        picture: its file, relative to the folder of all runs; None where it lies among the captures' pictures.
    """

    document_id: str
    record_id: str
    capture_id: str
    revision: int
    sha256: str
    size: tuple[int, int]
    side: str
    keypoints: Mapping[str, Keypoint] = field(hash=False)
    picture: str | None = None


@dataclass(frozen=True)
class PoseSet:
    """What a model is trained and tested on.

    Attributes:
        schema: name of the joints' schema.
        poses: sorted by document.
        seen: revision by document of every correction that was read and that no training has seen before.
        items: corrections that cannot be learned from, with the reason.
        warning: what the reader of a score must know, or empty.
    """

    schema: str
    poses: tuple[LearnedPose, ...]
    seen: Mapping[str, int] = field(default_factory=dict, hash=False)
    items: tuple[Item, ...] = ()
    warning: str = ""

    def of(self, side: str) -> tuple[LearnedPose, ...]:
        """Return the poses of one side."""
        return tuple(pose for pose in self.poses if pose.side == side)

    @property
    def test_set(self) -> str:
        """Hash of the test set: its pictures by content and the places and visibility of their joints."""
        return fingerprint(
            self.schema,
            [
                (pose.document_id, pose.sha256, pose.size, sorted(_plain(pose.keypoints).items()))
                for pose in self.of(TEST)
            ],
        )


def write_pose_set(run: Run, found: PoseSet, out_root: Path) -> None:
    """Keep a data set in its run; the pictures of the test set stay there too, so that it can be tested on later."""
    for pose in found.of(TEST):
        target = run.path(*TEST_PICTURES, f"{pose.record_id}.jpg")
        if not target.is_file():
            with atomic_path(target) as temporary:
                _linked(_picture_of(pose, out_root), temporary)
    content = {
        "schema": found.schema,
        "test_set": found.test_set,
        "warning": found.warning,
        "seen": dict(found.seen),
        "items": [asdict(item) for item in found.items],
        "poses": [asdict(pose) | {"keypoints": _plain(pose.keypoints)} for pose in found.poses],
    }
    write_json(run.path(*POSES), content)


def read_pose_set(run: Run) -> PoseSet | None:
    """Return the data set that lies in a run, None where there is none.

    Raises:
        DataError: it is damaged.
    """
    path = run.path(*POSES)
    if not path.is_file():
        return None
    content = read_json_object(path)
    try:
        return PoseSet(
            schema=str(content["schema"]),
            poses=tuple(_pose(values) for values in content["poses"]),
            seen={str(key): int(value) for key, value in content["seen"].items()},
            items=tuple(Item(**values) for values in content["items"]),
            warning=str(content["warning"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"data set {path} is damaged: {error!r}", "Move it away and retrain again."
        ) from error


def samples_of(run: Run, found: PoseSet, side: str, out_root: Path) -> list[PoseSample]:
    """Return the poses of one side with the files of their pictures."""
    from agir_cvtoolkit.training.pose_samples import PoseSample

    samples = []
    for pose in found.of(side):
        name = f"{pose.record_id}.jpg"
        kept = run.path(*TEST_PICTURES, name)
        picture = kept if side == TEST and kept.is_file() else _picture_of(pose, out_root)
        samples.append(PoseSample(pose.record_id, picture, Pose(pose.keypoints), pose.size))
    return samples


def _picture_of(pose: LearnedPose, out_root: Path) -> Path:
    return out_root / pose.picture if pose.picture else picture_folder(out_root) / f"{pose.record_id}.jpg"


def records_in(poses: Iterable[LearnedPose]) -> int:
    """Return the number of pictures."""
    return len({pose.record_id for pose in poses})


def _linked(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or one that knows no such links
        target.write_bytes(source.read_bytes())


def _plain(points: Mapping[str, Keypoint]) -> dict[str, list[Any]]:
    return {name: [point.x, point.y, point.visibility] for name, point in points.items()}


def _pose(values: Mapping[str, Any]) -> LearnedPose:
    points = {str(n): Keypoint(float(x), float(y), seen) for n, (x, y, seen) in values["keypoints"].items()}
    width, height = values["size"]
    return LearnedPose(**(dict(values) | {"keypoints": points, "size": (int(width), int(height))}))
