"""Poses: ``infer-pose``, and a pose model that is trained on the corrected poses of all rounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import JointSchema, load_schema
from agir_cvtoolkit.ledger import PictureHash, RoundRow
from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.poses import read_poses
from agir_cvtoolkit.records import Item, ManifestEntry, file_stem
from agir_cvtoolkit.runs import DATA_SET, Run

from ._originals import Originals
from ._pool_learning import checkpoint_path, judged
from ._pose_set import LearnedPose, PoseSet, records_in, samples_of, write_pose_set
from ._pulled import PulledTask, read_frame_maps
from ._retrain_split import APART, SPLIT, TEST, TRAIN, Member, draw_sides
from ._round_work import Figures, LoopPlace

if TYPE_CHECKING:
    from ._evaluation import Incumbent

STAGE = "train"


class PoseLearning:
    """Poses of a folder or of a query.

    Args:
        place: where the loop works.
    """

    pushing: tuple[str, ...] = ("cvat_upload.source.type=keypoints",)

    def __init__(self, place: LoopPlace) -> None:
        self._place = place

    def predict(self, run: Run, version: str) -> None:
        """Predict the pool; without a model people draw the joints of the first round."""
        from .infer_pose import infer_pose

        model = f"'{checkpoint_path(self._place, version)}'" if version else "none"
        infer_pose(
            call=self._place.calling(
                run.run_id, f"pose_inference.model={model}", "pose_inference.output.save_images=true"
            )
        )

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Train on all that came back, beginning with the weights of the champion where it knows the same joints."""
        from agir_cvtoolkit.training import pose_training

        place, settings = self._place, self._place.settings
        run, out_root = place.run(row.run_id), settings.io.out_root
        call = place.calling(row.run_id)
        with call.work(run, STAGE), run.lock(DATA_SET):
            schema = self._schema(run)
            poses = self._poses(rounds, schema)
            learned = poses.of(TRAIN)
            if not learned:
                raise DataError(
                    f"none of the {len(poses.poses)} poses of loop {place.name} can be learned from",
                    "See the list in the run's dataset/poses.json.",
                )
            write_pose_set(run, poses, out_root)
            call.record_config(run, STAGE, settings, settings.dump("pose_train", "retrain", "io"))
            done = pose_training.train_pose(
                samples_of(run, poses, TRAIN, out_root),
                schema,
                settings.pose_train,
                run.path("model"),
                initial=self._start(str(row.figures["predictor"]), schema),
                progress=place.call.progress,
            )
            place.ledger.record_model(
                done.card.version,
                str(done.path.resolve()),
                done.card.name,
                run.run_id,
                done.card.to_json_object(),
            )
        return {"version": done.card.version, "learned": records_in(learned)}

    def evaluate(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Compare a round's model with the champion; before the first one nothing has proposed."""
        return judged(self._place, row, "test_mean_pck", _nobody)

    def _schema(self, run: Run) -> JointSchema:
        from ._run_joints import schema_of_poses

        joints = self._place.settings.cvat_upload.pose.joints
        return load_schema(joints) if joints is not None else schema_of_poses(run)

    def _start(self, version: str, schema: JointSchema) -> Path | None:
        from ._evaluation import card_of

        if not version or not self._place.settings.retrain.from_champion:
            return None
        path = Path(checkpoint_path(self._place, version))
        known = card_of(path).schema
        return path if known is not None and known.joints == schema.joints else None

    def _poses(self, rounds: Sequence[RoundRow], schema: JointSchema) -> PoseSet:
        """Read the poses that came back, and give pictures that have no side yet one."""
        items: list[Item] = []
        newest: dict[str, list[tuple[LearnedPose, Path]]] = {}  # of a picture that came back twice
        apart, contents = self._place.settings.loop.test_run, set()
        for run_id in (*(one.run_id for one in rounds), *([apart] if apart is not None else [])):
            run = self._place.run(run_id)
            entries = {entry.record_id: entry for entry in run.read_manifest()}
            for task in read_frame_maps(run):
                newest |= self._of_task(run, task, entries, schema, items)
                contents |= {frame.sha256 for frame in task.frames if run_id == apart}
        found = [animal for _, animals in sorted(newest.items()) for animal in animals]
        tested = {file_stem(name) for one in rounds for name in one.figures.get("tested", ())}
        alone = {pose.record_id for pose, _ in found if pose.sha256 in contents}
        sides = self._sides(found, tested | alone)
        # What is there to test on is not learned from, even where it cannot be tested on: others have learned from it.
        kept = {name: APART if side == TRAIN and name in alone else side for name, side in sides.items()}
        poses = tuple(replace(pose, side=kept[pose.record_id]) for pose, _ in found)
        return PoseSet(schema.name, poses, {}, tuple(items))

    def _of_task(
        self,
        run: Run,
        task: PulledTask,
        entries: Mapping[str, ManifestEntry],
        schema: JointSchema,
        items: list[Item],
    ) -> dict[str, list[tuple[LearnedPose, Path]]]:
        out_root, originals = self._place.settings.io.out_root, Originals(run)
        found: dict[str, list[tuple[LearnedPose, Path]]] = {}
        for frame in task.frames:
            entry = entries.get(frame.record_id)
            path = originals.find(
                frame.record_id, frame.sha256, task.folder, entry.source_path if entry else None
            )
            if path is None or frame.poses is None or frame.sha256 is None:
                items.append(Item(frame.record_id, "failed", "its poses or its picture are not there"))
                continue
            _, poses = read_poses(task.folder / frame.poses)
            animals = found[frame.record_id] = []
            for number, pose in enumerate(poses):
                points = {name: point for name, point in pose.there.items() if name in schema.joints}
                if not points:
                    continue
                learned = LearnedPose(
                    document_id=f"{frame.record_id}#{number}",
                    record_id=file_stem(frame.record_id),
                    capture_id=frame.record_id,
                    revision=0,
                    sha256=frame.sha256,
                    size=(frame.width, frame.height),
                    side=TRAIN,
                    keypoints=points,
                    picture=_below(path, out_root),
                )
                animals.append((learned, path))
        return found

    def _sides(self, found: Sequence[tuple[LearnedPose, Path]], tested: Collection[str]) -> Mapping[str, str]:
        from agir_cvtoolkit.similarity.hashing import perceptual_hash

        ledger, settings = self._place.ledger, self._place.settings.retrain.test_set
        hashes = ledger.perceptual_hashes({pose.sha256 for pose, _ in found})
        new = {
            pose.sha256: PictureHash(pose.sha256, *pose.size, perceptual_hash(load_rgb(path)))
            for pose, path in found
            if hashes[pose.sha256] is None
        }
        ledger.record_hashes(new.values())
        looks = hashes | {sha256: one.phash for sha256, one in new.items()}
        members = {
            pose.record_id: Member(pose.record_id, pose.sha256, phash=looks[pose.sha256]) for pose, _ in found
        }

        def draw(known: Mapping[str, str]) -> Mapping[str, str]:
            said = {name: TEST for name in members.keys() & set(tested) if name not in known}
            there = {**known, **said}
            most = max(1, sum(side == TEST for side in there.values()))
            full = settings.model_copy(update={"most": most})
            drawn, _ = draw_sides(list(members.values()), there, full)
            return {**drawn, **said}

        return ledger.grow_split(SPLIT, draw)


def _nobody() -> Incumbent:
    raise DataError("people drew what it learned from without proposals", "There is nothing to compare with.")


def _below(path: Path, out_root: Path) -> str:
    """Return a picture's path below the folder of all runs; one that lies elsewhere keeps its own."""
    resolved, root = path.resolve(), out_root.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)
