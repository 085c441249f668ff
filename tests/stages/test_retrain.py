"""``retrain``: trains once for each trigger, never on the test set, and publishes once what is better."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.errors import (
    DataError,
    InterruptedByUser,
    RefusedError,
    ServerUnreachableError,
    UsageError,
)
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.runs import open_run, try_lock
from agir_cvtoolkit.serving.stopping import StoppableProgress
from agir_cvtoolkit.stages import _pose_evaluation as evaluation
from agir_cvtoolkit.stages import _retrain_publish as publishing
from agir_cvtoolkit.stages._capture_rounds import CaptureRounds
from agir_cvtoolkit.stages._evaluation import Judged
from agir_cvtoolkit.stages._retrain_incumbent import NAME
from agir_cvtoolkit.stages._retrain_lease import owner_of
from agir_cvtoolkit.stages._retrain_pictures import picture_folder
from agir_cvtoolkit.stages._retrain_result import RetrainResult
from agir_cvtoolkit.stages._retrain_split import SPLIT
from agir_cvtoolkit.stages._round_work import Figures
from agir_cvtoolkit.stages.retrain import RetrainStep, retrain
from agir_cvtoolkit.training import pose_training
from agir_cvtoolkit.training.pose_samples import PoseSample

from . import retraining as world

ROOT = Path("outputs/runs")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    world.with_small_encoder(monkeypatch.setattr)
    world.with_settings_kept(monkeypatch.setattr)


class Trainings:
    """Counts trainings and remembers what they saw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.samples: list[Sequence[PoseSample]] = []
        self.starts: list[Path | None] = []
        self.fails: list[BaseException] = []
        real = pose_training.train_pose

        def train(samples: Sequence[PoseSample], *args: Any, initial: Path | None = None, **more: Any) -> Any:
            if self.fails:
                raise self.fails.pop()
            self.samples.append(samples)
            self.starts.append(initial)
            return real(samples, *args, initial=initial, **more)

        monkeypatch.setattr(pose_training, "train_pose", train)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    return Trainings(monkeypatch)


