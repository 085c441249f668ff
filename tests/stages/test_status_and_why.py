"""``status`` and ``why``: read out, change nothing."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest

from agir_cvtoolkit import Call, status, why
from agir_cvtoolkit.config import load_settings
from agir_cvtoolkit.errors import NoRunError, UsageError
from agir_cvtoolkit.ledger import Ledger, Pull, PushedFrame, PushedTask, PushKey, SelectionRow
from agir_cvtoolkit.records import ManifestEntry, file_stem
from agir_cvtoolkit.runs import start_run
from agir_cvtoolkit.stages.status import LoopStatus, _next_of_loops

ROOT = Path("outputs/runs")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_empty_workspace_says_how_to_begin() -> None:
    found = status()
    assert (found.run_id, found.runs, found.stages, found.tasks, found.models) == (None, (), (), (), ())
    assert found.next_step.startswith("agir-cvtoolkit query")
    assert "infer-seg pictures/" in found.next_step
    assert not Path("outputs").exists()


def test_stages_are_done_started_or_open_with_their_figures() -> None:
    run = start_run(ROOT, "a")
    run.finish(run.begin("query", "f", ()))
    run.write_metrics("query", {"count": 12, "other": 1})
    run.begin("infer-seg", "f", ())
    found = status()
    states = {s.stage: (s.state, s.figures) for s in found.stages}
    assert states["query"] == ("done", {"count": 12})
    assert states["infer-seg"] == ("started", {})
    assert states["train"] == ("-", {})
    assert found.next_step == "agir-cvtoolkit infer-seg"


def test_what_the_reader_of_a_score_must_know_is_among_the_figures() -> None:
    run = start_run(ROOT, "a")
    run.write_metrics("preprocess", {"pairs": 1, "warning": ""})
    run.write_metrics("train", {"best_val_iou": 0.9, "warning": "train and val are the same pictures"})
    figures = {stage.stage: stage.figures for stage in status().stages}
    assert figures["preprocess"] == {"pairs": 1}
    assert figures["train"]["warning"] == "train and val are the same pictures"


def test_after_all_stages_the_next_round_is_proposed() -> None:
    run = start_run(ROOT, "a")
    for stage in status().stages:
        run.finish(run.begin(stage.stage, "f", ()))
    assert "ckpt_path=outputs/runs/a/model/best.pth" in status().next_step


def test_a_second_round_begins_with_the_new_prediction() -> None:
    run = start_run(ROOT, "a")
    for stage in status().stages:
        run.finish(run.begin(stage.stage, "f", ()))
    time.sleep(0.002)
    run.finish(run.begin("infer-seg", "g", ()))
    found = status()
    assert {s.stage: s.state for s in found.stages} == {
        "query": "done",
        "infer-seg": "done",
        "upload-cvat": "earlier",
        "download-cvat": "earlier",
        "preprocess": "earlier",
        "train": "earlier",
    }
    assert found.next_step == "agir-cvtoolkit upload-cvat"


@pytest.mark.parametrize(
    "name", ["Round1", "Round 1, barley's", "12", 'a "b"', "null", "Ümlaut (2)", "end\\", "a$b"]
)
def test_an_interrupted_upload_is_proposed_again_as_it_was(name: str) -> None:
    run = start_run(ROOT, "a")
    run.finish(run.begin("infer-seg", "g", ()))
    key = PushKey("http://s", 7, None, name, "detections")
    with Ledger.open(None, ROOT) as ledger:
        task = PushedTask(ledger.open_push(key, "a"), 0, f"{name} [1]", "a", "planned", None, None)
        ledger.plan_task(task)
        found = shlex.split(status().next_step)
        assert found[:2] == ["agir-cvtoolkit", "upload-cvat"]
        upload = load_settings(overrides=tuple(found[3::2])).cvat_upload
        assert (upload.task_name, upload.project_id, upload.source.type) == (name, 7, "detections")
        assert "--run a" in status(Call(run="a")).next_step
        ledger.task_created(task, 41, "http://s/tasks/41")
        ledger.task_filled(task, [])
        assert "task_name" in status().next_step
        ledger.task_done(task, {})
    assert status().next_step == "agir-cvtoolkit upload-cvat"


def test_new_proposals_go_into_the_tasks_of_the_earlier_ones() -> None:
    run = start_run(ROOT, "a")
    push_id = "none"
    for name, expected in (
        ("a", "agir-cvtoolkit upload-cvat"),
        ("B", "agir-cvtoolkit upload-cvat -o cvat_upload.task_name=B"),
    ):
        with Ledger.open(None, ROOT) as ledger:
            push_id = ledger.open_push(PushKey("http://s", None, None, name, "segmentations"), "a")
        run.write_metrics("upload-cvat", {"push_id": push_id})
        run.mark_done("upload-cvat", push_id)
        time.sleep(0.002)
        run.finish(run.begin("infer-seg", name, ()))
        assert status().next_step == expected


def test_another_run_may_be_asked_for() -> None:
    for name in ("a", "b"):
        start_run(ROOT, name).begin("query", "f", ())
    assert status().run_id == "b"
    assert status(Call(run="a")).run_id == "a"
    assert status().runs == ("a", "b")
    with pytest.raises(NoRunError, match="Known runs: a, b"):
        status(Call(run="c"))


def entry(record_id: str) -> ManifestEntry:
    return ManifestEntry(record_id, None, None, None, 8, 6, "ab" * 32, "excess_green", 0.5, 0.0, 1.0)


def fill() -> None:
    with Ledger.open(None, ROOT) as ledger:
        ledger.record_predictions("a", [(entry("MD_1"), None)])
        push = ledger.open_push(PushKey("http://s", 7, None, "Round1", "segmentations"), "a")
        task = PushedTask(push, 0, "Round1", "a", "planned", None, None)
        ledger.plan_task(task)
        ledger.task_created(task, 41, "http://s/tasks/41")
        ledger.task_filled(task, [PushedFrame(push, 0, 0, "MD_1", "MD_1.jpg", "ab" * 32, 8, 6, "hash")])
        ledger.task_done(task, {0: 1}, [])
        pull = Pull("http://s", "a", 41, 5, "2026-01-01", "completed", "annotation", 1, 1, "x")
        ledger.record_pull(pull, {"MD_1": 1})
        ledger.record_model("v1", "/m/best.pth", "unet", "a", {})
        ledger.promote("v1")


def test_tasks_and_models_are_read_from_the_ledger() -> None:
    start_run(ROOT, "a")
    fill()
    found = status()
    (task,) = found.tasks
    assert (task.task_id, task.state, task.records, task.pulled_jobs) == (41, "done", 1, 1)
    assert task.url == "http://s/tasks/41"
    assert [(m.version, m.is_champion) for m in found.models] == [("v1", True)]


def test_why_tells_the_life_of_a_record() -> None:
    fill()
    life = why("MD_1")
    assert life.record_id == "MD_1"
    assert [event.kind for event in life.events] == ["predicted", "pushed", "pulled"]


def test_why_leaves_out_batches_that_were_replaced_before_they_were_sent() -> None:
    def chosen(batch: int, unit_id: str = "MD_9") -> SelectionRow:
        return SelectionRow("a", batch, unit_id, "MD_9", None, False, 1, 0.15245, "random", "r", 0, "m")

    fill()
    with Ledger.open(None, ROOT) as ledger:
        for batch in (1, 2, 3):
            ledger.record_selection("a", batch, [chosen(batch), chosen(batch, "MD_9@0,0,8x8")])
    told = [event.detail for event in why("MD_9").events if event.kind == "selected"]
    assert [(one["batch"], one.get("region")) for one in told] == [(3, None), (3, "0,0,8x8")]


def test_why_suggests_records_that_are_known() -> None:
    fill()
    with pytest.raises(UsageError, match="Known: MD_1"):
        why("MD_")
    with pytest.raises(UsageError, match="has not been predicted"):
        why("else")


@pytest.mark.parametrize("url", ["null", "sqlite:///elsewhere/l.db"])
def test_in_an_empty_folder_nothing_is_known_and_nothing_is_made(tmp_path: Path, url: str) -> None:
    call = Call(overrides=(f"io.ledger_url={url}",))
    with pytest.raises(UsageError, match="nothing is known of record 'MD_1'"):
        why("MD_1", call)
    assert status(call).tasks == ()
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_a_transfer_goes_to_cvat_and_comes_back_by_the_return() -> None:
    run = start_run(ROOT, "transfer-1")
    run.path("transfer").mkdir()
    run.path("transfer", "plan.json").write_text("{}")
    begun = status()
    assert [(s.stage, s.state) for s in begun.stages] == [
        ("firebase-transfer", "started"),
        ("upload-cvat", "-"),
        ("download-cvat", "-"),
    ]
    assert begun.next_step == "agir-cvtoolkit firebase transfer"
    run.write_metrics("firebase-transfer", {"transferred": 4, "failed": 1, "tasks": []})
    run.mark_done("firebase-transfer", "owner")
    done = status()
    assert (done.stages[0].state, done.stages[0].figures) == ("done", {"transferred": 4, "failed": 1})
    assert done.next_step == "agir-cvtoolkit upload-cvat"
    run.mark_done("upload-cvat", "push")
    assert status().next_step.endswith("agir-cvtoolkit firebase return --trigger-retraining")
    run.manifest_path.write_text("")  # undone: its captures wait again
    assert status().next_step == "agir-cvtoolkit firebase transfer"


def test_why_takes_the_id_of_a_capture() -> None:
    with Ledger.open(None, ROOT) as ledger:
        ledger.record_transfers("r", {file_stem("a/1"): {"capture": "a/1"}})
    assert why("a/1").record_id == file_stem("a/1")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("opened", "agir-cvtoolkit loop barley"),
        ("in_annotation", "complete the jobs"),
        ("rejected", "agir-cvtoolkit report --loop barley"),
    ],
)
def test_a_loop_says_what_follows_where_there_is_no_run(state: str, said: str) -> None:
    assert said in _next_of_loops((LoopStatus("barley", 1, state, ""),))
