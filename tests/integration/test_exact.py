"""What a person sees is bit for bit what was predicted, and what comes back is what the person left."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from agir_cvtoolkit.cvat import upload_name
from agir_cvtoolkit.pictures import load_mask, load_rgb, save_png
from agir_cvtoolkit.sandbox.oracle import correct_task

from .plants import draw, rows_of, save, write_records
from .workspace import CREDENTIALS, Workspace

cvat_sdk = pytest.importorskip("cvat_sdk", reason="the official cvat-sdk is not installed")

from cvat_sdk import make_client, models  # noqa: E402
from cvat_sdk.masks import decode_mask, encode_mask  # noqa: E402

pytestmark = pytest.mark.integration
Mask = NDArray[np.bool_]


@pytest.fixture
def sdk(sandbox: Any) -> Iterator[Any]:
    if sandbox.options.generation.version < (2, 32):
        pytest.skip("the official cvat-sdk cannot read what servers before 2.32 tell about themselves")
    with make_client(sandbox.url, credentials=CREDENTIALS) as client:
        yield client


def seen(client: Any, task_id: int) -> dict[str, dict[str, Mask]]:
    """Read the masks of a task by the official client: by frame name and label."""
    task = client.tasks.retrieve(task_id)
    frames = task.get_meta().frames
    names = {label.id: label.name for label in task.get_labels()}
    found: dict[str, dict[str, Mask]] = {frame.name: {} for frame in frames}
    for shape in task.get_annotations().shapes:
        frame = frames[shape.frame]
        assert str(shape.type) == "mask"
        mask = decode_mask(shape.points, image_width=frame.width, image_height=frame.height)
        known = found[frame.name].get(names[shape.label_id], np.zeros_like(mask))
        assert not (known & mask).any()
        found[frame.name][names[shape.label_id]] = known | mask
    return found


def test_masks_on_the_server_are_those_that_were_predicted(predicted: Workspace, sdk: Any) -> None:
    result = predicted.upload()
    masks = seen(sdk, result["task_id"])
    assert list(masks) == ["img_0.png", "img_1.png", "img_2.png"]
    for name, by_label in masks.items():
        wanted = predicted.predicted_mask(Path(name).stem) != 0
        assert wanted.any()
        assert np.array_equal(by_label["weed"], wanted)


def test_per_component_parts_make_up_the_mask(predicted: Workspace, sdk: Any) -> None:
    result = predicted.upload("-o", "cvat_upload.per_component=true")
    assert result["shapes"] == 6
    for name, by_label in seen(sdk, result["task_id"]).items():
        assert np.array_equal(by_label["weed"], predicted.predicted_mask(Path(name).stem) != 0)


def test_pictures_on_the_server_are_the_files_that_were_predicted_on(predicted: Workspace, sdk: Any) -> None:
    result = predicted.upload()
    task = sdk.tasks.retrieve(result["task_id"])
    for number, frame in enumerate(task.get_meta().frames):
        there = task.get_frame(number, quality="original").read()
        assert there == (predicted.run / "images" / frame.name).read_bytes()


STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture lies in a file of each EXIF orientation."""


