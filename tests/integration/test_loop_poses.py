"""Rounds of poses: of a folder of pictures, and of what devices sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.sandbox.pose_oracle import correct_poses
from agir_cvtoolkit.stages import Call, _pose_evaluation
from agir_cvtoolkit.stages._loop_steps import NOTHING
from agir_cvtoolkit.stages.loop import LoopOptions, loop
from agir_cvtoolkit.stages.trigger import trigger_explain
from tests.stages import retraining as world
from tests.stages.test_retrain_learns import SEEING

from .workspace import CREDENTIALS, Workspace

pytestmark = pytest.mark.integration

JUDGED = ("retrain.judgement.least_pictures=2", "retrain.judgement.resamples=200")


@pytest.fixture
def worms(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    world.with_small_encoder(monkeypatch.setattr)
    # After two steps a model finds nothing, and one that is blind is not put into service.
    monkeypatch.setattr(_pose_evaluation, "judge_pose", world.judged_half)
    return empty


def correct(workspace: Workspace, tasks: list[int]) -> None:
    schema = load_schema("worm.yaml")
    for task in tasks:
        correct_poses(
            workspace.sandbox.url,
            CREDENTIALS,
            task,
            lambda name: [Pose(world.points(int(Path(name).stem[1:4])))],
            schema,
            error=0.0,
        )


def test_a_folder_of_pictures(worms: Workspace) -> None:
    folder = worms.root / "frames"
    folder.mkdir()
    for number in range(9):
        (folder / f"c{number:03d}.jpg").write_bytes(world.picture(number))
    call = world.call(
        *JUDGED,
        "loop.kind=pose",
        "loop.test.least=1",
        "select.embeddings=none",
        "select.near_duplicates=null",
        "retrain.test_set.near_duplicates=null",
        "loop.budget.patience=null",
    )
    options = LoopOptions(rounds=2, count=4, pool=str(folder))
    first = loop("worms", options, call, wait=False)
    assert first.rounds[0].state == "in_annotation"
    (task,) = worms.tasks()
    assert len(worms.frames(task["id"])) == 4
    correct(worms, [task["id"]])
    second = loop("worms", options, call, wait=False)
    assert [row.state for row in second.rounds] == ["promoted", "in_annotation"]
    assert second.rounds[0].figures["learned"] == 3, "one of four is tested on"
    assert second.rounds[1].figures["predictor"] == second.champion
    correct(worms, [int(one) for one in second.rounds[1].figures["tasks"]])
    last = loop("worms", options, call, wait=False)
    assert last.why == "2 rounds are done"
    assert last.rounds[1].state in {"promoted", "rejected"}
    assert last.rounds[1].figures["outcome"] in {"few", "unclear", "better", "worse"}
    assert last.rounds[1].figures["learned"] > 3
    frames = [frame["name"] for one in worms.tasks() for frame in worms.frames(one["id"])]
    assert len(frames) == len(set(frames)) == 8

    # What came back in a round of one loop is the test set of another.
    more = worms.root / "more"
    more.mkdir()
    for number in range(20, 23):
        (more / f"c{number:03d}.jpg").write_bytes(world.picture(number))
    call = replace(call, overrides=(*call.overrides, "loop.test_run=loop/worms-001"))
    options = LoopOptions(rounds=1, count=3, pool=str(more))
    waiting = loop("others", options, call, wait=False)
    correct(worms, [int(one) for one in waiting.rounds[0].figures["tasks"]])
    (row,) = loop("others", options, call, wait=False).rounds
    assert row.figures["tested"] == []
    assert (row.figures["learned"], row.figures["test_pictures"]) == (3, 1), (
        "of its own pictures, and of the others"
    )


def test_a_loop_learns_and_its_models_are_judged_as_they_are(empty: Workspace) -> None:
    """With a network that sees and nothing standing in for the judge."""
    folder = empty.root / "frames"
    folder.mkdir()
    for number in range(24):
        (folder / f"c{number:03d}.jpg").write_bytes(world.picture(number))
    options = LoopOptions(rounds=2, count=12, pool=str(folder))
    call = world.call(
        *SEEING,
        "loop.kind=pose",
        "select.embeddings=none",
        "select.near_duplicates=null",
        "retrain.test_set.near_duplicates=null",
    )
    result = loop("seen", options, call, wait=False)
    for steps in (6, 60):
        correct(empty, [int(task) for task in result.rounds[-1].figures["tasks"]])
        trained = replace(call, overrides=(*call.overrides, f"pose_train.steps={steps}"))
        result = loop("seen", options, trained, wait=False)
    assert result.why == "2 rounds are done"
    first, second = result.rounds
    assert first.figures["test_pictures"] == second.figures["test_pictures"] == 5
    assert first.figures["outcome"] in {"first", "blind"}
    assert second.state == "promoted"
    assert second.figures["score"] > max(0.2, first.figures["score"] or 0.0)


def send(store: EmbeddedStore, numbers: range) -> None:
    for number in numbers:
        guessed = {n: Keypoint(p.x + 3, p.y, "visible", 0.3) for n, p in world.points(number).items()}
        taken = world.START + timedelta(hours=number)
        capture = Capture(f"c{number:03d}", 0.2, 7, taken=taken, device_id="phone", poses=(Pose(guessed),))
        store.create(capture, world.picture(number))


def test_captures_of_devices(worms: Workspace) -> None:
    call = world.call(
        *JUDGED,
        "loop.kind=pose",
        "loop.source=captures",
        "firebase.retraining_threshold=4",
        "firebase.output_dir=captures",
        "retrain.test_set.near_duplicates=null",
        "loop.budget.patience=null",
        "loop.judge_first=false",
    )
    store = world.store()
    options = LoopOptions(count=4)
    nothing = loop("worms", options, call, wait=False)
    assert (nothing.state, nothing.why, nothing.rounds) == ("ended", NOTHING, ())

    send(store, range(4))
    first = loop("worms", options, call, wait=False)
    (row,) = first.rounds
    assert (row.state, row.figures["chosen"]) == ("in_annotation", 4)
    assert row.run_id.startswith("transfer-")
    told = trigger_explain("worms", call).captures
    assert told is not None
    assert told.missing == "4 more corrections"
    correct(worms, [int(one) for one in row.figures["tasks"]])
    second = loop("worms", options, call, wait=False)
    assert (second.state, second.why) == ("ended", NOTHING)
    (row,) = second.rounds
    assert (row.state, row.figures["takes_over"]) == ("promoted", True)
    assert row.training_run.startswith("retrain/")
    assert second.champion == row.figures["version"]

    send(store, range(4, 6))
    third = loop("worms", options, call, wait=False)
    correct(worms, [int(one) for one in third.rounds[1].figures["tasks"]])
    last = loop("worms", options, call, wait=False)
    assert [row.state for row in last.rounds] == ["promoted", "deferred"], "two are too few for a trigger"
    assert last.rounds[1].figures["why"] == "2 of 4 corrections that make a trigger"
    store.close()


def test_what_does_not_go_together_is_refused() -> None:
    for wrong in ("loop.source=captures", "loop.hook.url=ftp://x"):
        with pytest.raises(Exception, match=r"kind to pose|http"):
            Call(overrides=(wrong,)).settings()
