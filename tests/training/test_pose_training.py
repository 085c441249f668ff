from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from agir_cvtoolkit.errors import CheckpointError, ConfigError, DataError, InterruptedByUser, PictureError
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.checkpoint import load_checkpoint
from agir_cvtoolkit.pictures import load_rgb, save_png
from agir_cvtoolkit.poses import overall_confidence
from agir_cvtoolkit.runs import git_commit
from agir_cvtoolkit.training import _pose_loop
from agir_cvtoolkit.training._pose_loop import keys_of_step
from agir_cvtoolkit.training.pose_samples import PoseSample
from agir_cvtoolkit.training.pose_scores import score_poses
from agir_cvtoolkit.training.pose_training import LAST, PoseTraining, split_off, steps_of, train_pose
from tests.pose_pictures import SCHEMA, beast, beasts, small


def _weights(training: PoseTraining) -> dict[str, torch.Tensor]:
    return load_checkpoint(training.path, "pose")[0].state_dict()


def test_training_leaves_a_model_with_its_card(tmp_path: Path) -> None:
    done = train_pose(beasts(tmp_path / "pics", 4), SCHEMA, small(), tmp_path / "model")
    assert done.state == "trained"
    assert done.path == tmp_path / "model" / "best.pth"
    assert done.card.kind == "pose"
    assert done.card.commit == (git_commit() or "")
    assert done.card.schema == SCHEMA
    assert done.card.tile_size == (64, 64)
    assert done.card.trained_on.pictures == 4
    assert [stretch.step for stretch in done.history] == [2, 4, 6]
    assert done.metrics == {"train_loss": done.history[-1].loss}
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "best.pth", "card.json", "history.csv", "training.json",
    ]  # fmt: skip


def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> None:
        raise RuntimeError(
            "[enforce fail at inline_container.cc:664] PytorchStreamWriter failed writing file"
        )

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(DataError, match=r"disk is full .* in mid-training.*Make room"):
        train_pose(beasts(tmp_path / "pics", 3), SCHEMA, small(), tmp_path / "model")


def test_the_same_call_again_does_nothing_and_another_trains(tmp_path: Path) -> None:
    samples = beasts(tmp_path / "pics", 3)
    first = train_pose(samples, SCHEMA, small(), tmp_path / "model")
    at = first.path.stat().st_mtime_ns
    again = train_pose(samples, SCHEMA, small(), tmp_path / "model")
    assert again.state == "unchanged"
    assert (again.card, again.history, again.metrics) == (first.card, first.history, first.metrics)
    assert first.path.stat().st_mtime_ns == at
    assert train_pose(samples, SCHEMA, small(cache_mib=0), tmp_path / "model").state == "unchanged"
    save_png(beast(77)[0], samples[0].picture)
    assert train_pose(samples, SCHEMA, small(), tmp_path / "model").state == "trained"


@pytest.mark.parametrize("frozen", [True, False])
def test_the_same_seed_makes_the_same_weights_however_they_are_dealt(tmp_path: Path, frozen: bool) -> None:
    samples = beasts(tmp_path / "pics", 4)
    model = {"input_size": 64, "widths": [16, 12, 8], "encoder_weights": None, "encoder_freeze": frozen}
    first = train_pose(samples, SCHEMA, small(model=model), tmp_path / "a")
    second = train_pose(samples[::-1], SCHEMA, small(model=model, cache_mib=0), tmp_path / "b")
    other = train_pose(samples, SCHEMA, small(model=model, seed=7), tmp_path / "c")
    assert first.card.version == second.card.version != other.card.version


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_killed_training_continues_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    samples = beasts(tmp_path / "pics", 4)
    whole = train_pose(samples, SCHEMA, small(), tmp_path / "whole")
    steps = 0

    def dying(*arguments: object) -> object:
        nonlocal steps
        steps += 1
        if steps > killed_at:
            raise KeyboardInterrupt
        return keys_of_step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(_pose_loop, "keys_of_step", dying)
        with pytest.raises(InterruptedByUser, match="Start it again to continue"):
            train_pose(samples, SCHEMA, small(), tmp_path / "cut")
    assert (tmp_path / "cut" / LAST).exists() == (killed_at >= 2)
    counted = 0

    def counting(*arguments: object) -> object:
        nonlocal counted
        counted += 1
        return keys_of_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_pose_loop, "keys_of_step", counting)
    rest = train_pose(samples, SCHEMA, small(), tmp_path / "cut")
    assert counted == 6 - killed_at // 2 * 2
    assert rest.state == ("continued" if killed_at >= 2 else "trained")
    assert rest.card.version == whole.card.version
    assert [(h.step, h.loss) for h in rest.history] == [(h.step, h.loss) for h in whole.history]
    assert not (tmp_path / "cut" / LAST).exists()


def test_a_resume_file_of_another_training_or_none_is_not_continued(tmp_path: Path) -> None:
    samples = beasts(tmp_path / "pics", 3)
    for content in (b"garbage", b""):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / LAST).write_bytes(content)
        assert train_pose(samples, SCHEMA, small(seed=len(content)), tmp_path / "model").state == "trained"
    torch.save({"fingerprint": "another", "step": 5}, tmp_path / "model" / LAST)
    assert train_pose(samples, SCHEMA, small(seed=9), tmp_path / "model").state == "trained"