def test_all_exif_orientations_through_the_whole_loop(empty: Workspace, sdk: Any) -> None:
    for orientation, turn in STORED.items():
        plot = draw(orientation)
        image_id = f"turned_{orientation}"
        path = empty.add(image_id, plot, f"images/{image_id}.jpg")
        upright = Image.fromarray(plot.rgb)
        exif = Image.Exif()
        exif[0x0112] = orientation
        (upright if turn is None else upright.transpose(turn)).save(
            path, exif=exif, quality=100, subsampling=0
        )
    empty.database()
    empty.predicted()
    result = empty.upload()
    assert result["uploaded_annotations"] == 8
    masks = seen(sdk, result["task_id"])
    assert set(masks) == {f"turned_{o}.{'jpg' if o == 1 else 'png'}" for o in STORED}
    for name, by_label in masks.items():
        plot = empty.plots[Path(name).stem]
        shown = load_rgb(empty.run / "images" / name)
        assert shown.shape == plot.rgb.shape
        assert np.abs(shown.astype(int) - plot.rgb).mean() < 4
        assert overlap(by_label["weed"], plot.truth) > 0.85
    truth = {image_id: plot.truth for image_id, plot in empty.plots.items()}
    correct_task(
        empty.sandbox.url, CREDENTIALS, result["task_id"], lambda name: truth[Path(name).stem], tolerance_px=0
    )
    empty.cli("download-cvat")
    for record_id, mask in empty.pulled(result["task_id"]).items():
        assert mask is not None
        assert overlap(mask != 0, truth[record_id]) >= 0.98
    empty.cli("preprocess")
    pairs = sorted((empty.run / "dataset" / "masks").rglob("*.png"))
    assert pairs
    for path in pairs:
        image = load_rgb(next((empty.run / "dataset" / "images").rglob(path.name))).astype(int)
        green = image[..., 1] > image[..., 0] + 25
        mask = load_mask(path) != 0
        if mask.any():
            assert overlap(green, mask) > 0.8


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pixels_and_masks_of_all_exif_orientations_are_exact(empty: Workspace, sdk: Any, suffix: str) -> None:
    """What a person sees is the picture as it is meant to be seen, and so is what they drew on it."""
    upright: dict[str, NDArray[np.uint8]] = {}
    for orientation, turn in STORED.items():
        plot, image_id = draw(orientation + 20), f"turned_{orientation}"
        path = empty.add(image_id, plot, f"images/{image_id}.{suffix}")
        picture = Image.fromarray(plot.rgb)
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = picture if turn is None else picture.transpose(turn)
        stored.save(path, exif=exif, quality=95)
        upright[image_id] = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
        if suffix == "png":
            assert np.array_equal(upright[image_id], plot.rgb)
    empty.database()
    empty.predicted()
    task_id = empty.upload()["task_id"]
    task = sdk.tasks.retrieve(task_id)
    for number, frame in enumerate(task.get_meta().frames):
        there = task.get_frame(number, quality="original").read()
        image_id = Path(frame.name).stem
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(there)).convert("RGB")), upright[image_id])
        if image_id == "turned_1":
            assert there == (empty.root / "pictures" / "images" / f"{image_id}.{suffix}").read_bytes()
    truth = {image_id: plot.truth for image_id, plot in empty.plots.items()}
    correct_task(empty.sandbox.url, CREDENTIALS, task_id, lambda name: truth[Path(name).stem], tolerance_px=0)
    empty.cli("download-cvat")
    masks = seen(sdk, task_id)
    pulled = empty.pulled(task_id)
    assert len(pulled) == len(STORED)
    for record_id, mask in pulled.items():
        assert mask is not None
        (name,) = (name for name in masks if Path(name).stem == record_id)
        assert np.array_equal(mask != 0, masks[name]["weed"])


def overlap(one: Mask, other: Mask) -> float:
    assert one.shape == other.shape
    return float((one & other).sum() / (one | other).sum())


def test_cutouts_are_records_of_their_own(workspace: Workspace, sdk: Any) -> None:
    workspace.cli("query", "--db", "semif")
    workspace.cli("infer-seg", "-o", "seg_inference.source.image_mode=cutout")
    result = workspace.upload()
    assert result["uploaded_annotations"] == 6
    masks = seen(sdk, result["task_id"])
    for record_id, entry in workspace.manifest().items():
        plot = workspace.plots[record_id.rpartition("_")[0]]
        x, y, w, h = plot.boxes[int(record_id[-1])]
        assert (entry["width"], entry["height"]) == (w, h)
        name = Path(entry["image_path"]).name
        assert np.array_equal(load_rgb(workspace.run / "images" / name), plot.rgb[y : y + h, x : x + w])
        wanted = workspace.predicted_mask(record_id) != 0
        found = masks[name].get("weed", np.zeros_like(wanted))
        assert np.array_equal(found, wanted)


ODD_IDS = (
    "mit Leerzeichen",
    "Grün_ß_植物",
    "a&b%20c%23#1+=?",
    "../../outside",
    "a/b/../c",
    "C:\\x\\y",
    ".hidden.",
    "quote'\"s;$(x)`",
    "x" * 300,
    "x" * 299 + "y",
    "tab\tnew\nline",
    "entity&lt;x&copy",
    "zero\u200bwidth no\u00a0break",
    "None",
    "001",
)


