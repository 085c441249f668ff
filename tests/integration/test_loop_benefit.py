"""What choosing has brought, measured by loops of masks and of poses and told by the report."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import pytest

pytest.importorskip("lightning")

from agir_cvtoolkit.errors import InterruptedByUser
from agir_cvtoolkit.stages import Call, _pose_evaluation, _simulate_look, benefit
from agir_cvtoolkit.stages.loop import LoopOptions, LoopResult, loop
from agir_cvtoolkit.stages.report import report
from agir_cvtoolkit.training.frozen_joints import JointLearner, JointSettings
from agir_cvtoolkit.training.frozen_pixels import PixelLearner, PixelSettings
from tests.stages import retraining as world

from .plants import draw
from .test_loop import SELECT, correct
from .test_loop_poses import JUDGED
from .test_loop_poses import correct as correct_worms
from .workspace import Workspace

pytestmark = pytest.mark.integration

NAME = "pays"
MEASURED = "loop.measure_benefit=true"


def sections(workspace: Workspace, call: Call | None = None) -> dict[str, str]:
    """Return what the report says, by section."""
    out = workspace.root / "report.html"
    report(out, call=call)
    found = re.findall(r'<section id="(\w+)"(.*?)</section>', out.read_text(encoding="utf-8"), re.S)
    return {anchor: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)) for anchor, text in found}


def test_masks(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight pictures drawn at random, of which four are tested on, and six of which five are chosen."""
    monkeypatch.setattr(benefit, "PixelLearner", partial(PixelLearner, settings=PixelSettings(steps=4)))
    for number in range(14):
        empty.add(f"plot_{number}", draw(number * 7), number=number)
    empty.database()
    empty.conf("select", SELECT)
    empty.conf("loop", {"test": {"least": 4}, "budget": {"patience": None}, "judge_first": False})
    empty.conf("retrain", {"judgement": {"least_pictures": 2, "resamples": 200}})
    empty.conf("preprocess", {"size": {"height": 64, "width": 64}, "split": {"near_duplicates": None}})
    empty.conf("train", {"max_epochs": 1})
    empty.cli("query", "--db", "semif", "-o", "project.name=pool")
    call = Call(overrides=(MEASURED,))

    def turned(rounds: int, count: int) -> LoopResult:
        options = LoopOptions(rounds=rounds, count=count, pool="pool")
        waiting = loop(NAME, options, call, wait=False)
        correct(empty, waiting.rounds[-1].figures["tasks"])
        return loop(NAME, options, call, wait=False)

    first = turned(1, 8).rounds[0].figures["benefit"]
    assert first["verdict"] == "too few labels"
    assert first["words"][0].startswith("4 labels were drawn at random and 0 chosen")

    def interrupted(*_: object) -> None:
        raise InterruptedByUser("Ctrl-C", "Start it again.")

    with monkeypatch.context() as patched:
        patched.setattr(benefit, "_curves", interrupted)
        with pytest.raises(InterruptedByUser):
            turned(2, 6)
    result = loop(NAME, LoopOptions(rounds=2, count=6, pool="pool"), call, wait=False)
    assert result.why == "2 rounds are done"
    assert len(empty.tasks()) == 2, "what was done before is not done again"
    found = result.rounds[1].figures["benefit"]
    assert [curve["strategy"] for curve in found["curves"]] == ["random", "chosen"]
    assert [point["labels"] for point in found["curves"][1]["points"]] == [1, 2]
    assert (found["tested"], found["tested_on"]) == (4, "the frozen test set")
    page = sections(empty)
    told = page["benefit"]
    assert "With the labels of round 2" in told
    assert ("no gain so far" in told) == (found["verdict"] != "gain")
    assert "random choice would have brought mean IoU" in told
    shown = empty.cli("loop", NAME, "--rounds", "2", "--dry-run").stdout
    assert f"Choosing: {found['verdict']}. With 2 labels each" in shown

    told = page["control"]
    assert "on the whole pool:" in told
    assert "From the 1 control picture that it proposed for" in told
    assert "of the model in service:" in told
    assert "On the 4 test pictures, which were drawn from the control slices" in told


def test_poses(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    world.with_small_encoder(monkeypatch.setattr)
    found_half = lambda *given: replace(world.judged_half(*given), metrics={"test_mean_pck": 0.5})  # noqa: E731
    monkeypatch.setattr(_pose_evaluation, "judge_pose", found_half)
    quick = JointSettings(steps=2, variations=0)
    monkeypatch.setattr(benefit, "JointLearner", partial(JointLearner, settings=quick))
    monkeypatch.setattr(_simulate_look, "JointSettings", lambda: quick)
    folder = empty.root / "frames"
    folder.mkdir()
    for number in range(14):
        (folder / f"c{number:03d}.jpg").write_bytes(world.picture(number))
    call = world.call(
        *JUDGED,
        MEASURED,
        "loop.kind=pose",
        "loop.test.least=4",
        "select.embeddings=none",
        "select.near_duplicates=null",
        "retrain.test_set.near_duplicates=null",
        "loop.budget.patience=null",
    )
    for rounds, count in ((1, 8), (2, 6)):
        options = LoopOptions(rounds=rounds, count=count, pool=str(folder))
        waiting = loop(NAME, options, call, wait=False)
        correct_worms(empty, [int(task) for task in waiting.rounds[-1].figures["tasks"]])
        result = loop(NAME, options, call, wait=False)
    assert result.rounds[0].figures["benefit"]["verdict"] == "too few labels"
    found = result.rounds[1].figures["benefit"]
    assert (found["metric"], found["tested"]) == ("PCK at 5 %", 4)
    assert [point["labels"] for point in found["curves"][1]["points"]] == [1, 2]
    page = sections(empty, call)
    assert "random choice would have brought PCK at 5 %" in page["benefit"]
    assert "mean PCK by labelled pictures" in page["model"]
    # Nobody had proposed anything in the first round: its control slice says nothing of a model.
    assert "From the 1 control picture that it proposed for" in page["control"]
    assert "mean PCK of the model in service" in page["control"]