def test_training_begins_with_an_earlier_model_of_the_same_joints(tmp_path: Path) -> None:
    samples = beasts(tmp_path / "pics", 3)
    first = train_pose(samples, SCHEMA, small(), tmp_path / "a")
    slow = small(optimizer={"lr": 1e-9, "weight_decay": 0})
    near = train_pose(samples, SCHEMA, slow, tmp_path / "b", initial=first.path)
    weights, before = _weights(near), _weights(first)
    assert torch.allclose(weights["head.out.weight"], before["head.out.weight"], atol=1e-6)
    others = JointSchema("other", "beast", ("a", "b", "c", "head"))
    with pytest.raises(CheckpointError, match="knows the joints of four, not those of other"):
        train_pose(samples, others, slow, tmp_path / "c", initial=first.path)


def test_some_are_held_out_where_there_are_enough(tmp_path: Path) -> None:
    one = beasts(tmp_path / "pics", 1)[0]
    many = [PoseSample(f"r{i}", one.picture, one.pose, one.size) for i in range(60)]
    learned, held_out = split_off(many, small())
    assert 1 <= len(held_out) <= 15
    assert {s.record_id for s in learned} & {s.record_id for s in held_out} == set()
    more = [*many, PoseSample("new", one.picture, one.pose, one.size)]
    assert {s.record_id for s in held_out} <= {s.record_id for s in split_off(more, small())[1]}
    twice = split_off([*many, *many], small())[1]
    assert len(twice) == 2 * len(held_out)
    assert split_off(many[:49], small())[1] == []
    assert split_off(many, small(validation=0))[1] == []
    done = train_pose(many, SCHEMA, small(steps=1), tmp_path / "model")
    assert done.held_out == len(held_out)
    assert {"val_pck_05", "val_oks_ap", "val_pck_05.head"} <= set(done.metrics)
    assert done.card.metrics == done.metrics


def _gone(samples: list[PoseSample]) -> None:
    samples[1].picture.unlink()


def _cut(samples: list[PoseSample]) -> None:
    samples[1].picture.write_bytes(samples[1].picture.read_bytes()[:200])


@pytest.mark.parametrize(("harm", "text"), [(_gone, "beast01"), (_cut, "beast01.png")])
def test_a_missing_or_damaged_picture_is_named(
    tmp_path: Path, harm: Callable[[list[PoseSample]], None], text: str
) -> None:
    samples = beasts(tmp_path / "pics", 3)
    harm(samples)
    with pytest.raises(DataError, match=text) as caught:
        train_pose(samples, SCHEMA, small(), tmp_path / "model")
    assert isinstance(caught.value, PictureError) == (harm is _cut)


def test_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    samples = beasts(tmp_path / "pics", 2)
    with pytest.raises(DataError, match="none of 0 poses"):
        train_pose([], SCHEMA, small(), tmp_path / "model")
    with pytest.raises(DataError, match=r"diverged before step.*pose_train.optimizer.lr"):
        train_pose(samples, SCHEMA, small(optimizer={"lr": 1.0, "weight_decay": 1e30}), tmp_path / "model")
    model = {"input_size": 64, "encoder_name": "efficientnet_lite1"}
    with pytest.raises(ConfigError, match="efficientnet_lite0"):
        train_pose(samples, SCHEMA, small(model=model), tmp_path / "model")


def test_many_poses_take_more_steps() -> None:
    settings = small(steps=6, batch_size=3, passes=4)
    assert [steps_of(settings, count) for count in (1, 4, 5, 30)] == [6, 6, 7, 40]


def test_every_variation_of_every_sample_is_shown() -> None:
    settings = small(batch_size=3, variations=2)
    keys = [key for step in range(8) for key in keys_of_step(step, 6, settings)]
    assert sorted(keys) == sorted([(s, v) for s in range(6) for v in (0, 1)] * 2)
    assert keys[:6] != sorted(keys[:6])


@pytest.mark.slow
def test_a_model_learns_where_joints_are_and_which_are_hidden_or_absent(tmp_path: Path) -> None:
    whole = beasts(tmp_path / "whole", 12)
    without = beasts(tmp_path / "without", 12, tail=False, hidden=True)
    samples = [*whole[:6], *(PoseSample(f"w{s.record_id}", s.picture, s.pose, s.size) for s in without[:6])]
    settings = small(
        steps=120, batch_size=8, variations=4, save_every=40,
        model={"input_size": 96, "widths": [32, 24, 16], "padding": 0.1},
        augmentation={"flips": False, "turn": 5, "whole_picture": 0.3},
    )  # fmt: skip
    done = train_pose(samples, SCHEMA, settings, tmp_path / "model")
    predictor = PosePredictor.load(done.path, "cpu")
    truth, bare = whole[6:], without[6:]
    found = predictor.predict([load_rgb(s.picture) for s in truth], [s.pose.box for s in truth])
    assert score_poses(found, [s.pose for s in truth], SCHEMA).pck[0.1] > 0.8
    unboxed = predictor.predict([load_rgb(s.picture) for s in truth])
    assert score_poses(unboxed, [s.pose for s in truth], SCHEMA).pck[0.1] > 0.7
    lacking = predictor.predict([load_rgb(s.picture) for s in bare], [s.pose.box for s in bare])
    assert min(pose.at("tail").confidence or 0.0 for pose in found) > max(
        pose.at("tail").confidence or 0.0 for pose in lacking
    )
    assert {pose.at("head").visibility for pose in found} == {"visible"}
    assert {pose.at("head").visibility for pose in lacking} == {"occluded"}
    assert overall_confidence(found[0]) > 0.5


def test_history_is_written_as_it_goes(tmp_path: Path) -> None:
    done = train_pose(beasts(tmp_path / "pics", 2), SCHEMA, small(), tmp_path / "model")
    lines = (tmp_path / "model" / "history.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "step,loss,learning_rate,seconds"
    assert len(lines) == 1 + len(done.history)
    assert json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))["kind"] == "pose"