def test_odd_ids_through_the_whole_loop(empty: Workspace, sdk: Any) -> None:
    for number, record_id in enumerate(ODD_IDS):
        empty.add(record_id, draw(number), f"images/{number}.png")
    empty.database()
    before = set(empty.root.parent.iterdir())
    empty.predicted()
    assert set(empty.manifest()) == set(ODD_IDS)
    result = empty.upload()
    assert result["uploaded_annotations"] == len(ODD_IDS)
    assert set(empty.root.parent.iterdir()) == before
    paths = {record_id: Path(entry["image_path"]) for record_id, entry in empty.manifest().items()}
    files = {upload_name(path.stem, path.suffix): record_id for record_id, path in paths.items()}
    for name, by_label in seen(sdk, result["task_id"]).items():
        assert np.array_equal(by_label["weed"], empty.predicted_mask(files[name]) != 0)
    empty.complete(result["task_id"])
    empty.cli("download-cvat")
    masks = empty.pulled(result["task_id"])
    assert set(masks) == set(ODD_IDS)
    for record_id, mask in masks.items():
        assert mask is not None
        assert np.array_equal(mask != 0, empty.predicted_mask(record_id) != 0)
    empty.cli("preprocess")
    assert empty.metrics()["preprocess"]["pairs"] == len(ODD_IDS)
    outside = [p for p in empty.root.rglob("*outside*") if not p.resolve().is_relative_to(empty.run)]
    assert outside == []


def test_one_file_name_in_two_folders(empty: Workspace, sdk: Any) -> None:
    for number, folder in enumerate(("north", "south")):
        plot = draw(number)
        empty.plots[folder] = plot
        save(plot, empty.root / "pictures" / folder / "plot.png")
    empty.cli("build-db", "pictures", "semif.db")
    empty.conf("db", {"semif": {"db_path": "semif.db"}})
    empty.predicted()
    entries = empty.manifest()
    assert len(entries) == 2
    result = empty.upload()
    masks = seen(sdk, result["task_id"])
    assert len(masks) == 2
    for record_id, entry in entries.items():
        plot = empty.plots[Path(entry["source_path"]).parent.name]
        found = masks[Path(entry["image_path"]).name]["weed"]
        assert np.array_equal(found, empty.predicted_mask(record_id) != 0)
        assert overlap(found, plot.truth) > 0.85


def test_boxes_are_scaled_to_the_picture(empty: Workspace, sdk: Any) -> None:
    """Sides differ in scale, and a box that reaches out is cut at the edge."""
    plot = draw(0)
    empty.add("img_0", plot)
    (first, second) = empty.rows
    first |= {"fullres_width": 960, "fullres_height": 128, "bbox_xywh": "[100, 20, 200, 40]"}
    second |= {"fullres_width": 960, "fullres_height": 128, "bbox_xywh": "[900, 100, 500, 500]"}
    empty.database()
    empty.cli("query", "--db", "semif")
    result = empty.upload("-o", "cvat_upload.source.type=detections")
    shapes = sdk.tasks.retrieve(result["task_id"]).get_annotations().shapes
    assert sorted(list(shape.points) for shape in shapes) == [[10, 10, 30, 30], [90, 50, 96, 64]]


@pytest.mark.parametrize("tolerance", ["0", "1.0"])
def test_polygons_keep_holes_and_parts(predicted: Workspace, tolerance: str) -> None:
    words = ["-o", "cvat_upload.mask_strategy=polygon", "-o", f"cvat_upload.polygon_tolerance={tolerance}"]
    result = predicted.upload(*words)
    predicted.complete(result["task_id"])
    predicted.cli("download-cvat")
    for record_id, mask in predicted.pulled(result["task_id"]).items():
        assert mask is not None
        wanted = predicted.predicted_mask(record_id) != 0
        hole = ~wanted & (np.hypot(*(np.indices(wanted.shape) - hole_centre(record_id))) < 3)
        assert hole.any()
        assert not mask[hole].any()
        if tolerance == "0":
            assert np.array_equal(mask != 0, wanted)
        else:
            assert overlap(mask != 0, wanted) > 0.9


