from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cli.import_ import FORMATS as OFFERED
from agir_cvtoolkit.config import load_settings
from agir_cvtoolkit.cvat import xml_shapes
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.formats.coco_writer import write_coco
from agir_cvtoolkit.formats.yolo_writer import write_yolo
from agir_cvtoolkit.masks import Runs, decode
from agir_cvtoolkit.pictures import load_mask
from agir_cvtoolkit.poses import read_poses
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import open_run
from agir_cvtoolkit.shapes import Mask, Polygon, Rectangle, Skeleton
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages._imported_boxes import imported_boxes_batch, with_imported_boxes
from agir_cvtoolkit.stages._mask_candidates import segmentation_batch
from agir_cvtoolkit.stages.export import ExportOptions, export
from agir_cvtoolkit.stages.import_labels import FORMATS, ImportOptions, ImportResult, import_labels
from tests.formats.sets import LABELS, SIZE, dog, mask, pictured, ring_with_hole, writing

RUNS = Path("outputs/runs")
SQUARE = ((8.0, 0.0), (16.0, 0.0), (16.0, 6.0), (8.0, 6.0))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def coco(*shapes_of: Any) -> Path:
    out = writing(Path("coco"))
    skeletons = any(isinstance(shape, Skeleton) for shapes in shapes_of for shape in shapes)
    write_coco(pictured(Path("pictures"), *shapes_of, labels=LABELS if skeletons else LABELS[:2]), out)
    return Path("coco/annotations/instances_default.json")


def imported(path: Path, dataset_format: Any = "coco", **options: Any) -> ImportResult:
    return import_labels(dataset_format, path, ImportOptions(**options), Call(run="r"))


def entries() -> list[ManifestEntry]:
    return open_run(RUNS, "r").read_manifest()


def test_the_command_offers_all_formats() -> None:
    assert OFFERED == FORMATS


def test_masks_lie_in_the_run_as_infer_seg_leaves_them() -> None:
    path = coco([mask(ring_with_hole()), Polygon(label="crop", points=SQUARE, confidence=0.75)], [])
    result = imported(path)
    assert (result.kind, result.total, result.taken, result.exit_code) == ("masks", 2, 2, 0)
    run = open_run(RUNS, "r")
    first, second = entries()
    values = {name: int(value) for value, name in run.read_metrics("infer-seg")["classes"].items()}
    drawn = load_mask(run.inside(first.mask_path or ""), SIZE)
    assert (drawn[0, 8:] == values["crop"]).all()
    assert drawn[10, 13] == values["weed"]
    assert (first.instances, second.instances, first.uncertainty) == (2, 0, 0.25)
    assert not load_mask(run.inside(second.mask_path or ""), SIZE).any()
    assert (run.path("images/p0.png")).read_bytes() == Path("pictures/p0.png").read_bytes()
    assert run.is_done("infer-seg")


def test_single_objects_are_pushed_as_masks_of_their_own() -> None:
    left, right = np.zeros((12, 16), dtype=bool), np.zeros((12, 16), dtype=bool)
    left[2:6, 1:5], right[2:6, 5:9] = True, True  # side by side: one part of a mask
    imported(coco([mask(left), mask(right), mask(ring_with_hole()[:, ::-1] & ~left & ~right, "crop")]))
    settings = load_settings(())
    (candidate,) = segmentation_batch(open_run(RUNS, "r"), settings)().candidates
    assert candidate.labels == ("crop", "weed")
    drawn = candidate.draw(str)
    weeds = [s for s in drawn if s.label == "weed" and isinstance(s, Mask)]
    assert [decode(Runs(s.runs, s.box), SIZE).tolist() for s in weeds] == [left.tolist(), right.tolist()]
    assert len(drawn) == 3


def test_a_single_class_keeps_its_name_whatever_the_label_map_says() -> None:
    imported(coco([mask(ring_with_hole(), "crop")]))
    settings = load_settings(("cvat_upload.label_map={_default: weed}",))
    (candidate,) = segmentation_batch(open_run(RUNS, "r"), settings)().candidates
    assert candidate.labels == ("crop",)


