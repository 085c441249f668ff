from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from click.testing import CliRunner

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.config import PoseInference
from agir_cvtoolkit.errors import CheckpointError, ConfigError, NoRunError, UsageError
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.models.checkpoint import save_checkpoint
from agir_cvtoolkit.models.pose_crop import RGB
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.picture_limit import (
    DEFAULT_MEGAPIXELS,
    WHOLE_SAMPLES,
    allow_megapixels,
    allowed_megapixels,
    bits_in_use,
    take_sample_bits,
)
from agir_cvtoolkit.pictures import load_rgb, sha256_of
from agir_cvtoolkit.poses import Pose, joint_doubt, overall_confidence, read_poses
from agir_cvtoolkit.records import Box, Record
from agir_cvtoolkit.runs import Run, open_run, start_run
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._predict_poses import PoseWork, boxes_of, predict_poses
from agir_cvtoolkit.stages._run_joints import kept_schema
from agir_cvtoolkit.stages.build_db import build_db
from agir_cvtoolkit.stages.infer_pose import infer_pose
from agir_cvtoolkit.stages.infer_seg import infer_seg
from agir_cvtoolkit.stages.query import query
from agir_cvtoolkit.stages.runs_list import runs_list
from agir_cvtoolkit.stages.status import status
from tests.models.test_pose_card import _SPEC, CARD
from tests.pose_pictures import SCHEMA, beasts


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    beasts(tmp_path / "pics", 4)
    return tmp_path