def hole_centre(record_id: str) -> NDArray[np.float64]:
    seed = int(record_id.rpartition("_")[2])
    x, y = 96 * 0.26 + seed % 5, 64 * 0.34 + seed % 3
    return np.array([y, x]).reshape(2, 1, 1)


@pytest.mark.parametrize("strategy", ["mask", "polygon"])
def test_masks_of_several_classes(predicted: Workspace, sdk: Any, strategy: str) -> None:
    """``_class`` maps mask values to labels; pulled masks have the same values."""
    for record_id, entry in predicted.manifest().items():
        mask = predicted.predicted_mask(record_id)
        split = np.where(mask != 0, np.where(np.arange(mask.shape[1]) < 48, 1, 2), 0).astype(np.uint8)
        save_png(split, predicted.run / entry["mask_path"])
    predicted.conf(
        "cvat_upload", {"label_map": {"_class": {1: "weed", 2: "crop"}}, "labels": ["weed", "crop"]}
    )
    words = ["-o", f"cvat_upload.mask_strategy={strategy}", "-o", "cvat_upload.polygon_tolerance=0"]
    result = predicted.upload(*words)
    assert result["shapes"] == 6
    if strategy == "mask":
        for name, by_label in seen(sdk, result["task_id"]).items():
            mask = predicted.predicted_mask(Path(name).stem)
            assert np.array_equal(by_label["crop"], mask == 2)
            assert np.array_equal(by_label["weed"], mask == 1)
    predicted.complete(result["task_id"])
    predicted.cli("download-cvat")
    classes = json.loads((predicted.run / "dataset" / "classes.json").read_text(encoding="utf-8"))["classes"]
    assert [(c["id"], c["name"]) for c in classes] == [(0, "background"), (1, "weed"), (2, "crop")]
    for record_id, pulled in predicted.pulled(result["task_id"]).items():
        assert pulled is not None
        assert np.array_equal(pulled, predicted.predicted_mask(record_id))


def test_a_mask_value_without_a_label_fails_alone(predicted: Workspace, sdk: Any) -> None:
    """`_class` maps value by value: what it leaves out takes `_default`, or fails."""
    for record_id, entry in predicted.manifest().items():
        plants = predicted.predicted_mask(record_id) != 0
        second = 7 if record_id == "img_1" else 2
        split = np.where(plants, np.where(np.arange(plants.shape[1]) < 48, 1, second), 0).astype(np.uint8)
        save_png(split, predicted.run / entry["mask_path"])
    labels = ["-o", "cvat_upload.labels=[weed,crop]"]
    predicted.conf("cvat_upload", {"label_map": {"_class": {1: "crop", 2: "weed"}}})
    result = predicted.upload(*labels, code=1)
    assert (result["uploaded_annotations"], result["failed"]) == (2, 1)
    (item,) = result["items"]
    assert item["record_id"] == "img_1"
    assert "mask value 7 has no label in cvat_upload.label_map._class" in item["reason"]
    predicted.conf("cvat_upload", {"label_map": {"_class": {1: "crop", 2: "weed"}, "_default": "weed"}})
    result = predicted.upload(*labels, "-o", "cvat_upload.task_name=again")
    for name, by_label in seen(sdk, result["task_id"]).items():
        mask = predicted.predicted_mask(Path(name).stem)
        assert np.array_equal(by_label["crop"], mask == 1)
        assert np.array_equal(by_label["weed"], mask > 1)


def test_a_push_that_sent_nothing_is_still_to_be_done(predicted: Workspace) -> None:
    words = ["-o", "cvat_upload.labels=[weed]"]
    predicted.conf("cvat_upload", {"label_map": {"_class": {250: "weed"}}})
    result = predicted.upload(*words, code=4)
    assert (result["uploaded_annotations"], result["failed"]) == (0, 3)
    assert json.loads(predicted.cli("status", "--json").stdout)["next_step"] == "agir-cvtoolkit upload-cvat"
    predicted.conf("cvat_upload", {"label_map": {"_default": "weed"}})
    predicted.upload(*words)
    assert "complete the jobs" in predicted.cli("status").stdout


