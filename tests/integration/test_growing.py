"""One growing data set over many tasks: no picture twice under one name, one frame map over all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import UploadResult, upload_cvat

from .annotator import Wire
from .plants import draw
from .workspace import Json, Workspace

pytestmark = pytest.mark.integration

NAME = "Barley, all of it"


def push(*overrides: str, dry_run: bool = False) -> UploadResult:
    return upload_cvat(Call(overrides=(f"cvat_upload.task_name='{NAME}'", *overrides), dry_run=dry_run))


def frame_map(workspace: Workspace) -> dict[str, Json]:
    path = workspace.run / "cvat_uploads" / file_stem(NAME) / "frame_map.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({line["record_id"] for line in lines}) == len(lines)
    return {line["record_id"]: line for line in lines}


def names(workspace: Workspace) -> list[list[str]]:
    tasks = sorted(int(task["id"]) for task in workspace.tasks())
    return [[frame["name"] for frame in workspace.frames(task)] for task in tasks]


def twin(workspace: Workspace, image_id: str, of: str) -> None:
    """Add a picture under another id that is byte for byte another one."""
    workspace.add(image_id, workspace.plots[of], number=int(of.rpartition("_")[2]))
    pictures = workspace.root / "pictures" / "images"
    (pictures / f"{image_id}.png").write_bytes((pictures / f"{of}.png").read_bytes())


def test_it_grows_by_tasks_and_keeps_one_frame_map(empty: Workspace) -> None:
    empty.fill(2)
    empty.predicted()
    assert push("cvat_upload.images_per_task=2").added == 2
    for number in (3, 4, 5):
        empty.add(f"img_{number}", draw(number))
    empty.database()
    empty.predicted()
    result = push("cvat_upload.images_per_task=2")
    assert (result.added, result.already_there, result.uploaded_annotations) == (3, 2, 5)
    assert names(empty) == [["img_0.png", "img_1.png"], ["img_3.png", "img_4.png"], ["img_5.png"]]
    lines = frame_map(empty)
    assert sorted(lines) == ["img_0", "img_1", "img_3", "img_4", "img_5"]
    for record_id, line in lines.items():
        assert line["file_name"] == empty.frames(line["task_id"])[line["frame"]]["name"]
        assert line["file_name"] == f"{record_id}.png"
        assert line["sha256"] == sha256_of(empty.root / "pictures" / "images" / f"{record_id}.png")
        (job,) = empty.jobs(line["task_id"])
        page = f"{empty.sandbox.url}/tasks/{line['task_id']}/jobs/{job['id']}?frame={line['frame']}"
        assert (line["url"], line["alias_of"]) == (page, None)


def test_the_frame_map_is_written_only_where_it_differs(predicted: Workspace) -> None:
    push()
    path = predicted.run / "cvat_uploads" / file_stem(NAME) / "frame_map.jsonl"
    before = path.stat().st_mtime_ns
    push()
    assert path.stat().st_mtime_ns == before
    path.unlink()
    push()
    assert len(frame_map(predicted)) == 3


def test_a_picture_is_sent_once_whatever_it_is_called(empty: Workspace) -> None:
    """Twice in a batch, from another run, and under another id later."""
    empty.fill(2)
    twin(empty, "img_8", "img_0")
    empty.database()
    empty.predicted()
    planned = push(dry_run=True)
    first = push()
    assert (first.added, first.same_picture, first.uploaded_annotations) == (2, 1, 3)
    assert planned.same_pictures == first.same_pictures
    assert (planned.added, planned.same_picture) == (2, 1)
    assert [(one.record_id, one.picture_of) for one in first.same_pictures] == [("img_8", "img_0")]
    assert first.exit_code == 0
    assert names(empty) == [["img_0.png", "img_1.png"]]
    before = empty.state()

    empty.rows = [row for row in empty.rows if row["image_id"] == "img_8"]
    twin(empty, "img_9", "img_1")
    empty.database()
    empty.cli("query", "-o", "project.name=second")
    empty.cli("infer-seg", "-o", "seg_inference.output.save_images=true")
    empty.sandbox.forget_requests()
    outcome = empty.cli("upload-cvat", "-o", f"cvat_upload.task_name='{NAME}'")
    assert "img_8 is img_0" in outcome.stdout
    assert "img_9 is img_1" in outcome.stdout
    assert empty.state() == before
    assert empty.writes() == []
    lines = frame_map(empty)
    for alias, owner in (("img_8", "img_0"), ("img_9", "img_1")):
        assert lines[alias] == {**lines[owner], "record_id": alias, "alias_of": owner}
    told = json.loads(empty.cli("why", "img_9", "--json").stdout)["events"]
    assert [event["kind"] for event in told] == ["predicted", "same picture"]
    assert told[-1]["detail"]["as"] == "img_1"
    empty.cli("upload-cvat", "-o", f"cvat_upload.task_name='{NAME}'")
    assert len(json.loads(empty.cli("why", "img_9", "--json").stdout)["events"]) == 2


def test_an_alias_never_overwrites_its_owner(empty: Workspace) -> None:
    from .annotator import predict_anew

    empty.fill(1)
    twin(empty, "img_8", "img_0")
    empty.database()
    empty.predicted()
    push()
    before = empty.state()
    predict_anew(empty, 3, "img_8")
    planned, result = push(dry_run=True), push()
    assert (result.already_there, result.same_picture, result.replaced) == (1, 0, 0)
    assert (result.skipped, result.exit_code) == (1, 1)
    assert result.total_records == result.uploaded_annotations + result.skipped + result.failed
    (item,) = result.items
    assert (item.record_id, item.outcome) == ("img_8", "skipped")
    assert "picture of record 'img_0', and other proposals" in item.reason
    assert planned.items == result.items
    assert empty.state() == before
    assert frame_map(empty)["img_8"]["alias_of"] == "img_0"
    # Both have got the same new prediction: the owner's is sent, and both are as they should be.
    predict_anew(empty, 3, "img_0")
    result = push()
    assert (result.replaced, result.same_picture, result.exit_code) == (1, 1, 0)


def test_of_two_predictions_of_one_new_picture_the_second_is_listed(empty: Workspace) -> None:
    from .annotator import predict_anew

    empty.fill(1)
    twin(empty, "img_8", "img_0")
    empty.database()
    empty.predicted()
    predict_anew(empty, 3, "img_8")
    result = push()
    assert (result.added, result.same_picture, result.skipped, result.exit_code) == (1, 0, 1, 1)
    assert [item.record_id for item in result.items] == ["img_8"]


def test_the_alias_becomes_the_owner_where_the_task_is_gone(empty: Workspace) -> None:
    empty.fill(1)
    twin(empty, "img_8", "img_0")
    empty.database()
    empty.predicted()
    task_id = push().task_id
    empty.rows = [row for row in empty.rows if row["image_id"] == "img_8"]
    empty.database()
    empty.predicted()
    assert empty.plain("DELETE", f"/api/tasks/{task_id}").status == 204
    result = push()
    assert (result.added, result.same_picture) == (1, 0)
    assert names(empty) == [["img_8.png"]]
    assert sorted(frame_map(empty)) == ["img_8"]


def test_another_name_gets_its_own_pictures(predicted: Workspace) -> None:
    push()
    result = upload_cvat(Call(overrides=("cvat_upload.task_name=Round2",)))
    assert (result.added, result.same_picture) == (3, 0)


def test_a_record_with_another_picture_is_left_alone_and_listed(empty: Workspace) -> None:
    empty.fill(2)
    empty.predicted()
    push()
    before = empty.state()
    path: Path = empty.root / "pictures" / "images" / "img_1.png"
    empty.add("img_1", draw(77))
    empty.rows = empty.rows[:4]
    assert path.is_file()
    empty.database()
    empty.predicted()
    result = push()
    assert (result.already_there, result.left_alone, result.skipped) == (1, 1, 1)
    assert "another picture" in result.items[0].reason
    assert empty.state() == before


@pytest.mark.slow
def test_killed_at_any_request_of_a_growing_push(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second push adds two tasks, replaces a proposal and finds a twin: same end, wherever it is killed."""
    from .annotator import predict_anew

    empty.fill(2)
    empty.predicted()
    small = ("cvat_upload.images_per_task=1", "cvat_upload.parallel_requests=1")

    def prepare(number: int) -> None:
        for task in empty.tasks():
            assert empty.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
        push(*small)

    for number in (3, 4):
        empty.add(f"img_{number}", draw(number))
    twin(empty, "img_8", "img_3")
    first_run = empty.run
    empty.database()
    empty.predicted()
    second_run = empty.run
    predict_anew(empty, 7, "img_0")
    current = empty.root / "outputs" / "runs" / "current"

    def use(run: Path) -> None:
        current.unlink()
        current.symlink_to(run.name if run.parent == current.parent else run)

    def whole() -> list[object]:
        shapes = []
        for task in empty.tasks():
            meta = [frame["name"] for frame in empty.frames(task["id"])]
            shapes += [(meta[s["frame"]], s["type"], str(s["points"])) for s in empty.shapes(task["id"])]
        return [sorted(map(tuple, names(empty))), sorted(shapes)]

    def run_once(wire: Wire) -> UploadResult | None:
        use(first_run)
        prepare(0)
        use(second_run)
        with monkeypatch.context() as patched:
            wire.tapped(patched)
            try:
                return push(*small)
            except KeyboardInterrupt:
                return None

    undisturbed = Wire()
    result = run_once(undisturbed)
    assert result is not None
    assert (result.added, result.replaced, result.already_there, result.same_picture) == (2, 1, 1, 1)
    expected = whole()
    for moment in range(5, len(undisturbed.seen), 3):
        run_once(Wire(stop=moment))
        again = push(*small)
        where = f"killed at {undisturbed.seen[moment]}"
        assert again.uploaded_annotations == again.total_records == 5, where
        assert whole() == expected, where
        empty.sandbox.forget_requests()
        assert push(*small).same_picture == 1
        assert empty.writes() == [], where