def _model(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = build(_SPEC, "pose")
    torch.nn.init.normal_(network.get_parameter("head.out.weight"), std=1500.0)
    save_checkpoint(path, network, CARD)
    return path


def _call(*overrides: str, model: str = "a.pth") -> Call:
    return Call(overrides=(f"pose_inference.model={model}", "pose_inference.device=cpu", *overrides))


def _run() -> Run:
    return open_run(Path("outputs/runs"))


def _states(root: Path) -> dict[str, bytes]:
    names = ("manifest.jsonl", "poses", "images", "plots")
    files = [p for name in names for p in (root / name, *(root / name).rglob("*")) if p.is_file()]
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def test_a_folder_becomes_a_run_with_poses(workspace: Path) -> None:
    _model(workspace / "a.pth")
    result = infer_pose(Path("pics"), _call("pose_inference.output.save_viz=true"))
    assert (result.total, result.predicted, result.exit_code) == (4, 4, 0)
    run = _run()
    assert result.run_id == run.run_id
    entries = run.read_manifest()
    assert [e.record_id for e in entries] == [f"beast{i:02d}" for i in range(4)]
    for entry in entries:
        schema, poses = read_poses(run.inside(entry.pose_path or ""))
        assert schema == "four"
        assert set(poses[0].keypoints) == set(SCHEMA.joints)
        assert entry.uncertainty == pytest.approx(1 - overall_confidence(poses[0]), abs=1e-5)
        assert entry.scores["joints"] == pytest.approx(max(joint_doubt(p) for p in poses), abs=1e-5)
        assert 0 <= entry.scores["peaks"] <= 1
        image = run.inside(entry.image_path or "")
        assert image.read_bytes() == (workspace / "pics" / image.name).read_bytes()
        assert entry.sha256 == sha256_of(image)
        assert entry.mask_path is None
        assert (entry.width, entry.height) == (120, 100)
        assert load_rgb(run.inside(entry.viz_path or "")).shape == (100, 120, 3)
    metrics = run.read_metrics("infer-pose")
    assert metrics["processed"] == 4
    assert metrics["mean_confidence"] == result.mean_confidence
    with Ledger.open(None, Path("outputs/runs")) as ledger:
        assert [e.kind for e in ledger.events_of_record("beast00")] == ["predicted"]


def test_the_same_call_again_changes_nothing_and_another_model_is_a_new_pass(workspace: Path) -> None:
    _model(workspace / "a.pth")
    _model(workspace / "b.pth", 1)
    first = infer_pose(Path("pics"), _call())
    before = _states(_run().root)
    again = infer_pose(Path("pics"), _call())
    assert (again.run_id, again.already_done, again.kept) == (first.run_id, True, 4)
    assert infer_pose(None, _call()).already_done
    assert _states(_run().root) == before
    other = infer_pose(Path("pics"), _call(model="b.pth"))
    assert (other.run_id, other.kept) == (first.run_id, 0)
    assert _run().path("history", "infer-pose", "1", "manifest.jsonl").is_file()
    assert {e.model for e in _run().read_manifest()} == {other.model} != {first.model}


@pytest.mark.parametrize("killed_at", [1, 2, 4])
def test_a_killed_call_continues_to_what_an_undisturbed_one_leaves(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    _model(workspace / "a.pth")
    infer_pose(Path("pics"), _call("project.name=whole"))
    whole = {k: v for k, v in _states(_run().root).items() if k != "manifest.jsonl"}
    entries = [replace(e, inference_time_ms=0) for e in _run().read_manifest()]
    predict, calls = PosePredictor.predict, 0

    def dying(self: PosePredictor, rgbs: Sequence[RGB], boxes: Sequence[Box | None]) -> list[Pose]:
        nonlocal calls
        calls += 1
        if calls == killed_at:
            raise KeyboardInterrupt
        return predict(self, rgbs, boxes)

    with monkeypatch.context() as patched:
        patched.setattr(PosePredictor, "predict", dying)
        with pytest.raises(KeyboardInterrupt):
            infer_pose(Path("pics"), _call("project.name=cut"))
    rest = infer_pose(Path("pics"), _call("project.name=cut"))
    assert (rest.predicted, rest.kept) == (4, killed_at - 1)
    assert {k: v for k, v in _states(_run().root).items() if k != "manifest.jsonl"} == whole
    assert [replace(e, inference_time_ms=0) for e in _run().read_manifest()] == entries


def test_a_pose_file_that_is_gone_is_made_again(workspace: Path) -> None:
    _model(workspace / "a.pth")
    infer_pose(Path("pics"), _call())
    lost = _run().path("poses", "beast02.json")
    content = lost.read_bytes()
    lost.unlink()
    assert infer_pose(Path("pics"), _call()).kept == 3
    assert lost.read_bytes() == content


def test_what_is_no_picture_is_listed_and_the_rest_goes_on(workspace: Path) -> None:
    _model(workspace / "a.pth")
    (workspace / "pics/torn.jpg").write_bytes(b"\xff\xd8\xff")
    result = infer_pose(Path("pics"), _call())
    assert (result.predicted, result.skipped, result.exit_code) == (4, 1, 1)
    assert result.items[0].record_id == "torn"


def test_another_folder_is_another_run_and_a_dry_run_changes_nothing(workspace: Path) -> None:
    _model(workspace / "a.pth")
    beasts(workspace / "others", 1)
    dry = infer_pose(Path("pics"), replace(_call(), dry_run=True))
    assert (dry.run_id, dry.predicted, dry.dry_run) == (None, 4, True)
    assert not (workspace / "outputs").exists()
    first = infer_pose(Path("pics"), _call())
    second = infer_pose(Path("others"), _call())
    assert first.run_id != second.run_id
    with pytest.raises(UsageError, match=rf"run {first.run_id} is of other pictures"):
        infer_pose(Path("others"), replace(_call(), run=first.run_id))
    assert infer_pose(Path("pics"), replace(_call(), run=first.run_id)).already_done
    assert infer_pose(Path("pics"), replace(_call(), run="named/one")).run_id == "named/one"


def test_the_champion_predicts_and_nobody_in_its_place(workspace: Path) -> None:
    call = Call(overrides=("pose_inference.device=cpu",))
    with pytest.raises(UsageError, match="no pose model has been promoted"):
        infer_pose(Path("pics"), call)
    path = _model(workspace / "models/best.pth")
    card = PosePredictor.load(path, "cpu").card
    with Ledger.open(None, Path("outputs/runs")) as ledger:
        ledger.record_model(card.version, str(path), card.name, None, card.to_json_object())
        ledger.promote(card.version)
    assert infer_pose(Path("pics"), call).model == card.identity
    _model(path, 1)
    with pytest.raises(CheckpointError, match=f"but model {card.version} was promoted"):
        infer_pose(Path("pics"), call)
    path.unlink()
    with pytest.raises(CheckpointError, match="is no longer at"):
        infer_pose(Path("pics"), call)
    with pytest.raises(ConfigError, match=r"none\.pth does not exist"):
        infer_pose(Path("pics"), _call(model="none.pth"))


def test_masks_and_poses_do_not_share_a_run(workspace: Path) -> None:
    _model(workspace / "a.pth")
    infer_pose(Path("pics"), _call())
    with pytest.raises(UsageError, match="holds poses of infer-pose"):
        infer_seg(Call())
    run = start_run(Path("outputs/runs"), "seg")
    run.begin("infer-seg", "x", ())
    (run.root / "query").mkdir()
    with pytest.raises(NoRunError, match="no query result"):
        infer_pose(None, _call())
    with pytest.raises(UsageError, match="holds masks of infer-seg"):
        infer_pose(Path("pics"), _call("project.name=seg"))


def test_the_records_of_a_query_are_predicted(workspace: Path) -> None:
    _model(workspace / "a.pth")
    build_db(Path("pics"), None, Path("semif.db"), "semif")
    call = _call("db.semif.db_path=semif.db")
    query(db="semif", call=call)
    result = infer_pose(None, call)
    assert (result.total, result.predicted) == (4, 4)
    assert {e.record_id for e in _run().read_manifest()} == {f"beast{i:02d}" for i in range(4)}


def test_every_box_of_a_record_has_a_pose(workspace: Path) -> None:
    path = _model(workspace / "a.pth")
    record = Record(
        "beast00", workspace / "pics/beast00.png", boxes=(Box(0, 0, 100, 100), Box(120, 20, 100, 160)),
        reference_size=(240, 200),
    )  # fmt: skip
    assert boxes_of(record, (120, 100)) == [Box(0, 0, 50, 50), Box(60, 10, 50, 80)]
    run = start_run(Path("outputs/runs"))
    predictor = PosePredictor.load(path, "cpu")
    predict_poses(run, [record], predictor, PoseInference())
    entry = run.read_manifest()[0]
    _, poses = read_poses(run.inside(entry.pose_path or ""))
    assert [pose.box for pose in poses] == boxes_of(record, (120, 100))
    assert entry.uncertainty == pytest.approx(1 - min(overall_confidence(p) for p in poses), abs=1e-5)
    whole = PoseInference.model_validate({"source": {"boxes": False}})
    predict_poses(run, [record], predictor, whole)
    assert len(read_poses(run.inside(run.read_manifest()[0].pose_path or ""))[1]) == 1
    outside = replace(record, boxes=(Box(500, 500, 10, 10),), reference_size=None)
    assert boxes_of(outside, (120, 100)) == [None]
    assert boxes_of(replace(record, crop=Box(0, 0, 10, 10)), (10, 10)) == [None]


def test_the_command_prints_what_it_did(workspace: Path) -> None:
    _model(workspace / "a.pth")
    words = ["infer-pose", "pics", "-o", "pose_inference.model=a.pth", "-o", "pose_inference.device=cpu"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.output
    assert "4 of 4 records predicted with heatmap-efficientnet_lite0@" in shown.stdout
    printed = CliRunner().invoke(main, [*words, "--json"])
    content = json.loads(printed.stdout)
    assert (content["predicted"], content["schema"], content["already_done"]) == (4, "four", True)
    assert CliRunner().invoke(main, ["infer-pose", "nowhere"]).exit_code == 2


def test_a_worker_of_another_process_takes_pictures_as_large_as_this_one(workspace: Path) -> None:
    allow_megapixels(3)
    take_sample_bits(12)
    work = PoseWork(
        start_run(Path("outputs/runs"), "a"), PoseInference(), lambda _: cast("PosePredictor", None)
    )
    allow_megapixels(DEFAULT_MEGAPIXELS)
    take_sample_bits(WHOLE_SAMPLES)
    try:
        work.open(0)
        assert (allowed_megapixels(), bits_in_use()) == (3, 12)
    finally:
        allow_megapixels(DEFAULT_MEGAPIXELS)
        take_sample_bits(WHOLE_SAMPLES)


def test_status_and_runs_know_the_stage(workspace: Path) -> None:
    _model(workspace / "a.pth")
    infer_pose(Path("pics"), _call())
    stages = {stage.stage: stage for stage in status(Call()).stages}
    assert stages["infer-pose"].state == "done"
    assert stages["infer-pose"].figures["processed"] == 4
    assert "infer-seg" not in stages
    assert status(Call()).next_step == "agir-cvtoolkit upload-cvat"
    listed = runs_list(Call()).runs[0]
    assert listed.stages == ("infer-pose",)
    assert listed.records == 4
    start_run(Path("outputs/runs"), "other")
    assert "infer-pose" not in {stage.stage for stage in status(Call()).stages}


def test_the_joints_of_a_model_that_nobody_else_knows_go_with_the_run(workspace: Path) -> None:
    _model(workspace / "a.pth")
    infer_pose(Path("pics"), _call())
    known = kept_schema(_run())
    assert (known and known.name) == read_poses(next(_run().path("poses").glob("*.json")))[0]