def test_class_ids_are_those_of_the_database(predicted: Workspace) -> None:
    predicted.conf("cvat_upload", {"label_map": {"category_common_name": "{value}"}})
    words = ["-o", "cvat_upload.labels=[wheat,barley,hairy_vetch]"]
    result = predicted.upload(*words)
    predicted.complete(result["task_id"])
    predicted.cli("download-cvat")
    classes = json.loads((predicted.run / "dataset" / "classes.json").read_text(encoding="utf-8"))["classes"]
    assert {c["name"]: c["id"] for c in classes} == {
        "background": 0,
        "barley": 1,
        "hairy_vetch": 2,
        "wheat": 3,
    }
    for record_id, pulled in predicted.pulled(result["task_id"]).items():
        assert pulled is not None
        assert np.array_equal(pulled, predicted.predicted_mask(record_id))


def test_a_table_of_classes_that_the_user_wrote_is_kept(predicted: Workspace) -> None:
    path = predicted.run / "dataset" / "classes.json"
    path.parent.mkdir()
    table = [{"id": 0, "name": "background"}, {"id": 7, "name": "weed"}]
    path.write_text(json.dumps({"classes": table}), encoding="utf-8")
    result = predicted.upload()
    predicted.complete(result["task_id"])
    predicted.cli("download-cvat")
    assert json.loads(path.read_text(encoding="utf-8"))["classes"] == table
    for mask in predicted.pulled(result["task_id"]).values():
        assert mask is not None
        assert set(np.unique(mask)) == {0, 7}


def test_a_negative_goes_and_comes_back_as_an_empty_mask(empty: Workspace) -> None:
    empty.add("img_0", draw(0))
    empty.add("bare", draw(1))
    save(draw(5, plants=False), empty.root / "pictures" / "images" / "bare.png")
    empty.database()
    empty.predicted()
    assert not empty.predicted_mask("bare").any()
    result = empty.upload()
    assert (result["uploaded_annotations"], result["shapes"], result["negatives"]) == (2, 1, 1)
    empty.complete(result["task_id"])
    empty.cli("download-cvat")
    mask = empty.pulled(result["task_id"])["bare"]
    assert mask is not None
    assert mask.shape == (64, 96)
    assert not mask.any()
    assert empty.metrics()["download-cvat"]["tasks"][0]["negatives"] == 1
    empty.cli("preprocess")
    assert empty.metrics()["preprocess"]["pairs"] == 2


def test_a_batch_of_negatives_alone(empty: Workspace) -> None:
    empty.add("bare", draw(1))
    save(draw(5, plants=False), empty.root / "pictures" / "images" / "bare.png")
    empty.database()
    empty.predicted()
    result = empty.upload()
    assert (result["uploaded_annotations"], result["shapes"], result["negatives"]) == (1, 0, 1)
    assert not [w for w in empty.writes() if "annotations" in w]


def test_deleted_frames_are_left_out(predicted: Workspace) -> None:
    result = predicted.upload()
    path = f"/api/tasks/{result['task_id']}/data/meta"
    assert predicted.plain("PATCH", path, {"deleted_frames": [1]}).status == 200
    predicted.complete(result["task_id"])
    predicted.cli("download-cvat")
    assert set(predicted.pulled(result["task_id"])) == {"img_0", "img_2"}


JOBS = (
    ("new", "annotation"),
    ("in progress", "annotation"),
    ("completed", "annotation"),
    ("rejected", "validation"),
    ("completed", "acceptance"),
)


def test_required_status(empty: Workspace) -> None:
    empty.fill(len(JOBS))
    empty.predicted()
    task_id = empty.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    for job, (state, stage) in zip(empty.jobs(task_id), JOBS, strict=True):
        empty.set_job(int(job["id"]), state=state, stage=stage)
    wanted = {
        "completed": {2, 4},
        "new": {0},
        "in progress": {1},
        "rejected": {3},
        "annotation": {0, 1, 2},
        "validation": {3},
        "acceptance": {4},
        "null": set(range(5)),
    }
    for status, numbers in wanted.items():
        outcome = empty.cli(
            "download-cvat",
            "--json",
            "-o",
            f"cvat_download.required_status='{status}'"
            if " " in status
            else f"cvat_download.required_status={status}",
        )
        result = json.loads(outcome.stdout)
        assert (result["jobs"], result["waiting"]) == (len(numbers), len(JOBS) - len(numbers)), status
        assert set(empty.pulled(task_id)) == {f"img_{n}" for n in numbers}, status
    default = json.loads(empty.cli("download-cvat", "--json").stdout)
    assert default["required_status"] == "completed"
    outcome = empty.cli("download-cvat", "-o", "cvat_download.required_status=complete", code=2)
    assert "completed" in outcome.stderr