def test_poses_lie_in_the_run_as_infer_pose_leaves_them() -> None:
    result = imported(coco(dog(box=True), []), labels={"crop": "", "weed": ""})
    assert (result.kind, result.labels) == ("poses", ("dog",))
    run = open_run(RUNS, "r")
    first, second = entries()
    name, (pose,) = read_poses(run.inside(first.pose_path or ""))
    assert name == "dog"
    assert pose.at("nose").visibility == "visible"
    assert (pose.at("left_ear").visibility, pose.at("right_ear").is_there) == ("occluded", False)
    assert pose.box is not None
    assert (pose.box.x, pose.box.width) == (1.0, 8.0)
    assert read_poses(run.inside(second.pose_path or ""))[1] == ()


def test_where_both_are_there_it_asks() -> None:
    path = coco([*dog(), mask(ring_with_hole())])
    with pytest.raises(UsageError, match="--as masks, --as poses or --as boxes"):
        imported(path)
    result = imported(path, kind="masks")
    assert result.left_out["shapes of kind skeleton"] == 1
    assert result.exit_code == 0


def test_what_does_not_fit_is_listed_and_the_rest_goes_on() -> None:
    path = coco([mask(ring_with_hole())], [mask(ring_with_hole())], [mask(ring_with_hole())], [])
    Path("coco/images/p0.png").unlink()
    Image.new("RGB", (12, 16)).save("coco/images/p1.png")
    Path("coco/images/p2.png").write_bytes(b"no picture")
    result = imported(path)
    assert [item.record_id for item in result.items] == ["p0", "p1", "p2"]
    assert "its labels are for 16x12 pixels, p1.png has 12x16" in result.items[1].reason
    assert (result.taken, result.exit_code) == (1, 1)
    Path("coco/images/p0.png").write_bytes(Path("pictures/p0.png").read_bytes())
    again = imported(path)
    assert (again.taken, again.kept, len(again.items)) == (2, 1, 2)


def test_shapes_on_others_are_counted() -> None:
    result = imported(coco([mask(ring_with_hole()), mask(ring_with_hole(), "crop")]))
    assert result.left_out == {"shapes that lie on others (the upper one has the pixels)": 1}


def test_what_was_imported_can_be_exported_again() -> None:
    out = writing(Path("yolo"))
    write_yolo(pictured(Path("pictures"), [mask(ring_with_hole())], []), out, "seg")
    result = imported(Path("yolo"), "yolo-seg")
    assert (result.taken, result.items) == (2, ())
    back = export("coco", ExportOptions(predictions=True, pictures="none"), Call(run="r"))
    content = json.loads((back.out / "annotations/instances_default.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["p0.png", "p1.png"]
    (annotation,) = content["annotations"]
    assert annotation["area"] == ring_with_hole().sum()
    assert content["categories"][annotation["category_id"] - 1]["name"] == "weed"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><annotations><version>&c;</version></annotations>',
        "<annotations><image id='0'/></annotations>",
        "<html/>",
        "",
        "<annotations><version>" + "x" * 2_000_000 + "</version></annotations>",
        "<annotations>" + "<a>" * 100,
        "<annotations><image name='" + "x" * 4_000_000,
        "<?xml version='1.0' encoding='nonsense'?><annotations/>",
    ],
    ids=["entities", "no size", "html", "nothing", "long text", "deep", "long attribute", "encoding"],
)
def test_hostile_xml_ends_in_one_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_shapes, "_LONGEST_TAG", 2_000_000)
    Path("annotations.xml").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["import", "cvat", "annotations.xml"])
    assert done.exit_code == 4, done.output
    assert done.stderr.startswith("Error: ")
    assert not RUNS.exists()


def test_xml_in_a_wrong_encoding_ends_in_one_error() -> None:
    text = '<?xml version="1.0" encoding="utf-8"?><annotations><version>\xe4</version></annotations>'
    Path("annotations.xml").write_bytes(text.encode("latin-1"))
    done = CliRunner().invoke(main, ["import", "cvat", "annotations.xml"])
    assert done.exit_code == 4, done.output


def test_the_command_tells_what_it_took() -> None:
    path = coco([mask(ring_with_hole())])
    done = CliRunner().invoke(main, ["import", "coco", str(path), "--run", "r"])
    assert done.exit_code == 0, done.output
    assert "1 of 1 picture taken as masks into run r" in done.stdout
    rehearsal = CliRunner().invoke(main, ["import", "coco", str(path), "--dry-run", "--json"])
    assert json.loads(rehearsal.stdout)["taken"] == 1
    missing = CliRunner().invoke(main, ["import", "coco", "nothing.json"])
    assert missing.exit_code == 2


