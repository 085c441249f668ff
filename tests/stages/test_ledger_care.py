"""``ledger backup`` and ``ledger check``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from socket import gethostname

import pytest

from agir_cvtoolkit.errors import LedgerError, UsageError
from agir_cvtoolkit.ledger import Ledger, PushedFrame, PushedJob, PushedTask, PushKey
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import start_run
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.ledger_care import LedgerCheck, ledger_backup, ledger_check, ledger_copy
from tests.ledger.conftest import changing


@pytest.fixture
def out_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "runs"


def entry(record_id: str) -> ManifestEntry:
    return ManifestEntry(
        record_id=record_id,
        common_name=None,
        image_path=None,
        mask_path=f"masks/{record_id}.png",
        width=8,
        height=6,
        sha256=None,
        model="m",
        uncertainty=0.5,
        edge_occupancy=0.0,
        inference_time_ms=1.0,
    )


def fill(out_root: Path) -> PushedTask:
    run = start_run(out_root, "run")
    for name in ("masks/MD_1.png", "history/infer-seg/1/masks/MD_[2].png"):
        run.path(name).parent.mkdir(parents=True, exist_ok=True)
        run.path(name).write_bytes(b"x")
    with Ledger.open(None, out_root) as ledger:
        ledger.record_predictions("run", [(entry("MD_1"), "a"), (entry("MD_[2]"), "b")])
        push_id = ledger.open_push(PushKey("http://s", 1, None, "Round1", "segmentations"), "run")
        task = PushedTask(push_id, 1, "Round1 [1]", "run", "planned", None, None)
        ledger.plan_task(task)
        ledger.task_created(task, 5, "http://s/tasks/5")
        ledger.task_filled(task, [PushedFrame(push_id, 1, 0, "MD_1", "MD_1.png", "ab", 8, 6, "cd")])
        job = PushedJob(push_id, 1, 51, 0, 0, "2026", "left")
        ledger.task_done(task, {}, [], jobs=[job])
    return task


def execute(out_root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(out_root.parent / "ledger.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def problems(result: LedgerCheck) -> list[str]:
    return [f"{finding.subject}: {finding.problem}" for finding in result.findings]


def test_a_sound_ledger_has_no_findings(out_root: Path) -> None:
    fill(out_root)
    result = ledger_check(Call())
    assert (problems(result), result.exit_code, result.files) == ([], 0, 2)


def test_no_ledger_is_sound(out_root: Path) -> None:
    assert ledger_check(Call()).exit_code == 0
    assert not (out_root.parent / "ledger.db").exists()


def test_rows_without_what_they_belong_to_are_found(out_root: Path) -> None:
    task = fill(out_root)
    execute(
        out_root,
        "DELETE FROM push_frames",
        "UPDATE push_jobs SET state = 'replacing'",
        f"INSERT INTO run_tasks VALUES ('run', '{task.push_id}', 9)",
    )
    result = ledger_check(Call())
    assert problems(result) == [
        "Round1 [1]: a task without frames",
        "job 51: new proposals were not wholly written",
        "table run_tasks: 1 row of tasks that are not known",
    ]
    assert result.exit_code == 4
    assert all(finding.next_step for finding in result.findings)


def test_an_unfinished_upload_is_found(out_root: Path) -> None:
    task = fill(out_root)
    with Ledger.open(None, out_root) as ledger:
        ledger.plan_task(PushedTask(task.push_id, 2, "Round1 [2]", "run", "planned", None, None))
    result = ledger_check(Call())
    assert problems(result) == ["Round1 [2]: an upload that was not finished (planned)"]
    (found,) = result.findings
    assert found.next_step.endswith(
        ": agir-cvtoolkit upload-cvat --run run -o cvat_upload.project_id=1 -o cvat_upload.task_name=Round1"
    )


def test_files_that_are_missing_are_found(out_root: Path) -> None:
    fill(out_root)
    (out_root / "run" / "masks" / "MD_1.png").unlink()
    with Ledger.open(None, out_root) as ledger:
        ledger.record_model("v1", str(out_root.parent / "models" / "v1" / "best.pth"), "m", "run", {})
        ledger.promote("v1")
    found = problems(ledger_check(Call()))
    assert found == [
        "prediction of run run: masks/MD_1.png is missing",
        f"champion of run run: {out_root.parent}/models/v1/best.pth is missing",
    ]


def test_a_run_that_is_missing_is_one_finding_and_one_that_was_pruned_is_none(out_root: Path) -> None:
    fill(out_root)
    (out_root / "run").rename(out_root / "away")
    assert problems(ledger_check(Call())) == ["run run: its folder is missing, with 2 files"]
    with Ledger.open(None, out_root) as ledger:
        ledger.run_removed("run", {})
    assert problems(ledger_check(Call())) == []


def elsewhere(result: LedgerCheck) -> list[str]:
    return [f"{place} ({place.files})" for place in result.elsewhere]


def test_runs_and_models_of_another_machine_are_not_missing(
    out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: "field-station")
        fill(out_root)
        with Ledger.open(None, out_root) as ledger:
            ledger.record_model("v1", "/data/models/best.pth", "m", "run", {})
            ledger.promote("v1")
        (out_root / "run").rename(out_root / "away")
        assert len(ledger_check(Call()).findings) == 2
    result = ledger_check(Call())
    assert (problems(result), result.exit_code, result.files) == ([], 0, 0)
    assert elsewhere(result) == [
        "champion /data/models/best.pth lives on host field-station in /data/models, not checked (1)",
        f"run run lives on host field-station in {out_root}, not checked (2)",
    ]


def test_a_run_that_two_machines_see_is_looked_for_where_its_folder_is(
    out_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: "other")
        fill(out_root)
    (out_root / "run" / "masks" / "MD_1.png").unlink()
    result = ledger_check(Call())
    assert problems(result) == ["prediction of run run: masks/MD_1.png is missing"]
    assert result.files == 2


def test_another_folder_of_this_machine_is_looked_into(out_root: Path, tmp_path: Path) -> None:
    fill(out_root)
    other = Call(("io.out_root=elsewhere/runs", f"io.ledger_url=sqlite:///{out_root.parent}/ledger.db"))
    lives = f"run run lives on host {gethostname()} in {out_root}, not checked (2)"
    assert elsewhere(ledger_check(other)) == [lives]
    (out_root / "run").rename(tmp_path / "away")
    assert problems(ledger_check(other)) == ["run run: its folder is missing, with 2 files"]


def test_of_what_an_earlier_version_recorded_a_shared_ledger_says_nothing(
    out_root: Path, new_schema: Callable[[], str]
) -> None:
    url = new_schema()
    with Ledger.open(url, out_root) as ledger:
        ledger.record_predictions("of-old", [(entry("MD_1"), "a")])
    with changing(url) as connection:
        connection.exec_driver_sql("DELETE FROM run_places")
    result = ledger_check(Call((f"io.ledger_url={url!r}",)))
    assert (problems(result), result.exit_code) == ([], 0)
    assert elsewhere(result) == [
        "run of-old is not here, and an earlier version did not record where it lies, not checked (1)"
    ]


def test_damage_is_found_and_never_backed_up(out_root: Path) -> None:
    fill(out_root)
    file = out_root.parent / "ledger.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    content[8192 : 8192 + 6000] = b"\xff" * 6000
    file.write_bytes(content)
    result = ledger_check(Call())
    assert result.exit_code == 4
    assert result.findings[0].subject.endswith("ledger.db")
    with pytest.raises(LedgerError, match=r"damaged|cannot be copied"):
        ledger_backup(out_root.parent / "copy.db", Call())
    assert sorted(p.name for p in out_root.parent.iterdir() if "copy" in p.name) == []


def test_a_backup_is_whole_while_others_write(out_root: Path) -> None:
    fill(out_root)
    with Ledger.open(None, out_root) as ledger:
        ledger.record_predictions("run", [(entry("MD_3"), "c")])
        done = ledger_backup(None, Call())
    assert done.file.resolve().parent == out_root.parent
    own = {f"ledger.db{end}" for end in ("", "-wal", "-shm")} | {"runs", done.file.name}
    assert {path.name for path in out_root.parent.iterdir()} <= own
    assert done.bytes == done.file.stat().st_size
    with Ledger.open(f"sqlite:///{done.file}", out_root) as copy:
        assert copy.events_of_record("MD_3")


def test_a_backup_never_replaces_a_file(out_root: Path) -> None:
    fill(out_root)
    target = out_root.parent / "copy.db"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="is there already"):
        ledger_backup(target, Call())
    assert target.read_bytes() == b"precious"


def test_a_rehearsed_backup_writes_nothing(out_root: Path) -> None:
    fill(out_root)
    before = sorted(out_root.parent.iterdir())
    assert ledger_backup(None, Call(dry_run=True)).dry_run
    assert sorted(out_root.parent.iterdir()) == before


def test_no_ledger_cannot_be_backed_up(out_root: Path) -> None:
    with pytest.raises(UsageError, match="there is no ledger"):
        ledger_backup(None, Call())
    with pytest.raises(UsageError, match="there is no ledger"):
        ledger_backup(None, Call(dry_run=True))


def test_a_ledger_is_copied_into_an_empty_one(out_root: Path) -> None:
    fill(out_root)
    url = f"sqlite:///{out_root.parent}/elsewhere.db"
    assert ledger_copy(url, Call(dry_run=True)).rows == 0
    assert not (out_root.parent / "elsewhere.db").exists()
    done = ledger_copy(url, Call())
    assert (done.rows > 0, done.target.endswith("elsewhere.db")) == (True, True)
    with Ledger.open(url, out_root) as copy:
        assert copy.events_of_record("MD_1")
    with pytest.raises(UsageError, match="has rows already"):
        ledger_copy(url, Call())