def test_what_the_oracle_drew_is_what_is_pulled(predicted: Workspace, sdk: Any) -> None:
    task_id = predicted.upload()["task_id"]
    truth = {image_id: plot.truth for image_id, plot in predicted.plots.items()}
    correct_task(
        predicted.sandbox.url, CREDENTIALS, task_id, lambda name: truth[Path(name).stem], tolerance_px=0
    )
    predicted.cli("download-cvat")
    masks = seen(sdk, task_id)
    for record_id, pulled in predicted.pulled(task_id).items():
        assert pulled is not None
        assert np.array_equal(pulled != 0, masks[f"{record_id}.png"]["weed"])


def test_a_job_that_changed_is_read_again_and_no_other(predicted: Workspace, sdk: Any) -> None:
    task_id = predicted.upload("-o", "cvat_upload.segment_size=1")["task_id"]
    predicted.complete(task_id)
    first = json.loads(predicted.cli("download-cvat", "--json").stdout)
    assert first["jobs_read"] == 3
    again = json.loads(predicted.cli("download-cvat", "--json").stdout)
    assert (again["jobs"], again["jobs_read"]) == (3, 0)
    job = sdk.jobs.retrieve(predicted.jobs(task_id)[1]["id"])
    job.remove_annotations()
    later = json.loads(predicted.cli("download-cvat", "--json").stdout)
    assert later["jobs_read"] == 1
    pulled = predicted.pulled(task_id)
    assert set(pulled) == {"img_0", "img_1", "img_2"}
    changed = pulled["img_1"]
    assert changed is not None
    assert not changed.any()


def foreign_task(client: Any, folder: Path, files: dict[str, NDArray[np.uint8]]) -> Any:
    folder.mkdir(exist_ok=True)
    for name, rgb in files.items():
        Image.fromarray(rgb).save(folder / name)
    spec = {"name": "made by hand", "labels": [{"name": "leaf"}, {"name": "stem", "type": "polygon"}]}
    return client.tasks.create_from_data(
        spec=spec, resources=[folder / name for name in files], status_check_period=0.05
    )


def test_a_task_that_others_made(workspace: Workspace, sdk: Any, tmp_path: Path) -> None:
    """Masks, polygons and overlaps of the official client come back bit for bit, with their pictures."""
    workspace.predicted()
    files = {"img_0.png": draw(50).rgb, "img_0.jpg": draw(51).rgb, "ä b.png": draw(52).rgb}
    task = foreign_task(sdk, tmp_path / "foreign", files)
    labels = {label.name: label.id for label in task.get_labels()}
    frames = [frame.name for frame in task.get_meta().frames]
    rng = np.random.default_rng(3)
    speckle = rng.random((64, 96)) < 0.4
    whole = np.ones((64, 96), dtype=bool)

    def shape(kind: str, name: str, label: str, points: list[float], z_order: int = 0) -> Any:
        return models.LabeledShapeRequest(
            type=kind, frame=frames.index(name), label_id=labels[label], points=points, z_order=z_order
        )

    task.set_annotations(
        models.LabeledDataRequest(
            shapes=[
                shape("mask", "img_0.png", "leaf", encode_mask(speckle)),
                shape("polygon", "img_0.jpg", "stem", [10.0, 20.0, 40.0, 20.0, 40.0, 50.0, 10.0, 50.0], 2),
                shape("mask", "img_0.jpg", "leaf", encode_mask(whole), 1),
                shape("rectangle", "ä b.png", "leaf", [1.0, 2.0, 3.0, 4.0]),
            ]
        )
    )
    outcome = workspace.cli(
        "download-cvat",
        *("-o", f"cvat_download.task_ids=[{task.id}]", "-o", "cvat_download.required_status=null"),
    )
    assert "made by hand" in outcome.stdout or str(task.id) in outcome.stdout
    folder = next((workspace.run / "cvat_downloads").glob(f"{task.id}_*"))
    listed = json.loads((folder / "frame_map.json").read_text(encoding="utf-8"))["frames"]
    by_file = {frame["file_name"]: frame for frame in listed}
    assert set(by_file) == set(files)
    assert len({frame["record_id"] for frame in listed}) == 3
    table = json.loads((workspace.run / "dataset" / "classes.json").read_text(encoding="utf-8"))["classes"]
    ids = {c["name"]: c["id"] for c in table}
    first = load_mask(folder / by_file["img_0.png"]["mask"])
    assert np.array_equal(first == ids["leaf"], speckle)
    second = load_mask(folder / by_file["img_0.jpg"]["mask"])
    square = np.zeros_like(whole)
    square[20:50, 10:40] = True
    assert np.array_equal(second == ids["stem"], square)
    assert np.array_equal(second == ids["leaf"], ~square)
    assert by_file["ä b.png"]["mask"] is None
    workspace.cli("preprocess", code=1)
    assert workspace.metrics()["preprocess"]["pairs"] == 2
    pictures = {path.read_bytes() for path in (folder / "images").iterdir()}
    assert pictures == {(tmp_path / "foreign" / name).read_bytes() for name in files}