def boxed(*lines: str) -> Path:
    out = Path("yolo")
    (out / "labels/train").mkdir(parents=True)
    (out / "images/train").mkdir(parents=True)
    (out / "data.yaml").write_text("path: .\ntrain: images/train\nnames: [crop, weed]\n")
    for i, line in enumerate(lines):
        Image.new("RGB", (16, 12), (i, 0, 0)).save(out / f"images/train/p{i}.png")
        (out / f"labels/train/p{i}.txt").write_text(line)
    return out


def test_boxes_alone_become_a_run_of_boxes_that_are_pushed_as_rectangles() -> None:
    result = imported(boxed("1 0.5 0.5 0.25 0.5 0.75\n0 0.0625 0.5 0.25 1\n", ""), "yolo")
    assert (result.kind, result.taken, result.labels, result.exit_code) == ("boxes", 2, ("crop", "weed"), 0)
    run, settings = open_run(RUNS, "r"), load_settings(())
    assert with_imported_boxes(settings, run).cvat_upload.source.type == "detections"
    first, second = imported_boxes_batch(run)().candidates
    weed, crop = first.draw(str)
    assert isinstance(weed, Rectangle)
    assert (weed.kind, weed.label, weed.points, weed.confidence) == (
        "rectangle",
        "weed",
        ((6.0, 3.0), (10.0, 9.0)),
        0.75,
    )
    assert crop.points == ((0.0, 0.0), (3.0, 12.0))  # type: ignore[union-attr]
    assert (first.units, first.labels, second.draw(str)) == (2, ("crop", "weed"), ())
    assert entries()[0].uncertainty == 0.25
    again = imported(Path("yolo"), "yolo")
    assert (again.taken, again.kept) == (2, 2)


def test_coco_with_nothing_but_boxes_is_a_run_of_boxes() -> None:
    path = coco([mask(ring_with_hole())], [])
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    path.write_text(json.dumps(content))
    result = imported(path)
    assert (result.kind, result.taken) == ("boxes", 2)
    back = export("coco", ExportOptions(predictions=True, pictures="none"), Call(run="r"))
    (annotation,) = json.loads((back.out / "annotations/instances_default.json").read_text())["annotations"]
    assert annotation["bbox"] == content["annotations"][0]["bbox"]


def test_a_picture_with_boxes_alone_is_no_negative_among_masks() -> None:
    result = imported(boxed("1 0.5 0.5 0.25 0.5", "1 0.1 0.1 0.9 0.1 0.9 0.9", ""), "yolo-seg")
    assert (result.kind, result.taken, result.exit_code) == ("masks", 2, 1)
    assert [item.record_id for item in result.items] == ["p0"]
    assert "--as boxes" in result.items[0].reason


def test_areas_are_taken_as_boxes_where_that_is_asked_for() -> None:
    result = imported(coco([mask(ring_with_hole())]), kind="boxes")
    assert result.left_out == {"areas (taken as the box around them)": 1}
    (candidate,) = imported_boxes_batch(open_run(RUNS, "r"))().candidates
    (box,) = candidate.draw(str)
    assert isinstance(box, Rectangle)
    assert box.points == ((2.0, 2.0), (15.0, 11.0))


def test_a_picture_of_which_nothing_is_understood_is_no_negative() -> None:
    path = coco([mask(ring_with_hole())], [mask(ring_with_hole())], [])
    content = json.loads(path.read_text())
    content["annotations"][0]["attributes"] = [1, 2]
    path.write_text(json.dumps(content))
    result = imported(path)
    assert [entry.record_id for entry in entries()] == ["p1", "p2"]
    assert [item.reason for item in result.items] == [
        "annotation 1: it cannot be understood (its attributes are no object)"
    ]
    lines = boxed("0 nan .1 .2 .2 .3 .3", "")
    told = import_labels("yolo-seg", lines, ImportOptions(kind="masks"), Call(run="s"))
    assert [entry.record_id for entry in open_run(RUNS, "s").read_manifest()] == ["p1"]
    assert told.exit_code == 1
    Path("a.xml").write_text(
        "<annotations><version>1.1</version><image id='0' name='p0.png' width='16' height='12'>"
        "<polygon label='weed' points='1,1;nan,1;10'/></image></annotations>"
    )
    drawn = import_labels("cvat", Path("a.xml"), ImportOptions(pictures=Path("pictures")), Call(run="t"))
    assert (drawn.taken, len(drawn.items)) == (0, 1)
