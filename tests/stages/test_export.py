from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pycocotools.coco import COCO

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cli.export import FORMATS as OFFERED
from agir_cvtoolkit.cvat import JobAnnotations, read_images_xml
from agir_cvtoolkit.errors import NoRunError, UsageError
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.ledger import Ledger, Pull
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.shapes import Keyframe, Points, Polygon, Rectangle, Shape, Tag, Track
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._classes import extend_classes
from agir_cvtoolkit.stages._export_split import split_of
from agir_cvtoolkit.stages._pull_files import write_annotations, write_mask
from agir_cvtoolkit.stages._pulled import PulledFrame, PulledTask, new_folder, write_frame_map
from agir_cvtoolkit.stages._pulled_poses import write_found_poses
from agir_cvtoolkit.stages.export import FORMATS, ExportOptions, ExportResult, export
from tests.formats.sets import SIZE, mask, ring_with_hole

SERVER = "http://cvat"
TRIANGLE = ((1.0, 1.5), (9.25, 2.0), (4.0, 10.0))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return start_run(Path("outputs/runs"), "r")


def pull(
    run: Run,
    shapes: dict[int, tuple[Shape, ...]],
    *,
    task: int = 2,
    job: int = 7,
    joints: bool = False,
    **more: Any,
) -> None:
    """Lay a task into a run as download-cvat does; frames without shapes are given with none."""
    folder = new_folder(run, task, "weeds")
    drawn = {frame: found for frame, found in shapes.items() if found}
    write_annotations(folder, JobAnnotations(job, drawn, **more))
    labels = {s.label for found in shapes.values() for s in found if not isinstance(s, Points | Rectangle)}
    ids = extend_classes(run, labels, {})
    frames = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for frame, found in shapes.items():
        stem = f"a{frame}"
        save_png(np.full((SIZE[1], SIZE[0], 3), frame, dtype=np.uint8), folder / "images" / f"{stem}.png")
        poses = write_found_poses(folder, stem, found, load_schema("dog24"), SIZE)[0] if joints else None
        path = None if joints else write_mask(folder, stem, found, SIZE, ids)
        frames.append(
            PulledFrame(frame, stem, f"{stem}.png", *SIZE, None, job, len(found), path, poses=poses)
        )
    write_frame_map(PulledTask(task, "weeds", f"{SERVER}/tasks/{task}", folder, tuple(frames)))


def exported(dataset_format: Any, **options: Any) -> ExportResult:
    return export(dataset_format, ExportOptions(**options), Call(run="r"))


def test_the_command_offers_all_formats() -> None:
    assert OFFERED == FORMATS


@pytest.mark.parametrize(
    "dataset_format", [f for f in FORMATS if f not in {"yolo-pose", "sleap", "deeplabcut"}]
)
def test_every_format_is_written_whole(run: Run, dataset_format: Any) -> None:
    pull(run, {0: (mask(ring_with_hole()), Polygon(label="crop", points=TRIANGLE)), 1: ()})
    result = exported(dataset_format)
    assert (result.pictures, result.shapes, result.empty, result.labels) == (2, 2, 1, ("crop", "weed"))
    assert result.out == run.path("exports", dataset_format).resolve()
    assert not result.items
    left = sorted(path.name for path in result.out.parent.iterdir())
    assert left == [dataset_format]
    pictures = [
        path for path in result.out.rglob("*.png") if path.parent.name in {"images", "train", "default"}
    ]
    assert sorted(path.name for path in pictures if "annot" not in str(path)) == ["a0.png", "a1.png"]


def test_masks_and_polygons_reach_coco_as_they_were_drawn(run: Run) -> None:
    pull(run, {0: (mask(ring_with_hole()), Polygon(label="crop", points=TRIANGLE)), 3: ()})
    coco = COCO(str(exported("coco", pictures="none").out / "annotations/instances_default.json"))
    first, second = coco.loadAnns(coco.getAnnIds())
    assert (coco.annToMask(first).astype(bool) == ring_with_hole()).all()
    assert second["segmentation"] == [[value for point in TRIANGLE for value in point]]


def test_single_points_become_skeletons_with_their_boxes_but_stay_as_drawn_for_cvat(run: Run) -> None:
    shapes = (
        Points(label="nose", points=((3.0, 4.0),), attributes={"visibility": "visible"}),
        Points(label="tail_tip", points=((9.0, 5.0),), attributes={"visibility": "occluded"}),
        Rectangle(label="dog_bbox", points=((1.0, 1.0), (12.0, 8.0))),
    )
    pull(run, {0: shapes}, joints=True)
    result = exported("yolo-pose")
    words = [float(word) for word in (result.out / "labels/train/a0.txt").read_text().split()]
    assert len(words) == 1 + 4 + 24 * 3
    assert words[:5] == pytest.approx([0, 6.5 / 16, 4.5 / 12, 11 / 16, 7 / 12])
    assert sorted(words[7::3])[-2:] == [1.0, 2.0]
    (image,) = read_images_xml(exported("cvat").out / "annotations.xml")
    assert [shape.label for shape in image.shapes] == ["nose", "tail_tip", "dog_bbox"]