@pytest.fixture(autouse=True)
def better(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Let the share of correct joints of a model be what is written here by its version; else 0.5."""
    shares: dict[str, float] = {}

    def judge(path: Path, samples: Sequence[PoseSample], device: str, progress: object) -> Judged:
        from agir_cvtoolkit.stages._evaluation import card_of

        share = shares.get(card_of(path).version, shares.get("new", 0.5))
        return world.judged(samples, share)

    monkeypatch.setattr(evaluation, "judge_pose", judge)
    return shares


def split() -> Mapping[str, str]:
    with Ledger.open_to_read(None, ROOT) as ledger:
        return ledger.split_members(SPLIT)


def champion() -> str | None:
    with Ledger.open_to_read(None, ROOT) as ledger:
        found = ledger.champion("pose")
        return found.version if found else None


def test_without_a_trigger_nothing_happens() -> None:
    world.correct(world.store(), range(3))
    result = retrain(world.call())
    assert (result.state, result.waiting, result.threshold) == ("nothing", 3, 10)
    assert not result.worked
    assert not ROOT.exists()


def test_the_first_model_is_trained_published_and_in_service(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_onnx", lambda checkpoint, target: target.write_bytes(b"onnx"))
    store = world.store()
    world.correct(store, range(12))
    trigger = world.trigger(store)
    result = retrain(world.call("retrain.onnx=auto"))
    assert (result.state, result.promoted, result.corrections, result.items) == ("trained", True, 12, ())
    assert (result.trained, result.tested) == (8, 4)
    assert result.run_id == f"retrain/{trigger}"
    model = store.current_model()
    assert model is not None
    assert (model.version, model.trigger_id, model.schema) == (result.version, trigger, "worm")
    assert set(model.files) == {"pth", "card", "onnx"}
    assert dict(result.files) == model.files
    card = json.loads(store.file(model.files["card"]).read_text())
    assert {"test_pck_05", "test.nose"} <= set(card["metrics"])
    assert champion() == result.version
    (done,) = store.triggers()
    assert (done.status, done.model, done.attempts) == ("completed", result.version, 1)
    assert all(pose.used for pose in store.all_labeled())
    run = ROOT / result.run_id
    for name in ("cfg.retrain.yaml", "metrics.json", "model/best.pth", "evaluation/evaluation.json"):
        assert (run / name).is_file(), name
    assert not (ROOT / "current").exists()
    assert retrain(world.call()).state == "nothing"
    assert len(trainings.samples) == 1


def figures_of(result: RetrainResult) -> Figures:
    """Return what the round of a loop says of a retraining."""
    place = SimpleNamespace(run=partial(open_run, ROOT))
    return CaptureRounds(place).evaluate(SimpleNamespace(training_run=result.run_id))  # type: ignore[arg-type]


def test_a_first_model_that_is_worse_than_what_devices_run_is_not_published_to_them(
    trainings: Trainings, better: dict[str, float]
) -> None:
    """Half of the joints against nearly all, then nearly all against half: devices keep what is better."""
    store = world.store()
    world.correct(store, range(15), wrong_by=1.0)
    world.trigger(store)
    result = retrain(world.call())
    assert result.evaluation is not None
    assert (result.promoted, result.evaluation.incumbent) == (False, NAME)
    assert result.verdict is not None
    assert result.verdict.words.startswith(f"worse than {NAME} beyond chance: -0.")
    assert (store.current_model(), champion()) == (None, None)
    figures = figures_of(result)
    assert figures["words"] == f"not put in service: {result.verdict.words}"
    assert (figures["incumbent"], figures["takes_over"]) == (NAME, False)
    theirs = result.evaluation.champion
    assert theirs is not None
    assert figures["incumbent_score"] == figures["champion_score"] == theirs.metrics["test_mean_pck"]

    better["new"] = 1.0
    world.correct(store, range(15, 20), wrong_by=1.0)
    world.trigger(store)
    again = retrain(world.call())
    assert again.verdict is not None
    assert (again.promoted, again.verdict.outcome, again.verdict.than) == (True, "better", NAME)
    assert champion() == again.version


def test_a_first_model_that_finds_nothing_is_not_put_in_service(
    trainings: Trainings, better: dict[str, float]
) -> None:
    store = world.store()
    world.correct(store, range(12))
    world.trigger(store)
    better["new"] = 0.0
    result = retrain(world.call())
    assert result.verdict is not None
    assert (result.promoted, result.verdict.outcome) == (False, "blind")
    words = str(figures_of(result)["words"])
    assert words.startswith(f"not put in service: {result.verdict.words}, compared with nothing: ")
    assert store.current_model() is None
    assert champion() is None
    assert store.triggers()[0].status == "completed"


def test_what_is_tested_on_is_never_trained_on_however_much_comes(trainings: Trainings) -> None:
    store = world.store()
    tested: set[str] = set()
    for first, last in ((0, 6), (6, 20), (20, 40)):
        world.correct(store, range(first, last))
        world.trigger(store)
        result = retrain(world.call())
        sides = split()
        now = {name for name, side in sides.items() if side == "test"}
        assert tested <= now
        assert result.tested == len(now)
        assert not {s.record_id for s in trainings.samples[-1]} & now
        tested = now
    for samples in trainings.samples:
        assert not {s.record_id for s in samples} & tested
    assert len(trainings.samples[-1]) == 40 - len(tested)


def test_only_what_is_better_beyond_chance_takes_over(trainings: Trainings, better: dict[str, float]) -> None:
    store = world.store()
    world.correct(store, range(25))
    world.trigger(store)
    first = retrain(world.call())
    published = store.current_model()
    for number, (share, takes_over) in enumerate([(0.5, False), (0.3, False), (0.7, True)]):
        world.correct(store, range(25 + 2 * number, 27 + 2 * number))
        world.trigger(store)
        better |= {first.version: 0.5, "new": share}
        result = retrain(world.call())
        assert result.verdict is not None
        assert result.promoted is takes_over, result.verdict
        assert (champion() == result.version) is takes_over
        current = store.current_model()
        assert current is not None
        assert published is not None
        assert (current.version != published.version) is takes_over
        assert result.warning == ""
        assert trainings.starts[-1] is not None
        assert trainings.starts[-1].parent.name == first.version
    assert [t.status for t in store.triggers()] == ["completed"] * 4
    with Ledger.open_to_read(None, ROOT) as ledger:
        rows = {row.version: row for row in ledger.models()}
    assert len(rows) == 4
    assert {row.kind for row in rows.values()} == {"pose"}
    assert rows[result.version].metrics == {"test_pck_05": 0.7}
    assert rows[result.version].test_set == result.evaluation.test_set if result.evaluation else False


def test_a_broken_picture_is_listed_and_the_rest_trains(trainings: Trainings) -> None:
    store = world.store()
    good = world.picture(5)
    others: dict[int, bytes | None] = {3: good[: len(good) // 2], 4: None, 5: b"", 6: b"no picture at all"}
    world.correct(store, range(14), picture_of=others)
    world.trigger(store)
    result = retrain(world.call())
    reasons = {item.record_id: item.reason for item in result.items}
    assert set(reasons) == {f"cvat_c{n:03d}_20260101T000000Z" for n in (3, 4, 5, 6)}
    assert "not in the storage" in reasons["cvat_c004_20260101T000000Z"]
    assert all("broken" in r for name, r in reasons.items() if "c004" not in name)
    assert result.exit_code == 1
    assert result.trained + result.tested == 10
    assert result.promoted
    # They were looked at: they do not demand training for ever.
    assert all(pose.used for pose in store.all_labeled())


def test_impossible_corrections_are_listed(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(8))
    when = datetime(2026, 1, 5, tzinfo=UTC)
    odd = {
        "outside": ({"nose": Keypoint(5000, 3)}, world.SIZE),
        "size": (world.points(1), (10, 10)),
        "strange": ({"fin": Keypoint(3, 3)}, world.SIZE),
    }
    store.write_labeled(
        [
            LabeledPose(n, f"c{i:03d}", p, 0.5, when, "worm", size=s)
            for i, (n, (p, s)) in enumerate(odd.items())
        ]
    )
    world.trigger(store)
    result = retrain(world.call())
    said = {item.record_id: item.reason for item in result.items}
    assert set(said) == set(odd)
    assert "nose lies outside" in said["outside"]
    assert "10x10" in said["size"]
    assert "schema worm" in said["strange"]
    assert result.trained + result.tested == 8


def test_an_alias_is_the_joint_it_means(trainings: Trainings) -> None:
    store = world.store()
    for number in range(4):
        world.correct(store, range(number, number + 1))
    found = {("head" if n == "nose" else n): p for n, p in world.points(0).items()}
    store.write_labeled(
        [
            LabeledPose(
                "cvat_c000_20260101T000000Z", "c000", found, 0.5, datetime.now(UTC), "worm", size=world.SIZE
            )
        ]
    )
    world.trigger(store)
    assert retrain(world.call()).items == ()
    assert all("nose" in s.pose.keypoints for s in trainings.samples[0])


def test_a_failed_training_leaves_the_trigger_with_its_reason(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(6))
    world.trigger(store)
    trainings.fails.append(DataError("the training diverged", "Lower the rate."))
    with pytest.raises(DataError, match="diverged"):
        retrain(world.call())
    (waiting,) = store.triggers()
    assert (waiting.status, waiting.reason, waiting.attempts) == ("pending", "the training diverged", 1)
    assert store.unreserved() == 0
    assert not any(pose.used for pose in store.all_labeled())
    world.correct(store, range(6, 9))
    result = retrain(world.call())
    assert (result.state, result.trained + result.tested) == ("trained", 9)
    (done,) = store.triggers()
    assert (done.status, done.attempts, done.reason) == ("completed", 2, "")


def test_an_unexpected_error_gives_the_trigger_back_too(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(6))
    world.trigger(store)
    trainings.fails.append(ZeroDivisionError("x"))
    with pytest.raises(ZeroDivisionError):
        retrain(world.call())
    assert store.triggers()[0].reason == "ZeroDivisionError: x"


def test_a_store_that_cannot_publish_costs_no_second_training(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    world.correct(store, range(12))
    world.trigger(store)

    def unavailable(*args: object) -> None:
        raise ServerUnreachableError("the store does not answer", "Wait.")

    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedStore, "publish", unavailable)
        with pytest.raises(ServerUnreachableError):
            retrain(world.call())
    assert champion() is None
    assert store.current_model() is None
    assert store.triggers()[0].reason == "the store does not answer"
    world.correct(store, range(12, 14))
    result = retrain(world.call())
    assert len(trainings.samples) == 1
    assert (result.trained + result.tested, result.promoted) == (12, True)
    assert store.current_model() is not None
    # What came meanwhile was not seen, and waits for the next trigger.
    assert store.unreserved() == 2


def test_a_lease_that_was_lost_publishes_nothing(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    world.correct(store, range(12))
    world.trigger(store)
    real = pose_training.train_pose

    def slow(*args: Any, **more: Any) -> Any:
        far = datetime.now(UTC) + timedelta(days=1)
        assert world.store().claim_trigger("another", far, far + timedelta(hours=1)) is not None
        return real(*args, **more)

    monkeypatch.setattr(pose_training, "train_pose", slow)
    with pytest.raises(RefusedError, match="another retraining"):
        retrain(world.call())
    assert store.current_model() is None
    (taken,) = store.triggers()
    assert (taken.status, taken.claimed_by) == ("claimed", "another")


def test_the_lease_is_lengthened_while_it_trains(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    world.correct(store, range(6))
    world.trigger(store)
    real, seen = pose_training.train_pose, []

    def slow(*args: Any, **more: Any) -> Any:
        for _ in range(1200):
            until = store.triggers()[0].claimed_until
            assert until is not None
            seen.append(until)
            if len(set(seen)) > 2:
                break
            threading.Event().wait(0.05)
        return real(*args, **more)

    monkeypatch.setattr(pose_training, "train_pose", slow)
    assert retrain(world.call("firebase.lease_s=1.5")).promoted
    assert len(set(seen)) > 2
    assert seen == sorted(seen)


def test_a_trigger_whose_corrections_were_learned_from_already_is_done_at_once(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(6))
    world.trigger(store)
    world.correct(store, range(6, 9))
    second = world.trigger(store)
    first = retrain(world.call())
    assert first.trained + first.tested == 9
    result = retrain(world.call())
    assert (result.state, result.trigger_id, result.version) == ("known", second, first.version)
    assert len(trainings.samples) == 1
    assert {t.status for t in store.triggers()} == {"completed"}


def test_another_machine_that_was_killed_after_publishing_is_not_repeated(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = world.store()
    world.correct(store, range(6))
    world.trigger(store)

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedStore, "finish_trigger", killed)
        broken.setattr(EmbeddedStore, "release_trigger", lambda *args: None)
        with pytest.raises(KeyboardInterrupt):
            retrain(world.call())
    published = store.current_model()
    assert published is not None
    # The other machine: another workspace, and the lease is over.
    until = datetime.now(UTC) - timedelta(hours=1)
    (left,) = store.triggers()
    store.renew_trigger(left, until)
    result = retrain(world.call("io.out_root=elsewhere/runs"))
    assert (result.state, result.version) == ("elsewhere", published.version)
    assert len(trainings.samples) == 1
    assert store.triggers()[0].status == "completed"
    assert all(pose.used for pose in store.all_labeled())


def test_two_in_one_workspace_do_not_train_at_once() -> None:
    world.correct(world.store(), range(3))
    world.trigger(world.store())
    with try_lock(Path("outputs/retrain.lock")) as mine:
        assert mine
        with pytest.raises(UsageError, match="already running"):
            retrain(world.call())
        assert RetrainStep(world.call())() is None
    assert world.store().triggers()[0].status == "pending"


def test_a_stop_gives_the_trigger_back_and_the_training_goes_on_later(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(8))
    world.trigger(store)
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedByUser):
        retrain(world.call(progress=StoppableProgress(stop)))
    assert (store.triggers()[0].status, store.triggers()[0].reason) == ("pending", "it was interrupted")
    assert retrain(world.call()).promoted


def test_a_dry_run_says_what_waits_and_changes_nothing() -> None:
    store = world.store()
    world.correct(store, range(3))
    name = world.trigger(store)
    result = retrain(world.call(dry_run=True))
    assert (result.state, result.trigger_id, result.corrections) == ("planned", name, 3)
    assert store.triggers()[0].status == "pending"
    assert not Path("outputs").exists()


def test_too_few_for_a_test_set_train_the_first_model_and_no_second(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(2))
    world.trigger(store)
    first = retrain(world.call())
    assert (first.promoted, first.tested, first.evaluation) == (True, 0, None)
    store.write_labeled(
        [
            LabeledPose(
                "cvat_c000_20260101T000000Z",
                "c000",
                world.points(9),
                0.5,
                datetime.now(UTC),
                "worm",
                size=world.SIZE,
            )
        ]
    )
    world.trigger(store)
    second = retrain(world.call())
    assert second.verdict is not None
    assert (second.promoted, second.verdict.outcome) == (False, "few")
    assert champion() == first.version


def test_the_cache_is_bounded_and_the_oldest_are_left_out_and_listed(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(12))
    world.trigger(store)
    sizes = {n: len(world.picture(n)) for n in range(12)}
    room = sum(sizes.values()) * 0.75
    folder = picture_folder(ROOT)
    folder.mkdir(parents=True)
    stale = folder / "of_an_old_capture.jpg"
    stale.write_bytes(world.picture(99) * 3)
    result = retrain(world.call(f"retrain.cache_gb={room / 1e9}"))
    left_out = {item.record_id for item in result.items}
    assert left_out
    assert all("no room" in item.reason for item in result.items)
    assert max(left_out) < "cvat_c006"
    assert not stale.exists()
    assert sum(p.stat().st_size for p in folder.glob("*.jpg")) <= room


def test_pictures_are_fetched_once(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = world.store()
    asked: list[str] = []
    real = EmbeddedStore.picture

    def counted(self: EmbeddedStore, capture_id: str, limit_bytes: int) -> bytes:
        asked.append(capture_id)
        return real(self, capture_id, limit_bytes)

    monkeypatch.setattr(EmbeddedStore, "picture", counted)
    for first, last in ((0, 6), (6, 9)):
        world.correct(store, range(first, last))
        world.trigger(store)
        retrain(world.call())
    assert sorted(asked) == [f"c{n:03d}" for n in range(9)]


def test_who_owns_a_trigger_is_the_same_after_a_restart_and_another_elsewhere(tmp_path: Path) -> None:
    assert owner_of(ROOT) == owner_of(ROOT.resolve())
    assert owner_of(ROOT) != owner_of(Path("elsewhere/runs"))


def test_what_another_machine_has_published_is_compared_with_and_not_replaced_unseen(
    trainings: Trainings, better: dict[str, float]
) -> None:
    store = world.store()
    world.correct(store, range(25))
    world.trigger(store)
    first = retrain(world.call())
    world.correct(store, range(25, 28))
    world.trigger(store)
    better |= {first.version: 0.9, "new": 0.4}
    second = retrain(world.call("io.out_root=elsewhere/runs"))
    assert second.evaluation is not None
    assert second.evaluation.champion is not None
    assert second.evaluation.champion.version == first.version
    assert "not known which pictures the champion was trained on" in second.warning
    assert not second.promoted
    model = store.current_model()
    assert model is not None
    assert model.version == first.version
    with Ledger.open_to_read(None, Path("elsewhere/runs")) as ledger:
        adopted = ledger.champion("pose")
    assert adopted is not None
    assert adopted.version == first.version
    assert Path(adopted.path).is_relative_to(Path("elsewhere/models").resolve())


def test_a_published_model_that_nobody_can_fetch_is_replaced(trainings: Trainings) -> None:
    store = world.store()
    world.correct(store, range(12))
    world.trigger(store)
    first = retrain(world.call())
    published = store.current_model()
    assert published is not None
    store.file(published.files["pth"]).write_bytes(b"damaged")
    world.correct(store, range(12, 15))
    world.trigger(store)
    second = retrain(world.call("io.out_root=elsewhere/runs"))
    assert second.promoted
    model = store.current_model()
    assert model is not None
    assert model.version == second.version != first.version


def test_a_forgotten_capture_leaves_neither_picture_nor_side(trainings: Trainings) -> None:
    from agir_cvtoolkit.stages.forget import forget

    store = world.store()
    world.correct(store, range(12))
    world.trigger(store)
    run = ROOT / retrain(world.call()).run_id
    tested = sorted(name for name, side in split().items() if side == "test")
    gone = tested[0]
    assert (run / "dataset" / "test" / f"{gone}.jpg").is_file()
    forget(gone, world.call(), output_dir=Path("annotations"))
    assert gone not in split()
    assert not (picture_folder(ROOT) / f"{gone}.jpg").exists()
    assert not (run / "dataset" / "test" / f"{gone}.jpg").exists()
    assert gone not in (run / "dataset" / "poses.json").read_text()
    world.correct(store, range(12, 14))
    world.trigger(store)
    result = retrain(world.call())
    assert result.trained + result.tested == 13
    assert set(tested) - {gone} <= {name for name, side in split().items() if side == "test"}


@pytest.mark.parametrize(
    "method",
    [
        "all_labeled",
        "picture",
        "get",
        "current_model",
        "renew_trigger",
        "publish",
        "unreserved",
        "finish_trigger",
    ],
)
def test_a_store_that_fails_anywhere_loses_nothing(
    method: str, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    world.correct(store, range(4))
    world.trigger(store)

    def unavailable(*args: object, **more: object) -> None:
        raise ServerUnreachableError("the store does not answer", "Wait.")

    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedStore, method, unavailable)
        with pytest.raises(ServerUnreachableError):
            retrain(world.call())
    (waiting,) = store.triggers()
    assert (waiting.status, waiting.reason) == ("pending", "the store does not answer")
    result = retrain(world.call())
    assert (result.state, result.promoted) == ("trained", True)
    assert len(trainings.samples) == 1
    assert store.triggers()[0].status == "completed"
    assert all(pose.used for pose in store.all_labeled())


def test_a_store_that_fails_to_take_the_trigger_back_leaves_it_to_this_workspace(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = world.store()
    world.correct(store, range(4))
    world.trigger(store)

    def unavailable(*args: object, **more: object) -> None:
        raise ServerUnreachableError("the store does not answer", "Wait.")

    with monkeypatch.context() as broken:
        broken.setattr(EmbeddedStore, "finish_trigger", unavailable)
        broken.setattr(EmbeddedStore, "release_trigger", unavailable)
        with pytest.raises(ServerUnreachableError):
            retrain(world.call())
    assert store.triggers()[0].status == "claimed"
    # Another machine has to wait for the end of the lease; this one goes on where it stopped.
    assert retrain(world.call("io.out_root=elsewhere/runs")).state == "nothing"
    assert retrain(world.call()).state == "trained"
    assert len(trainings.samples) == 1
    assert store.triggers()[0].status == "completed"