def test_tasks_of_others_with_one_file_name_keep_their_pictures(
    workspace: Workspace, sdk: Any, tmp_path: Path
) -> None:
    workspace.predicted()
    made = []
    for seed in (60, 61):
        task = foreign_task(sdk, tmp_path / str(seed), {"plot.png": draw(seed).rgb})
        (label, _) = task.get_labels()
        mask = models.LabeledShapeRequest(
            type="mask", frame=0, label_id=label.id, points=encode_mask(draw(seed).truth)
        )
        task.set_annotations(models.LabeledDataRequest(shapes=[mask]))
        made.append(task.id)
    words = ["-o", f"cvat_download.task_ids={made}", "-o", "cvat_download.required_status=null"]
    workspace.cli("download-cvat", *words)
    workspace.cli("preprocess")
    assert workspace.metrics()["preprocess"]["pairs"] == 2
    for task_id, seed in zip(made, (60, 61), strict=True):
        folder = next((workspace.run / "cvat_downloads").glob(f"{task_id}_*"))
        (picture,) = (folder / "images").iterdir()
        assert np.array_equal(load_rgb(picture), draw(seed).rgb)


def test_originals_that_are_gone_are_fetched_byte_for_byte(predicted: Workspace) -> None:
    task_id = predicted.upload()["task_id"]
    kept = {path.name: path.read_bytes() for path in (predicted.run / "images").iterdir()}
    for path in (predicted.run / "images").iterdir():
        path.unlink()
    predicted.complete(task_id)
    predicted.cli("download-cvat")
    folder = next((predicted.run / "cvat_downloads").glob(f"{task_id}_*"))
    assert not (folder / "images").exists(), "the source still has them"
    for path in (predicted.root / "pictures" / "images").iterdir():
        path.unlink()
    predicted.cli("download-cvat")
    assert {path.name: path.read_bytes() for path in (folder / "images").iterdir()} == kept
    predicted.cli("preprocess")
    assert predicted.metrics()["preprocess"]["pairs"] == 3


def test_rows_without_species_or_class_fall_back(empty: Workspace, sdk: Any) -> None:
    plot = draw(0)
    empty.plots["img_0"] = plot
    save(plot, empty.root / "pictures" / "images" / "img_0.png")
    rows = rows_of("img_0", plot, "images/img_0.png")
    for row in rows:
        del row["category_class_id"], row["category_common_name"]
    write_records(empty.root / "pictures", rows)
    empty.conf("db", {"semif": {"db_path": "semif.db"}})
    empty.predicted()
    mask = empty.predicted_mask("img_0")
    assert set(np.unique(mask)) == {0, 255}
    result = empty.upload()
    assert np.array_equal(seen(sdk, result["task_id"])["img_0.png"]["weed"], mask == 255)
