"""Run folders: whole files or none, one current run, passes with history, one process at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.errors import ConfigError, DataError, NoRunError, UsageError
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import (
    DATA_SET,
    Run,
    atomic_path,
    discard,
    fingerprint,
    list_runs,
    make_current,
    open_run,
    read_json_object,
    start_run,
    write_json,
    write_text,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return start_run(tmp_path / "runs", "demo", "round1")


def entry(record_id: str = "MD_1", uncertainty: float = 0.5) -> ManifestEntry:
    return ManifestEntry(
        record_id=record_id,
        common_name="hairy vetch",
        image_path=None,
        mask_path=None,
        width=8,
        height=6,
        sha256=None,
        model="excess_green",
        uncertainty=uncertainty,
        edge_occupancy=0.0,
        inference_time_ms=1.0,
    )


# --- writing -----------------------------------------------------------------------------------


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "first ü")

    def broken_off() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError("half way")

    with pytest.raises(OSError, match="half way"):
        broken_off()
    assert path.read_text(encoding="utf-8") == "first ü"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.txt'"):
        write_text(tmp_path / "a.txt", "first")


def test_a_long_name_is_written_too(tmp_path: Path) -> None:
    write_text(tmp_path / f"{'x' * 240}.txt", "a")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["{", "[1]", "null", "\ufffd\x00"])
def test_a_damaged_json_file_names_itself(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"metrics\.json"):
        read_json_object(path)
    assert read_json_object(tmp_path / "none.json") == {}


def test_discard_removes_files_folders_and_links_but_not_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("folder", "link", "never there"):
        discard(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_fingerprint_tells_inputs_apart_and_forgets_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert (
        len({fingerprint("a", "b"), fingerprint("ab"), fingerprint(["a", "b"]), fingerprint("b", "a")}) == 4
    )
    assert fingerprint("\ud800")


# --- names and the current run -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subname", "run_id"),
    [
        ("maize", None, "maize"),
        ("maize", "round 1", "maize/round 1"),
        ("Grün & weiß", "5%", "Grün & weiß/5%"),
    ],
)
def test_a_project_names_its_run(tmp_path: Path, name: str, subname: str | None, run_id: str) -> None:
    run = start_run(tmp_path, name, subname)
    assert run.run_id == run_id
    assert open_run(tmp_path).run_id == run_id
    assert open_run(tmp_path, run_id).root == run.root.resolve()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_no_project_name_leads_out_of_the_folder_of_runs(tmp_path: Path, name: str, subname: str) -> None:
    try:
        run = start_run(tmp_path / "runs", name, subname)
    except ConfigError as error:
        assert "current" in {name, subname} or "in the same folder" in error.problem
        return
    assert run.root.resolve().is_relative_to((tmp_path / "runs").resolve())
    assert len(run.run_id.split("/")) == 1 + bool(subname)


def test_a_run_cannot_be_called_current(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="current"):
        start_run(tmp_path, "current")


def test_runs_without_a_name_are_sortable_and_never_the_same(tmp_path: Path) -> None:
    ids = [start_run(tmp_path).run_id for _ in range(4)]
    assert len(set(ids)) == 4
    assert ids == sorted(ids)


def test_the_newest_run_is_the_current_one(tmp_path: Path) -> None:
    first, second = start_run(tmp_path, "a"), start_run(tmp_path, "b", "c")
    assert open_run(tmp_path).run_id == second.run_id
    make_current(first, tmp_path)
    assert open_run(tmp_path).run_id == "a"
    assert open_run(tmp_path, "current").run_id == "a"


def test_a_folder_of_runs_may_be_moved(tmp_path: Path) -> None:
    start_run(tmp_path / "here", "a")
    (tmp_path / "here").rename(tmp_path / "there")
    assert open_run(tmp_path / "there").run_id == "a"


def test_without_a_run_the_query_line_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoRunError, match="agir-cvtoolkit query"):
        open_run(tmp_path / "runs")


def test_a_current_run_that_is_gone_or_elsewhere_is_none(tmp_path: Path) -> None:
    run = start_run(tmp_path / "runs", "a")
    discard(run.root)
    with pytest.raises(NoRunError):
        open_run(tmp_path / "runs")
    (tmp_path / "runs" / "current").unlink()
    (tmp_path / "runs" / "current").symlink_to(tmp_path)
    with pytest.raises(NoRunError, match="no run in"):
        open_run(tmp_path / "runs")


@pytest.mark.parametrize(
    "run_id", ["", ".", "..", "../outside", "/etc", "no such", "nul\x00byte", "x" * 5000]
)
def test_a_run_id_is_no_path_trick(tmp_path: Path, run_id: str) -> None:
    (tmp_path / "outside").mkdir()
    start_run(tmp_path / "runs", "a")
    with pytest.raises(NoRunError, match="does not exist"):
        open_run(tmp_path / "runs", run_id)


def test_something_in_the_way_of_runs_or_of_current_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        start_run(tmp_path / "file" / "runs", "a")
    (tmp_path / "runs" / "current" / "x").mkdir(parents=True)
    with pytest.raises(ConfigError, match="in the way"):
        start_run(tmp_path / "runs", "a")
    assert not list((tmp_path / "runs").glob(".current*"))


def test_runs_are_listed_once_current_left_out(tmp_path: Path) -> None:
    for name, subname in (("b", None), ("a", "x"), ("a", "y")):
        start_run(tmp_path, name, subname).begin("query", "f", ())
    assert list_runs(tmp_path) == ["a/x", "a/y", "b"]
    assert list_runs(tmp_path / "none") == []


@pytest.mark.parametrize("relative", ["../x", "/etc/passwd", "images/../../x", "link/x", "nul\x00"])
def test_a_path_of_a_manifest_does_not_lead_out(run: Run, tmp_path: Path, relative: str) -> None:
    (run.root / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leads out of run"):
        run.inside(relative)
    assert run.inside("images/a.jpg") == run.root.resolve() / "images" / "a.jpg"


# --- manifest ----------------------------------------------------------------------------------


def test_the_last_line_of_a_record_wins_and_order_is_kept(run: Run) -> None:
    for record_id, uncertainty in (("a", 0.1), ("b", 0.2), ("a", 0.3), ("ü\ud800\u2028", 0.4)):
        run.append_manifest(entry(record_id, uncertainty))
    assert [(e.record_id, e.uncertainty) for e in run.read_manifest()] == [
        ("a", 0.3),
        ("b", 0.2),
        ("ü\ud800\u2028", 0.4),
    ]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_dropped_and_written_over(run: Run, cut: int) -> None:
    run.append_manifest(entry("a"))
    whole = run.manifest_path.read_bytes()
    torn = (entry("ü" * 40).to_json()).encode()[:-cut]
    run.manifest_path.write_bytes(whole + torn)
    assert [e.record_id for e in run.read_manifest()] == ["a"]


def test_a_torn_line_costs_nobody_else_theirs(run: Run) -> None:
    run.append_manifest(entry("a"))
    whole = run.manifest_path.read_bytes()
    run.manifest_path.write_bytes(whole + whole[:25])
    run.append_manifest(entry("b"))
    assert [e.record_id for e in run.read_manifest()] == ["a", "b"]


def test_a_damaged_line_in_the_middle_is_named(run: Run) -> None:
    run.append_manifest(entry("a"))
    line = run.manifest_path.read_bytes()
    run.manifest_path.write_bytes(line + b'{"record_id": 5, "broken": true}\n' + line)
    with pytest.raises(DataError, match=r"manifest\.jsonl line 2"):
        run.read_manifest()


def test_no_manifest_says_which_command_makes_one(run: Run) -> None:
    with pytest.raises(NoRunError, match="infer-seg"):
        run.read_manifest()


# --- passes ------------------------------------------------------------------------------------


def test_a_pass_is_new_continued_done_or_replaced(run: Run) -> None:
    first = run.begin("infer-seg", "f1", ("masks", "manifest.jsonl"))
    assert (first.state, first.number) == ("new", 1)
    assert run.has_begun("infer-seg")
    assert not run.is_done("infer-seg")
    assert run.begin("infer-seg", "f1", ()).state == "continued"
    run.finish(first)
    assert run.is_done("infer-seg")
    assert run.begin("infer-seg", "f1", ()).state == "done"
    run.reopen(first)
    assert run.begin("infer-seg", "f1", ()).state == "continued"
    run.finish(first)

    write_text(run.path("masks", "a.png"), "mask")
    write_text(run.path("manifest.jsonl"), "line")
    write_text(run.path("query", "query.csv"), "kept")
    second = run.begin("infer-seg", "f2", ("masks", "manifest.jsonl", "never"))
    assert (second.state, second.number) == ("replaced", 2)
    assert not run.path("masks").exists()
    assert run.path("history", "infer-seg", "1", "masks", "a.png").read_text() == "mask"
    assert run.path("history", "infer-seg", "1", "manifest.jsonl").read_text() == "line"
    assert run.path("query", "query.csv").is_file()
    third = run.begin("infer-seg", "f3", ("masks",))
    assert (third.state, third.number) == ("new", 3)


def test_stages_do_not_disturb_each_other(run: Run) -> None:
    run.finish(run.begin("query", "q", ("query",)))
    assert run.begin("infer-seg", "q", ()).state == "new"
    assert run.is_done("query")
    run.mark_done("upload-cvat", "u")
    assert run.is_done("upload-cvat")
    assert not run.has_begun("train")


_HOLDER = """
import sys, time
from pathlib import Path
from agir_cvtoolkit.runs import Run
with Run("r", Path(sys.argv[1])).lock("train"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.integration
def test_no_two_processes_work_on_one_stage(run: Run) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(run.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="train is already running on run demo/round1"):
            with run.lock("train"):
                pass
        with run.lock("query"):
            pass
    finally:
        holder.kill()
        holder.communicate(timeout=300)
    with run.lock("train"):
        pass


@pytest.mark.integration
def test_what_a_killed_call_was_writing_goes_unless_another_call_may_be_writing_it(run: Run) -> None:
    left = run.path("cvat_downloads", "7", ".frame_map.json.0356b344.tmp")
    like = run.path("query", ".mine.tmp")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(run.root)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for path in (left, like):
            path.parent.mkdir(parents=True)
            path.write_text("{")
        with run.lock("download-cvat"):
            assert left.exists()
    finally:
        holder.kill()
        holder.communicate(timeout=300)
    with run.lock("download-cvat"):
        assert not left.exists()
        assert like.exists()
        left.write_text("{")  # as a worker does that is killed with the call
    assert not left.exists()


# --- metrics and configuration -----------------------------------------------------------------


def test_metrics_have_the_newest_stage_on_top_and_one_object_per_stage(run: Run) -> None:
    seed = {"total_records": 100, "uploaded_annotations": 98, "skipped": 1, "failed": 1}
    run.write_metrics("infer-seg", {"total_records": 100, "processed": 100})
    run.write_metrics("upload-cvat", seed | {"task_id": 54321, "task_url": "https://app.cvat.ai/tasks/54321"})
    content = json.loads(run.path("metrics.json").read_text())
    assert {key: content[key] for key in (*seed, "task_id")} == seed | {"task_id": 54321}
    assert content["upload-cvat"]["uploaded_annotations"] == 98
    assert content["infer-seg"]["processed"] == 100
    assert "processed" not in content
    assert run.read_metrics("infer-seg")["processed"] == 100
    assert run.read_metrics("train") == {}


def test_metrics_keep_a_list_of_earlier_passes(run: Run) -> None:
    for number, iou in ((1, 0.7), (1, 0.75), (2, 0.8), (3, 0.9)):
        run.write_metrics("train", {"iou": iou}, number=number)
    content = json.loads(run.path("metrics.json").read_text())
    assert [m["iou"] for m in content["history"]["train"]] == [0.75, 0.8]
    assert content["train"]["iou"] == content["iou"] == 0.9


def test_the_configuration_of_a_stage_says_how_it_ran(run: Run) -> None:
    run.write_config("query", {"io": {"out_root": "ü"}}, ("agir-cvtoolkit", "query", "--limit", "5"))
    content = yaml.safe_load(run.path("cfg.query.yaml").read_text(encoding="utf-8"))
    assert content["io"] == {"out_root": "ü"}
    assert content["runtime"]["command_line"] == ["agir-cvtoolkit", "query", "--limit", "5"]
    assert {"stage", "run_id", "version", "git_commit", "host", "created"} <= set(content["runtime"])


def test_write_json_takes_paths(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"path": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text())["path"] == str(tmp_path)


def test_no_run_lies_inside_another(tmp_path: Path) -> None:
    start_run(tmp_path, "a")
    start_run(tmp_path, "b", "c")
    with pytest.raises(ConfigError, match="same folder as run"):
        start_run(tmp_path, "a", "images")
    with pytest.raises(ConfigError, match="same folder as run"):
        start_run(tmp_path, "b")
    assert start_run(tmp_path, "b", "d").run_id == "b/d"


def test_folders_of_a_run_are_no_runs(tmp_path: Path) -> None:
    run = start_run(tmp_path, "a")
    (run.root / "dataset" / ".state").mkdir(parents=True)
    (run.root / "dataset" / ".state" / "x.json").write_text("{}")
    assert list_runs(tmp_path) == ["a"]
    for inside in ("a/dataset", "a/.state"):
        with pytest.raises(NoRunError):
            open_run(tmp_path, inside)


def test_who_holds_the_data_set_may_hold_it_again_and_nobody_else(tmp_path: Path) -> None:
    run = start_run(tmp_path, "a")
    code = (
        "import sys; from pathlib import Path; from agir_cvtoolkit.runs import DATA_SET, open_run\n"
        "from agir_cvtoolkit.errors import UsageError\n"
        "try:\n"
        "    with open_run(Path(sys.argv[1])).lock(DATA_SET): print('held')\n"
        "except UsageError as error: print(error.problem)\n"
    )
    with run.lock(DATA_SET), run.lock(DATA_SET):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
    assert "in use by another preprocess or train" in done.stdout
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "held"
