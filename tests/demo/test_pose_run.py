"""The demonstration of the device loop, as small as it can be, and its parts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from agir_cvtoolkit.captures import PublishedModel
from agir_cvtoolkit.cli import demo_pose as shown
from agir_cvtoolkit.cli._main import main
from agir_cvtoolkit.demo.pose_device import fetch_model, send
from agir_cvtoolkit.demo.pose_judging import Point, draw_curve, draw_poses, judged
from agir_cvtoolkit.demo.pose_pictures import AnimalPictures, drawn_animals
from agir_cvtoolkit.demo.pose_run import PoseDemoResult, demo_pose
from agir_cvtoolkit.errors import CheckpointError, DataError, NoRunError, UsageError
from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.sandbox.oracle import OracleReport
from agir_cvtoolkit.stages import Call, _retrain_publish
from agir_cvtoolkit.stages.firebase_status import firebase_status
from agir_cvtoolkit.training.pose_scores import PoseScores
from tests.stages.retraining import with_small_encoder

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> AnimalPictures:
    return drawn_animals(tmp_path_factory.mktemp("animals"), 8, seed=1)


def _seen(pose: Pose, away: float, confidence: float) -> Pose:
    points = {name: Keypoint(p.x + away, p.y, "visible", confidence) for name, p in pose.there.items()}
    return Pose(points, pose.box)


@pytest.mark.integration
def test_the_device_loop_closes_and_leaves_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightning")
    # What is learned in two steps is worth nothing; that it goes round is what is tested.
    with_small_encoder(monkeypatch.setattr)
    monkeypatch.setattr(_retrain_publish, "_onnx", lambda checkpoint, target: target.write_bytes(b"onnx"))
    lines: list[str] = []
    result = demo_pose(tmp_path / "out", count=16, steps=2, tell=lines.append)

    assert (result.animals, result.held_out) == (16, 4)
    assert [point.round for point in result.points] == [0, 1]
    assert [point.corrections for point in result.points] == [0, result.corrections]
    assert result.corrections == result.oracle.frames == 8
    assert all(0 <= point.scores.pck[0.05] <= 1 for point in result.points)
    assert result.points[1].promoted or result.points[1].refused is not None
    assert Image.open(result.sheet).width > 1000
    assert Image.open(result.curve).width == 900
    status = firebase_status(Call(config=str(result.folder / "conf"))).store
    assert status is not None
    assert status.captures.by_status == {"completed": 8}
    assert status.corrections_since_training == 0
    assert status.model is not None
    assert status.last_trigger is not None
    assert set(status.model.files) >= {"pth", "card", "onnx"}
    assert any("trigger" in line for line in lines)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no demonstration"):
        demo_pose(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_too_few_animals_for_the_rounds_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few for 5 rounds"):
        demo_pose(tmp_path / "out", count=16, rounds=5)


def test_a_device_sends_what_it_is_not_sure_of_with_its_confidence(
    tmp_path: Path, animals: AnimalPictures
) -> None:
    call = Call(overrides=("firebase.store=embedded", f"firebase.embedded_dir={tmp_path / 'store'}"))
    pool = animals.pool[:3]
    poses = {one.picture_id: _seen(one.truth, 5, 0.4 + 0.25 * n) for n, one in enumerate(pool)}
    sent = send("phone", pool, poses, NOW, tmp_path / "phone", call)
    assert (sent.submitted, sent.sure) == (1, 2)
    store = EmbeddedStore(tmp_path / "store")
    capture = store.get([pool[0].picture_id])[pool[0].picture_id]
    store.close()
    assert (capture.device_id, capture.taken) == ("phone", NOW)
    assert capture.confidence == pytest.approx(0.4)
    nose, truth = capture.poses[0].at("nose"), pool[0].truth.at("nose")
    if truth.is_there:
        assert (nose.x, nose.y) == (truth.x + 5, truth.y)


def test_a_device_takes_no_model_that_is_not_what_it_should_be(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store")
    with pytest.raises(NoRunError, match="no model is published"):
        fetch_model(store, tmp_path / "phone")
    (tmp_path / "best.pth").write_bytes(b"weights")
    model = store.publish(PublishedModel("v1", "dog24", NOW), {"pth": tmp_path / "best.pth"})
    store.file(model.files["pth"]).write_bytes(b"others")
    with pytest.raises(CheckpointError, match="not what model v1 tells"):
        fetch_model(store, tmp_path / "phone")
    store.close()


def test_held_out_animals_are_judged_against_the_truth(animals: AnimalPictures) -> None:
    exact = {one.picture_id: one.truth for one in animals.held_out}
    assert judged(exact, animals).pck[0.05] == 1.0
    far = {one.picture_id: _seen(one.truth, 1000, 0.9) for one in animals.held_out}
    assert judged(far, animals).pck[0.1] == 0.0


def test_curve_and_sheet_are_drawn(tmp_path: Path, animals: AnimalPictures) -> None:
    scores = [PoseScores({0.05: value, 0.1: value + 0.1}, 0.5, 0.5) for value in (0.2, 0.6)]
    points = [Point(n, n * 6, f"v{n}", one, True) for n, one in enumerate(scores)]
    assert Image.open(draw_curve(points, tmp_path / "curve.png", 2)).width == 900
    drawn = (tmp_path / "curve.png").read_bytes()
    refused = [points[0], replace(points[1], promoted=False, refused=scores[1])]
    assert draw_curve(refused, tmp_path / "curve.png", 2).read_bytes() != drawn
    everything = (*animals.pool, *animals.held_out)
    before = {one.picture_id: _seen(one.truth, 30, 0.5) for one in everything}
    after = {one.picture_id: _seen(one.truth, 3, 0.5) for one in everything}
    corrected = {one.picture_id: one.truth for one in animals.pool[:1]}
    path = draw_poses(animals, before, corrected, after, tmp_path / "sheet.png", "footer")
    assert Image.open(path).height > 3 * 300


def test_what_the_demonstration_showed_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Point(0, 0, "aaaa", PoseScores({0.05: 0.2, 0.1: 0.3}, 0.5, math.nan), True)
    last = Point(1, 28, "bbbb", PoseScores({0.05: 0.6, 0.1: 0.8}, 0.5, 0.5), False, first.scores)
    result = PoseDemoResult(
        tmp_path, 160, 40, "dog24", (first, last), OracleReport(), 28, tmp_path / "c", tmp_path / "s", 61.0
    )
    shown._show(result)
    printed = capsys.readouterr().out
    assert "40 animals that nobody was shown" in printed
    assert "PCK@5% before 0.200, after 0.600 (+0.400); 28 animals were corrected." in printed
    assert "(stays: the new one, PCK@5% 0.200, is not proved better)" in printed


def test_a_dry_run_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo-pose", "--dry-run"])
    assert result.exit_code == 0
    assert "drawn pictures" in result.output
    assert list(tmp_path.iterdir()) == []
