"""The device loop on embedded parts: devices submit, transfer, correct, return, trigger, retrain, publish, fetch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.runs import discard, write_text
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.sandbox.oracle import OracleReport
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.firebase_return import ReturnResult, firebase_return
from agir_cvtoolkit.stages.firebase_transfer import firebase_transfer
from agir_cvtoolkit.stages.promote import promote
from agir_cvtoolkit.stages.retrain import RetrainResult, retrain
from agir_cvtoolkit.training.pose_samples import PoseSample
from agir_cvtoolkit.training.pose_training import train_pose

from .pose_device import Fetched, fetch_model, look, send
from .pose_judging import FRACTION, WIDE, Point, draw_curve, draw_poses, judged
from .pose_pictures import AnimalPicture, AnimalPictures, drawn_animals, real_animals

_MARKER = ".agir-demo-pose"
_ACCOUNT = ("admin", "admin123")
_DEVICES = ("phone-1", "phone-2", "phone-3")
_SENT_BELOW = 0.9
"""Devices send nearly all they see; the transfer takes the worst of it."""
_TAKEN = 0.75
"""Share of what was sent that is brought to the annotators in a round."""
_FIRST_STEPS = 60


@dataclass(frozen=True)
class PoseDemoResult:
    """What the demonstration showed.

    Attributes:
        folder: a workspace in which every command can be tried.
        animals: pictures in all; `held_out` of them nobody was shown.
        points: how the model in service did on the held-out animals, before and after each round.
        oracle: what the simulated annotator did, over all rounds.
        corrections: animals that she corrected.
        curve: PCK over the rounds, PNG.
        sheet: poses before and after, PNG.
        seconds: of the whole demonstration.
    """

    folder: Path
    animals: int
    held_out: int
    joints: str
    points: tuple[Point, ...]
    oracle: OracleReport
    corrections: int
    curve: Path
    sheet: Path
    seconds: float


def demo_pose(
    folder: Path = Path("demo_pose_output"),
    data: Path | None = None,
    *,
    count: int = 160,
    rounds: int = 3,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> PoseDemoResult:
    """Run the device loop on drawn animals or on real pictures, with a simulated annotator.

    A first model that has seen few animals is published. In each round three devices fetch the model in service, look
    at animals that are new to them and send what they are not sure of; the worst of it goes to CVAT, is
    corrected and returned, and makes a trigger, for which a model is trained, and published where it is better.

    Args:
        folder: where everything goes; that of an earlier demonstration is replaced.
        data: pictures in a layout of `agir_cvtoolkit.demo.pose_pictures.real_animals`; None draws animals.
        count: how many animals are drawn.
        rounds: how often the loop turns.
        seed: of the animals, the annotator's hand and the training.
        steps: of each training; None is what is configured.
        progress: where long work reports.
        tell: is given one line per step.

    Raises:
        UsageError: `folder` holds something else.
        DataError: there are too few animals for the rounds.
        AgirError: whatever a stage raises.
    """
    started = time.monotonic()
    _clear(folder)
    folder = folder.resolve()
    if data is None:
        tell(f"Drawing {count} animals")
        animals = drawn_animals(folder / "animals", count, seed)
    else:
        animals = real_animals(data, folder / "animals")
    with Sandbox(SandboxOptions(root=folder / "sandbox")) as sandbox:
        tell(f"Sandbox: {sandbox.url}")
        loop = _Loop(folder, sandbox.url, animals, rounds, seed, steps, progress or Silent(), tell)
        with closing(loop.store):
            loop.first_model()
            for number in range(1, rounds + 1):
                loop.round(number)
            return loop.result(time.monotonic() - started)


class _Loop:
    """One demonstration under way."""

    def __init__(
        self,
        folder: Path,
        url: str,
        animals: AnimalPictures,
        rounds: int,
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
        each = len(rest) // rounds
        if each < 2:
            raise DataError(
                f"{len(pool)} animals are too few for {rounds} rounds", "Give more, or take fewer rounds."
            )
        self.shown = [rest[number * each : (number + 1) * each] for number in range(rounds)]
        self.limit = max(2, round(each * _TAKEN))
        _configure(folder, url, animals.joints, min(10, self.limit), seed, steps)
        self.store = EmbeddedStore(folder / "outputs" / "firebase")
        self.corrected: dict[str, Pose] = {}
        self.oracle = OracleReport()
        self.points: list[Point] = []
        self.before: dict[str, Pose] = {}
        self.found: dict[str, Pose] = {}

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
        model = self._fetched()
        self.before = dict(self.found) | look(model.predictor, self.shown[0])
        self._judge(0, model, promoted=True)

    def round(self, number: int) -> None:
        """Turn the loop once."""
        model = self._fetched()
        self._submit(number, model)
        call = self.call()
        moved = firebase_transfer(
            call, limit=self.limit, priority=1, dataset_name=f"round_{number}", create_task=True
        )
        self.tell(f"Round {number}: transferred the worst {moved.transferred}: {' '.join(moved.tasks)}")
        self._correct([int(task.rstrip("/").rsplit("/", 1)[-1]) for task in moved.tasks], number)
        back = firebase_return(self.call(), trigger_retraining=True)
        self._remember(back, number)
        trained = retrain(self.call())
        self._tell_training(number, trained)
        self._judge(number, self._fetched(), promoted=trained.promoted)

    def result(self, seconds: float) -> PoseDemoResult:
        """Draw what was seen."""
        first, last = self.points[0].scores, self.points[-1].scores
        footer = (
            f"{len(self.animals.held_out)} held-out animals: PCK@5% {first.pck[FRACTION]:.3f} before, "
            f"{last.pck[FRACTION]:.3f} after; PCK@10% {first.pck[WIDE]:.3f} before, {last.pck[WIDE]:.3f} after"
        )
        predictor = self._fetched().predictor
        shown = [one for one in self.animals.pool if one.picture_id in self.corrected]
        after = self.found | look(predictor, shown[:24])
        return PoseDemoResult(
            folder=self.folder,
            animals=len(self.animals.pool) + len(self.animals.held_out),
            held_out=len(self.animals.held_out),
            joints=self.animals.schema.name,
            points=tuple(self.points),
            oracle=self.oracle,
            corrections=len(self.corrected),
            curve=draw_curve(self.points, self.folder / "pck_curve.png", len(self.animals.held_out)),
            sheet=draw_poses(
                self.animals, self.before, self.corrected, after, self.folder / "contact_sheet.png", footer
            ),
            seconds=seconds,
        )

    def _fetched(self) -> Fetched:
        return fetch_model(self.store, self.folder / "devices")

    def _submit(self, number: int, model: Fetched) -> None:
        pictures = self.shown[number - 1]
        poses = look(model.predictor, pictures)
        when = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
        sent = 0
        for place, device in enumerate(_DEVICES):
            own: list[AnimalPicture] = list(pictures[place :: len(_DEVICES)])
            if own:
                folder = self.folder / "devices" / device
                sent += send(device, own, poses, when, folder, self.call()).submitted
        self.tell(f"Round {number}: {len(_DEVICES)} devices saw {len(pictures)} animals and sent {sent}")

    def _correct(self, task_ids: list[int], number: int) -> None:
        truth = {one.picture_id: one.truth for one in self.animals.pool}
        for task_id in task_ids:
            report = correct_poses(
                self.url,
                _ACCOUNT,
                task_id,
                lambda name: [truth[Path(name).stem]] if Path(name).stem in truth else None,
                self.animals.schema,
                seed=self.seed + number,
            )
            self.oracle = replace(
                self.oracle,
                **{name: value + getattr(report, name) for name, value in vars(self.oracle).items()},
            )
            self.tell(
                f"Round {number}: of {report.frames} animals {report.edited} joints were moved, {report.added} added, "
                f"{report.deleted} removed, {report.accepted} left as they were"
            )

    def _remember(self, back: ReturnResult, number: int) -> None:
        trigger = f"; trigger {back.trigger.trigger_id} with {back.trigger.count}" if back.trigger else ""
        self.tell(f"Round {number}: returned {back.new} new corrections{trigger}")
        for pose in self.store.all_labeled():
            self.corrected[pose.capture_id] = Pose(dict(pose.keypoints))

    def _tell_training(self, number: int, trained: RetrainResult) -> None:
        if trained.verdict is None:
            self.tell(f"Round {number}: retrain: {trained.state}")
            return
        verdict = trained.verdict
        taken = "it takes over" if trained.promoted else "the model in service stays"
        self.tell(
            f"Round {number}: trained on {trained.trained}, tested on {trained.tested} corrected animals: "
            f"{verdict.outcome}, {verdict.figure} {verdict.difference:+.3f}; {taken}"
        )

    def _judge(self, number: int, model: Fetched, *, promoted: bool) -> None:
        if not self.points or self.points[-1].version != model.version:
            self.found = look(model.predictor, self.animals.held_out)
        scores = judged(self.found, self.animals)
        if not number:
            self.before |= self.found
        self.points.append(Point(number, len(self.corrected), model.version, scores, promoted))
        self.tell(
            f"{'First model' if not number else f'Round {number}'}: PCK@5% {scores.pck[FRACTION]:.3f}, "
            f"PCK@10% {scores.pck[WIDE]:.3f} on {scores.poses} held-out animals"
        )


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).is_file():
        raise UsageError(
            f"{folder} holds something that is no demonstration", "Give another folder with --out."
        )
    discard(folder)
    write_text(folder / _MARKER, "made by: agir-cvtoolkit demo-pose\n")


def _configure(folder: Path, url: str, joints: str, threshold: int, seed: int, steps: int | None) -> None:
    """Write the workspace's ``conf/`` and keys, so that every command works in it afterwards."""
    training: dict[str, object] = {"seed": seed} if steps is None else {"seed": seed, "steps": steps}
    content: dict[str, dict[str, object]] = {
        "io": {
            "out_root": str(folder / "outputs" / "runs"),
            "keys_file": str(folder / ".keys" / "default.yaml"),
        },
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
    for group, values in content.items():
        write_text(folder / "conf" / group / "default.yaml", yaml.safe_dump(values, sort_keys=False))
    keys = folder / ".keys" / "default.yaml"
    keys.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_text(keys, yaml.safe_dump({"cvat": {"url": url, "username": _ACCOUNT[0], "password": _ACCOUNT[1]}}))
    keys.chmod(0o600)
