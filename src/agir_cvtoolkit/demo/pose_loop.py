"""The device loop on embedded parts, round by round: devices see, send, fetch; people correct; models are trained."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.cvat import Credentials, CvatSession, find_jobs
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import Pose, overall_confidence
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.sandbox.oracle import OracleReport
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.promote import promote
from agir_cvtoolkit.training.pose_samples import PoseSample
from agir_cvtoolkit.training.pose_scores import PoseScores
from agir_cvtoolkit.training.pose_training import train_pose

from .pose_device import Fetched, fetch_model, look, send
from .pose_judging import FRACTION, WIDE, Point, judged
from .pose_pictures import AnimalPictures
from .pose_watchers import Watchers
from .workspace import ACCOUNT, configure

_DEVICES = ("phone-1", "phone-2", "phone-3")
_SENT = 0.75
"""Share of what they see that devices send: the poses of which they are least sure."""
_SENT_BELOW = 1.0
_ROUNDS = 3
_FEWEST = 15
"""Fewer corrections leave a test set that is too small to tell one model from another."""
_FIRST_STEPS = 60


class Loop:
    """The device loop of one demonstration under way.

    Attributes:
        shown: the animals that devices see, by round.
        corrected: what people have made of them, by picture.
        before: poses of the first model, by picture.
        found: poses of the model in service on the held-out animals, by picture.
        refused: the newest model that was not proved better, and its poses; None where there is none.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        animals: AnimalPictures,
        rounds: int | None,
        seed: int,
        steps: int | None,
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self.folder, self.url, self.animals, self.seed = folder, url, animals, seed
        self.progress, self.tell = progress, tell
        pool = animals.pool
        first = max(4, min(8, len(pool) // 6))
        self.labelled, rest = pool[:first], pool[first:]
        rounds = rounds or max(1, min(_ROUNDS, len(rest) // _FEWEST))
        each = len(rest) // rounds
        if each < 2:
            raise DataError(
                f"{len(pool)} animals are too few for {rounds} rounds", "Give more, or take fewer rounds."
            )
        self.shown = [rest[number * each : (number + 1) * each] for number in range(rounds)]
        self.limit = min(each, max(_FEWEST, round(each * _SENT)))
        configure(folder, url, _settings(folder, animals.joints, self.limit, seed, steps))
        self.store = EmbeddedStore(folder / "outputs" / "firebase")
        self.corrected: dict[str, Pose] = {}
        self.oracle = OracleReport()
        self.points: list[Point] = []
        self.before: dict[str, Pose] = {}
        self.found: dict[str, Pose] = {}
        self.refused: tuple[PosePredictor, dict[str, Pose]] | None = None

    def call(self, *overrides: str) -> Call:
        """Return a call of a stage in the demonstration's workspace."""
        return Call(
            overrides=overrides,
            config=str(self.folder / "conf"),
            progress=self.progress,
            command_line=("demo-pose",),
        )

    def first_model(self) -> None:
        """Train a model on a handful of animals, and publish it."""
        self.tell(f"Training a first model on {len(self.labelled)} animals")
        call = self.call()
        settings = call.settings().pose_train
        trained = train_pose(
            [PoseSample(a.picture_id, a.path, a.truth, a.size) for a in self.labelled],
            self.animals.schema,
            settings.model_copy(update={"steps": min(_FIRST_STEPS, settings.steps)}),
            self.folder / "first_model",
            progress=self.progress,
        )
        promote(trained.path, call, force=True, publish=True)
        model = self.fetched()
        self.before = dict(self.found) | look(model.predictor, self.shown[0])
        self._judge(0, model, promoted=True)

    def round(self, number: int, watchers: Watchers) -> None:
        """Let devices send, the annotator correct, and wait until the watchers have made of it what they can."""
        before = self.fetched()
        sent = self._submit(number, before)
        watchers.wait(lambda: self._are(sent, _moved), "the transfer")
        self._correct(number)
        watchers.wait(lambda: self._are(sent, _finished) and not self._is_due(), "the return")
        self.tell("  retrain: at work (a minute or two on idle cores)")
        watchers.wait(self._is_quiet, "the retraining")
        self.corrected |= {pose.capture_id: Pose(dict(pose.keypoints)) for pose in self.store.all_labeled()}
        model = self.fetched()
        self._judge(number, model, promoted=model.version != before.version)

    def fetched(self) -> Fetched:
        """Return the model in service, as devices fetch it."""
        return fetch_model(self.store, self.folder / "devices")

    def _submit(self, number: int, model: Fetched) -> tuple[str, ...]:
        pictures = self.shown[number - 1]
        poses = look(model.predictor, pictures)
        worst = sorted(pictures, key=lambda one: overall_confidence(poses[one.picture_id]))[: self.limit]
        when = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30 - number)
        sent: list[str] = []
        for place, device in enumerate(_DEVICES):
            own = worst[place :: len(_DEVICES)]
            if own:
                sent += send(device, own, poses, when, self.folder / "devices" / device, self.call()).captures
        self.tell(
            f"Round {number}: {len(_DEVICES)} devices saw {len(pictures)} animals and sent the {len(sent)} "
            "of which they are least sure"
        )
        return tuple(sent)

    def _are(self, capture_ids: tuple[str, ...], wanted: Callable[[Capture], bool]) -> bool:
        return all(wanted(capture) for capture in self.store.get(capture_ids).values())

    def _is_due(self) -> bool:
        return self.store.unreserved() >= self.limit

    def _is_quiet(self) -> bool:
        """Whether nothing more comes of what was returned: no trigger is open, and none is due."""
        if self._is_due():
            return False
        return all(trigger.status == "completed" for trigger in self.store.triggers())

    def _correct(self, number: int) -> None:
        truth = {one.picture_id: one.truth for one in self.animals.pool}
        session = CvatSession.open(Credentials(self.url, *ACCOUNT))
        jobs = find_jobs(session, required_status="new")
        for task_id in dict.fromkeys(job.task_id for job in jobs):
            report = correct_poses(
                self.url,
                ACCOUNT,
                task_id,
                lambda name: [truth[Path(name).stem]] if Path(name).stem in truth else None,
                self.animals.schema,
                seed=self.seed + number,
            )
            self.oracle = OracleReport(
                **{name: value + getattr(report, name) for name, value in vars(self.oracle).items()}
            )
            self.tell(
                f"  annotator: {report.frames} animal{'' if report.frames == 1 else 's'}; "
                f"{report.edited} joints moved, {report.added} added, "
                f"{report.deleted} removed, {report.accepted} left as they were"
            )

    def _judge(self, number: int, model: Fetched, *, promoted: bool) -> None:
        if not self.points or self.points[-1].version != model.version:
            self.found = look(model.predictor, self.animals.held_out)
        scores = judged(self.found, self.animals)
        if not number:
            self.before |= self.found
        refused = None if promoted else self._refused(model.version)
        self.points.append(Point(number, len(self.corrected), model.version, scores, promoted, refused))
        self.tell(
            f"{'First model' if not number else f'Round {number}'}: PCK@5% {scores.pck[FRACTION]:.3f}, "
            f"PCK@10% {scores.pck[WIDE]:.3f} on {scores.poses} held-out animals"
        )

    def _refused(self, in_service: str) -> PoseScores | None:
        """Score the newest model that was trained and did not take over; None where there is none."""
        settings = self.call().settings()
        with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
            newest = next((row for row in ledger.models() if row.kind == "pose"), None)
        if newest is None or newest.version == in_service or not Path(newest.path).is_file():
            return None
        predictor = PosePredictor.load(Path(newest.path), "cpu")
        self.refused = predictor, look(predictor, self.animals.held_out)
        return judged(self.refused[1], self.animals)


def _moved(capture: Capture) -> bool:
    """Whether a capture is where people correct it; it has no lease any more then."""
    return capture.status != "pending" and capture.claimed_by is None


def _finished(capture: Capture) -> bool:
    return capture.status in {"completed", "failed"}


def _settings(
    folder: Path, joints: str, threshold: int, seed: int, steps: int | None
) -> dict[str, dict[str, object]]:
    training: dict[str, object] = {"seed": seed} if steps is None else {"seed": seed, "steps": steps}
    return {
        "firebase": {
            "store": "embedded",
            "embedded_dir": str(folder / "outputs" / "firebase"),
            "output_dir": str(folder / "cvat-annotations"),
            "upload_threshold": _SENT_BELOW,
            "retraining_threshold": threshold,
            "poll_s": 1.0,
            "pose": {"joints": joints},
        },
        "pose_train": training,
    }