def test_tracks_are_drawn_out_and_tags_are_kept(run: Run) -> None:
    def square(left: float) -> Rectangle:
        return Rectangle(label="weed", points=((left, 1.0), (left + 2, 3.0)))

    track = Track(
        label="weed", keyframes=(Keyframe(frame=0, shape=square(0.0)), Keyframe(frame=2, shape=square(4.0)))
    )
    pull(
        run,
        {0: (), 1: (Polygon(label="crop", points=TRIANGLE),), 2: ()},
        tracks=(track,),
        tags={2: (Tag(label="dry"),)},
    )
    result = exported("cvat", pictures="none")
    first, second, third = read_images_xml(result.out / "annotations.xml")
    assert [image.name for image in (first, second, third)] == ["a0.png", "a1.png", "a2.png"]
    assert second.shapes[1].points == ((2.0, 1.0), (4.0, 3.0))  # type: ignore[union-attr]
    assert [tag.label for tag in third.tags] == ["dry"]
    assert exported("coco", pictures="none").losses == {"tags": 1}


def test_the_newest_task_of_a_record_counts_and_names_stay_apart(run: Run) -> None:
    pull(run, {0: (Polygon(label="crop", points=TRIANGLE),)}, task=2)
    pull(run, {0: (Polygon(label="crop", points=TRIANGLE),)}, task=3, job=8)
    result = exported("coco")
    content = json.loads((result.out / "annotations/instances_default.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a0.png", "task_3/0/a0.png"]
    assert exported("coco", task_ids=(3,), overwrite=True).pictures == 1
    with pytest.raises(NoRunError, match="task 9 was not pulled"):
        exported("coco", task_ids=(9,), overwrite=True)


def test_jobs_that_nobody_completed_are_left_out(run: Run) -> None:
    pull(run, {0: (Polygon(label="crop", points=TRIANGLE),)})
    row = Pull(SERVER, "r", 2, 7, "2026-01-01T00:00:00Z", "in progress", "annotation", 1, 1, "x")
    with Ledger.open(None, Path("outputs/runs")) as ledger:
        ledger.record_pull(row, {})
    with pytest.raises(NoRunError):
        exported("coco")
    assert exported("coco", unfinished=True).pictures == 1


def test_labels_are_renamed_joined_and_left_out(run: Run) -> None:
    pull(run, {0: (mask(ring_with_hole(), "a"), mask(ring_with_hole(), "b"), mask(ring_with_hole(), "c"))})
    result = exported("coco", labels={"a": "plant", "b": "plant", "c": ""}, pictures="none")
    assert (result.labels, result.shapes) == (("plant",), 2)
    with pytest.raises(UsageError, match="no label 'd'"):
        exported("coco", labels={"d": "x"}, overwrite=True)


def test_a_folder_is_replaced_only_when_asked_and_only_by_a_whole_one(run: Run) -> None:
    pull(run, {0: (mask(ring_with_hole()),)})
    out = exported("masks").out
    with pytest.raises(UsageError, match="there already"):
        exported("masks")
    before = sorted(out.rglob("*"))
    with pytest.raises(UsageError):
        exported("deeplabcut", out=out, overwrite=True)
    assert sorted(out.rglob("*")) == before
    assert sorted(path.name for path in out.parent.iterdir()) == ["masks"]
    exported("coco", out=out, overwrite=True, pictures="link")
    assert sorted(path.name for path in out.iterdir()) == ["annotations", "images"]
    assert (out / "images/a0.png").is_symlink()
    assert (out / "images/a0.png").is_file()


def test_a_rehearsal_changes_nothing(run: Run) -> None:
    pull(run, {0: (mask(ring_with_hole()),), 1: ()})
    result = export("coco", None, Call(run="r", dry_run=True))
    assert (result.pictures, result.labels, result.dry_run) == (2, ("weed",), True)
    assert not run.path("exports").exists()


def test_a_record_stays_on_its_side(run: Run) -> None:
    few, many = split_of(run, "80/10/10"), split_of(run, "8/1/1")
    names = [f"record {i}" for i in range(400)]
    sides = [few(name, lambda: None) for name in names]
    assert sides == [many(name, lambda: None) for name in names]
    assert 280 < sides.count("train") < 360
    assert {"val", "test"} < set(sides)
    for wrong in ("half", "80", "1/2/3/4", "-1/2", "0/0", "nan/1"):
        with pytest.raises(UsageError):
            split_of(run, wrong)
    with pytest.raises(NoRunError):
        split_of(run, "run")


@pytest.mark.parametrize("pictures", ["copy", "none"])
def test_copies_of_a_picture_under_other_names_are_on_one_side(run: Run, pictures: Any) -> None:
    drawn: dict[int, tuple[Shape, ...]] = {frame: (mask(ring_with_hole()),) for frame in range(24)}
    pull(run, drawn, task=2)
    pull(
        run, drawn, task=3, job=8
    )  # somebody uploaded the same pictures again, or `quality merge` wrote them
    result = exported("coco", split="50/50/0", pictures=pictures)
    sides: dict[str, set[str]] = {}
    for path in (result.out / "annotations").glob("*.json"):
        for image in json.loads(path.read_text())["images"]:
            sides.setdefault(Path(image["file_name"]).name, set()).add(path.stem)
    assert result.pictures == 48
    assert all(len(found) == 1 for found in sides.values())
    assert len(set().union(*sides.values())) == 2


def test_the_command_tells_what_gets_lost(run: Run) -> None:
    pull(run, {0: (Points(label="tip", points=((1.0, 1.0),)), mask(ring_with_hole()))})
    done = CliRunner().invoke(main, ["export", "coco", "--run", "r", "--labels", "weed=plant"])
    assert done.exit_code == 0, done.output
    assert "1 picture written as coco, 2 shapes, 0 empty" in done.stdout
    assert "coco cannot hold: 1 single points" in done.stderr
