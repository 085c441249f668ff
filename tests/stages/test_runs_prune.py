"""``runs prune`` removes what can be had again, and nothing that something else stands on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import ConfigError, NoRunError, UsageError
from agir_cvtoolkit.ledger import Ledger, Pull, PushedTask, PushKey
from agir_cvtoolkit.runs import Run, list_runs, make_current, start_run
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._prunable import old_runs
from agir_cvtoolkit.stages.runs_prune import PruneResult, runs_prune

DAY = 86400


@pytest.fixture
def out_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with Ledger.open(None, tmp_path / "outputs" / "runs"):
        pass
    return tmp_path / "outputs" / "runs"


def write(path: Path, content: bytes = b"x" * 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def predicted(out_root: Path, name: str) -> Run:
    """Return a run in which every stage has an earlier pass."""
    run = start_run(out_root, name)
    for stage in ("query", "infer-seg", "preprocess", "train"):
        run.finish(run.begin(stage, "f", ()))
        write(run.path("history", stage, "1", "file"))
    for folder in ("images", "masks", "cutouts", "colorized_masks"):
        write(run.path(folder, "a.png"))
    return run


def aged(run: Run, days: int = 100) -> Run:
    at = time.time() - days * DAY
    for path in run.root.rglob("*"):
        os.utime(path, (at, at), follow_symlinks=False)
    return run


def pushed(out_root: Path, run: Run, *, done: bool = True) -> None:
    with Ledger.open(None, out_root) as ledger:
        push_id = ledger.open_push(PushKey("http://s", 1, None, run.run_id, "segmentations"), run.run_id)
        task = PushedTask(push_id, 1, "t", run.run_id, "planned", None, None)
        ledger.plan_task(task)
        if done:
            ledger.task_done(task, {}, [])


def paths(result: PruneResult) -> set[str]:
    return {part.path for part in result.parts}


def test_earlier_passes_and_renderings_go_and_models_pictures_and_masks_stay(out_root: Path) -> None:
    run = predicted(out_root, "a")
    expected = {
        "a/history/query/1",
        "a/history/infer-seg/1",
        "a/history/preprocess/1",
        "a/cutouts",
        "a/colorized_masks",
    }
    planned = runs_prune(Call(dry_run=True))
    assert paths(planned) == expected
    assert planned.bytes == 5000
    assert run.path("cutouts", "a.png").is_file()
    assert paths(runs_prune(Call())) == expected
    assert not any((out_root / path).exists() for path in expected)
    for kept in ("images/a.png", "masks/a.png", "history/train/1/file"):
        assert run.path(kept).is_file()
    assert paths(runs_prune(Call())) == set()


def test_only_some_kinds_and_only_one_run(out_root: Path) -> None:
    predicted(out_root, "a")
    predicted(out_root, "b")
    assert paths(runs_prune(Call(dry_run=True), only=["cutouts"])) == {
        f"{run}/{name}" for run in "ab" for name in ("cutouts", "colorized_masks")
    }
    assert {part.run_id for part in runs_prune(Call(dry_run=True, run="b")).parts} == {"b"}
    with pytest.raises(NoRunError):
        runs_prune(Call(dry_run=True, run="c"))
    with pytest.raises(ConfigError, match="Did you mean 'history'"):
        runs_prune(Call(dry_run=True), only=["histroy"])


def test_originals_of_what_was_pushed_or_pulled_stay(out_root: Path) -> None:
    first, second = predicted(out_root, "a"), predicted(out_root, "b")
    pushed(out_root, first)
    write(second.path("cvat_downloads", "1_x", "frame_map.json"))
    assert not {p for p in paths(runs_prune(Call(dry_run=True))) if "infer-seg" in p}


def test_an_unfinished_push_keeps_all_of_its_run(out_root: Path) -> None:
    pushed(out_root, predicted(out_root, "a"), done=False)
    assert paths(runs_prune(Call(dry_run=True))) == set()


def test_history_stays_while_its_stage_is_not_complete(out_root: Path) -> None:
    run = predicted(out_root, "a")
    run.begin("preprocess", "another", ())
    assert "a/history/preprocess/1" not in paths(runs_prune(Call(dry_run=True)))


def test_temporary_files_go_when_nobody_writes_to_them_any_more(out_root: Path) -> None:
    run = start_run(out_root, "a")
    old = write(run.path("images", ".a.png.0123abcd.tmp"))
    fresh = write(run.path("images", ".b.png.0123abcd.tmp"))
    others = [write(run.path("images", name)) for name in (".c.tmp", "d.0123abcd.tmp")]
    for path in (old, *others):
        os.utime(path, (1, 1))
    assert paths(runs_prune(Call())) == {"a/images/.a.png.0123abcd.tmp"}
    assert not old.exists()
    assert all(path.exists() for path in (fresh, *others))


def test_whole_runs_go_by_age_and_only_when_asked(out_root: Path) -> None:
    aged(predicted(out_root, "old"))
    predicted(out_root, "new")
    assert "old" not in paths(runs_prune(Call(dry_run=True)))
    assert "old" not in paths(runs_prune(Call(dry_run=True), older_than="101d"))
    result = runs_prune(Call(), older_than="90d", only=["run"])
    assert paths(result) == {"old"}
    assert list_runs(out_root) == ["new"]
    assert sorted(p.name for p in out_root.iterdir()) == ["current", "new"]
    with Ledger.open(None, out_root) as ledger:
        assert ledger.removed_runs() == {"old"}


def test_a_run_that_something_stands_on_is_kept_and_named(out_root: Path) -> None:
    runs = {
        name: predicted(out_root, name)
        for name in ("current", "champion", "corrected", "pulled", "pushed")
        if name != "current"
    }
    now = predicted(out_root, "now")
    pushed(out_root, runs["pushed"])
    write(runs["corrected"].path("cvat_downloads", "1_x", "frame_map.json"))
    with Ledger.open(None, out_root) as ledger:
        pull = Pull("http://s", "pulled", 1, 2, "2026", "completed", "acceptance", 1, 1, "cvat_downloads/1_x")
        ledger.record_pull(pull, {})
        ledger.record_model("v1", "/elsewhere/best.pth", "m", "champion", {})
        ledger.promote("v1")
        ledger.record_model("v2", "/elsewhere/best.pth", "m", None, {})
        ledger.promote("v2")
    for run in (*runs.values(), now):
        aged(run)
    make_current(now, out_root)
    result = runs_prune(Call(dry_run=True), older_than="12w", only=["run"])
    assert paths(result) == set()
    assert {kept.run_id: kept.why for kept in result.kept} == {
        "champion": "its model is or was the champion",
        "corrected": "it holds people's corrections",
        "pulled": "it holds people's corrections",
        "pushed": "its records were pushed",
        "now": "it is the current run",
    }


def test_a_run_that_is_pushed_after_the_first_look_stays(
    out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = aged(predicted(out_root, "old"))
    predicted(out_root, "new")

    def look_then_push(*words: object) -> object:
        found = list(old_runs(*words))  # type: ignore[arg-type]
        pushed(out_root, run)
        return found

    monkeypatch.setattr("agir_cvtoolkit.stages.runs_prune.old_runs", look_then_push)
    result = runs_prune(Call(), older_than="90d", only=["run"])
    assert run.root.is_dir()
    assert paths(result) == set()
    assert [(item.record_id, "its records were pushed" in item.reason) for item in result.items] == [
        ("old", True)
    ]


def test_a_run_that_another_call_is_removing_is_left_to_it(
    out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted(out_root, "new")
    monkeypatch.setattr("agir_cvtoolkit.stages._prunable.list_runs", lambda _: ["gone"])
    assert paths(runs_prune(Call(dry_run=True), older_than="1h", only=["run"])) == set()


def test_without_a_ledger_no_run_goes(out_root: Path) -> None:
    aged(predicted(out_root, "old"))
    predicted(out_root, "new")
    for path in out_root.parent.glob("ledger.db*"):
        path.unlink()
    with pytest.raises(UsageError, match="no ledger"):
        runs_prune(Call(), older_than="90d")
    assert (out_root / "old").is_dir()


def test_a_run_at_work_is_left_and_listed(out_root: Path) -> None:
    run = predicted(out_root, "a")
    held = run.lock("infer-seg")
    with held:
        result = runs_prune(Call(), only=["cutouts"])
    assert result.exit_code == 1
    assert "infer-seg is already running" in result.items[0].reason
    assert run.path("cutouts", "a.png").is_file()


def test_a_removal_that_was_killed_is_brought_to_its_end(out_root: Path) -> None:
    write(out_root / ".removing-0123abcd" / ".state" / "run.json", b"{}")
    predicted(out_root, "a")
    assert list_runs(out_root) == ["a"]
    assert ".removing-0123abcd" in paths(runs_prune(Call(), only=["temporary"]))
    assert not (out_root / ".removing-0123abcd").exists()


@pytest.mark.parametrize("text", ["", "90", "d90", "-1d", "1.5d", "9y"])
def test_no_length_of_time(out_root: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="90d, 12w or 48h"):
        runs_prune(Call(dry_run=True), older_than=text)
