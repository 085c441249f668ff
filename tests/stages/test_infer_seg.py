from __future__ import annotations

import json
import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import yaml
from PIL import Image

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.engines import Bounds, Processes, Threads
from agir_cvtoolkit.errors import NoRunError, QueryError, UsageError
from agir_cvtoolkit.inference.predictor import RGB, Band, Probabilities
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import load_mask, load_rgb, save_png, sha256_of
from agir_cvtoolkit.records import Box, Record
from agir_cvtoolkit.runs import Run, open_run, start_run
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.build_db import build_db
from agir_cvtoolkit.stages.infer_seg import infer_seg, plan, predict_records
from agir_cvtoolkit.stages.query import query


@dataclass
class Bright:
    """Foreground is where red is above half; counts its calls and fails on demand."""

    name: str = "bright"
    classes: tuple[str, ...] = ("background", "plant")
    class_ids: tuple[int, ...] = (0, 255)
    needs_tiles: Literal[False] = False
    calls: int = 0
    fail_at: int = -1
    error: BaseException = field(default_factory=lambda: RuntimeError("the network broke"))

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        self.calls += 1
        if self.calls == self.fail_at:
            raise self.error
        red = np.where(rgb[..., 0] > 127, np.float32(0.9), np.float32(0.1))
        yield Band(0, np.stack([1 - red, red]))


class Labelled(Bright):
    """Names its classes; the first after the background is found."""

    def predict_bands(self, rgb: RGB) -> Iterator[Band]:
        for band in super().predict_bands(rgb):
            rest = np.zeros((len(self.classes) - 2, *rgb.shape[:2]), dtype=np.float32)
            yield Band(band.top, np.concatenate([band.probabilities, rest]))


def drawn(path: Path, plant: tuple[int, int, int, int] | None = (10, 10, 30, 30)) -> Path:
    rgb = np.full((48, 64, 3), 40, dtype=np.uint8)
    if plant is not None:
        left, top, right, bottom = plant
        rgb[top:bottom, left:right] = 220
    Image.fromarray(rgb).save(path)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return start_run(tmp_path / "outputs" / "runs", "r")


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    names = ["a", "b b", "ü&%#", "../up"]
    return [
        Record(name, drawn(tmp_path / f"{number}.png"), class_id=number + 1, values={"state": "NC"})
        for number, name in enumerate(names)
    ]


def wanted(**output: object) -> SegInference:
    return SegInference.model_validate({"output": output})


def test_each_record_gets_a_picture_a_mask_and_a_line(run: Run, records: list[Record]) -> None:
    result = predict_records(run, records, Bright(), SegInference())
    assert (result.total, result.predicted, result.skipped, result.failed) == (4, 4, 0, 0)
    assert result.exit_code == 0
    for entry, record in zip(run.read_manifest(), records, strict=True):
        assert entry.record_id == record.record_id
        assert entry.image_path is not None
        assert entry.mask_path is not None
        mask = load_mask(run.inside(entry.mask_path), (64, 48))
        assert mask.sum() == 400 * record.class_id
        assert entry.foreground_share == pytest.approx(400 / (64 * 48), abs=1e-6)
        assert entry.label_values == {"state": "NC"}
        with Image.open(run.inside(entry.mask_path)) as image:
            assert image.mode == "L"
    assert len(list(run.path("masks").iterdir())) == 4
    assert not list(run.root.rglob("*.tmp"))
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    assert metrics["total_records"] == metrics["processed"] == 4
    assert metrics["infer-seg"]["model"] == "bright"
    assert metrics["avg_inference_time_ms"] == pytest.approx(metrics["total_inference_time_ms"] / 4, abs=0.01)


def test_the_same_call_again_does_nothing(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), SegInference())
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()}
    predictor = Bright()
    again = predict_records(run, records, predictor, SegInference())
    assert again.already_done
    assert again.predicted == again.kept == 4
    assert predictor.calls == 0
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()} == before


def test_a_killed_pass_goes_on_where_it_stopped(run: Run, records: list[Record]) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict_records(run, records, Bright(fail_at=3, error=KeyboardInterrupt()), SegInference())
    assert [e.record_id for e in run.read_manifest()] == ["a", "b b"]
    with run.manifest_path.open("ab") as stream:
        stream.write(b'{"record_id": "torn')
    predictor = Bright()
    result = predict_records(run, records, predictor, SegInference())
    assert predictor.calls == 2
    assert (result.predicted, result.kept) == (4, 2)
    assert [e.record_id for e in run.read_manifest()] == [r.record_id for r in records]


def test_a_lost_mask_is_made_again(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), SegInference())
    run.path("masks", "a.png").unlink()
    predictor = Bright()
    result = predict_records(run, records, predictor, SegInference())
    assert predictor.calls == 1
    assert not result.already_done
    assert run.path("masks", "a.png").is_file()


def test_other_options_of_a_predictor_are_a_new_pass(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), SegInference())
    other = SegInference.model_validate({"model": {"options": {"level": 2}}})
    assert not predict_records(run, records, Bright(), other).already_done


def test_another_predictor_is_a_new_pass(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), SegInference())
    result = predict_records(run, records[:2], Bright(name="brighter"), SegInference())
    assert result.predicted == 2
    assert {e.model for e in run.read_manifest()} == {"brighter"}
    assert len(list(run.path("history", "infer-seg", "1", "masks").iterdir())) == 4
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    assert [m["model"] for m in metrics["history"]["infer-seg"]] == ["bright"]


def test_device_and_batch_size_are_no_new_pass(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), SegInference())
    other = SegInference.model_validate({"batch_size": 9, "device": "cpu"})
    assert predict_records(run, records, Bright(), other).already_done


def test_what_fails_is_listed_and_the_rest_goes_on(
    run: Run, records: list[Record], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mislabelled = tmp_path / "text.jpg"
    mislabelled.write_text("no picture")
    truncated = tmp_path / "short.png"
    truncated.write_bytes(drawn(tmp_path / "whole.png").read_bytes()[:-30])
    bad = [
        Record("lost", tmp_path / "nowhere.jpg"),
        Record("text", mislabelled),
        Record("short", truncated),
        Record("unnamed", None),
        replace(records[0], record_id="outside", crop=Box(500, 500, 5, 5)),
        records[1],
    ]
    with caplog.at_level(logging.WARNING):
        result = predict_records(run, [*bad[:3], *records, *bad[3:]], Bright(fail_at=2), SegInference())
    assert (result.total, result.predicted, result.skipped, result.failed) == (10, 3, 4, 3)
    assert result.exit_code == 1
    outcomes = {item.record_id: item.outcome for item in result.items}
    assert outcomes == {
        "lost": "skipped", "text": "skipped", "short": "skipped", "unnamed": "skipped",
        "outside": "failed", "b b": "failed",
    }  # fmt: skip
    assert "Could not load image for record lost: picture" in caplog.text
    assert "the network broke" in caplog.text
    assert [e.record_id for e in run.read_manifest()] == ["a", "ü&%#", "../up"]


def test_nothing_predicted_is_a_failed_check(run: Run, tmp_path: Path) -> None:
    lost = [Record(name, tmp_path / f"{name}.jpg") for name in ("a", "b")]
    for result in (
        predict_records(run, lost, Bright(), SegInference()),
        plan(run, lost, Bright()),
    ):
        assert (result.total, result.predicted, result.exit_code) == (2, 0, 4)


def test_repaired_pictures_are_predicted_by_the_same_call(
    run: Run, records: list[Record], tmp_path: Path
) -> None:
    late = Record("late", tmp_path / "late.png")
    assert predict_records(run, [*records, late], Bright(), SegInference()).skipped == 1
    drawn(tmp_path / "late.png")
    predictor = Bright()
    result = predict_records(run, [*records, late], predictor, SegInference())
    assert predictor.calls == 1
    assert (result.predicted, result.skipped) == (5, 0)


def test_a_doubled_record_fails_once(run: Run, records: list[Record]) -> None:
    result = predict_records(run, [records[0], records[0]], Bright(), SegInference())
    assert (result.total, result.predicted, result.failed) == (2, 1, 1)


@pytest.mark.parametrize("class_id", [0, -1, 256, 70_000])
def test_class_ids_that_no_mask_can_hold(
    class_id: int, run: Run, records: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    predict_records(run, [replace(records[0], class_id=class_id)], Bright(), SegInference())
    assert set(np.unique(load_mask(run.path("masks", "a.png")))) == {0, 255}
    assert f"Class id {class_id} of record a" in caplog.text


def test_a_network_with_classes_of_its_own(run: Run, records: list[Record]) -> None:
    predict_records(
        run, records[:1], Bright(classes=("background", "weed"), class_ids=(0, 7)), SegInference()
    )
    assert set(np.unique(load_mask(run.path("masks", "a.png")))) == {0, 7}
    assert run.read_metrics("infer-seg")["classes"] == {"7": "weed"}


@pytest.mark.parametrize(
    ("classes", "class_ids"),
    [(("background", "weed"), (0, 255)), (("background", "weed", "crop"), (0, 255, 1))],
)
def test_255_is_a_class_like_any_other_where_labels_were_learned(
    classes: tuple[str, ...], class_ids: tuple[int, ...], run: Run, records: list[Record]
) -> None:
    predict_records(run, records[:1], Labelled(classes=classes, class_ids=class_ids), SegInference())
    assert set(np.unique(load_mask(run.path("masks", "a.png")))) == {0, 255}
    named = dict(zip(map(str, class_ids[1:]), classes[1:], strict=True))
    assert run.read_metrics("infer-seg")["classes"] == named


def test_all_outputs_on_request(run: Run, records: list[Record]) -> None:
    record = replace(records[0], values={"category_rgb": "[10, 20, 30]"})
    settings = wanted(
        save_cutouts=True,
        cutout_use_rgba=True,
        save_colorized_masks=True,
        colorize_brightness=2,
        save_viz=True,
    )
    predict_records(run, [record], Bright(), settings)
    (entry,) = run.read_manifest()
    assert entry.cutout_path is not None
    assert entry.colorized_mask_path is not None
    assert entry.viz_path is not None
    with Image.open(run.inside(entry.cutout_path)) as cutout:
        assert cutout.mode == "RGBA"
    assert load_rgb(run.inside(entry.colorized_mask_path))[20, 20].tolist() == [20, 40, 60]
    assert load_rgb(run.inside(entry.viz_path)).shape == (48, 64, 3)


def test_nothing_but_the_manifest(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), wanted(save_masks=False, save_images=False))
    assert {path.name for path in run.root.iterdir()} == {".state", "manifest.jsonl", "metrics.json"}
    entries = run.read_manifest()
    assert {(entry.image_path, entry.mask_path) for entry in entries} == {(None, None)}
    assert [entry.sha256 for entry in entries] == [sha256_of(Path(str(e.source_path))) for e in entries]


def test_pictures_that_plants_leave_are_skipped_on_request(run: Run, tmp_path: Path) -> None:
    inside = Record("inside", drawn(tmp_path / "in.png"))
    cut = Record("cut", drawn(tmp_path / "cut.png", (0, 0, 64, 10)))
    settings = SegInference.model_validate({"post_process": {"edge_occupancy_threshold": 0.2}})
    result = predict_records(run, [inside, cut], Bright(), settings)
    assert [item.record_id for item in result.items] == ["cut"]
    assert [path.name for path in run.path("images").iterdir()] == ["inside.png"]


def test_a_wrong_call_ends_the_stage(run: Run, records: list[Record]) -> None:
    with pytest.raises(UsageError):
        predict_records(
            run, records, Bright(fail_at=1, error=UsageError("no memory", "Lower it.")), SegInference()
        )


def test_a_plan_changes_nothing(run: Run, records: list[Record], tmp_path: Path) -> None:
    result = plan(run, [*records, Record("lost", tmp_path / "no.png")], Bright())
    assert result.dry_run
    assert (result.predicted, result.skipped) == (4, 1)
    assert [path.name for path in run.root.iterdir()] == [".state"]


# --- the command ---


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = [
        "cutout_id,image_id,category_common_name,category_class_id,bbox_xywh,fullres_width,fullres_height,image_path"
    ]
    for name in ("one", "two"):
        drawn(folder / "images" / f"{name}.png")
        for index, box in enumerate(("[20, 20, 40, 40]", "[0, 0, 20, 20]")):
            rows.append(f'{name}_{index},{name},barley,7,"{box}",128,96,images/{name}.png')
    (folder / "records.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    build_db(folder, folder / "records.csv", tmp_path / "semif.db")
    return tmp_path


DB = "db.semif.db_path=semif.db"


def test_query_then_predict(workspace: Path) -> None:
    query(call=Call(overrides=(DB,)))
    result = infer_seg(Call(overrides=("io.ledger_url=null",), command_line=("agir-cvtoolkit", "infer-seg")))
    assert result.total == result.predicted == 2
    assert result.model == "excess_green"
    run = open_run(workspace / "outputs" / "runs", result.run_id)
    assert {e.record_id: e.class_id for e in run.read_manifest()} == {"one": 7, "two": 7}
    content = yaml.safe_load(run.path("cfg.infer-seg.yaml").read_text(encoding="utf-8"))
    assert content["seg_inference"]["source"]["image_mode"] == "full_image"
    with Ledger.open(None, workspace / "outputs" / "runs") as ledger:
        assert [event.kind for event in ledger.events_of_record("one")] == ["predicted"]
    assert infer_seg().already_done


def test_a_folder_of_pictures_needs_no_query(workspace: Path) -> None:
    pictures = workspace / "pictures"
    pictures.mkdir()
    for name in ("a", "b"):
        save_png(np.full((64, 64, 3), 90, dtype=np.uint8), pictures / f"{name}.png")
    planned = infer_seg(Call(dry_run=True), folder=pictures)
    assert (planned.total, planned.run_id, planned.manifest_path) == (2, None, None)
    result = infer_seg(folder=pictures)
    assert (result.predicted, infer_seg().already_done) == (2, True)
    save_png(np.full((64, 64, 3), 40, dtype=np.uint8), pictures / "c.png")
    again = infer_seg(folder=pictures)
    assert (again.run_id, again.predicted) == (result.run_id, 3)
    query(call=Call(overrides=(DB,)))
    with pytest.raises(UsageError, match="of other pictures"):
        infer_seg(Call(run=open_run(workspace / "outputs" / "runs").run_id), folder=pictures)


def test_cutouts_have_the_size_of_their_scaled_boxes(workspace: Path) -> None:
    query(call=Call(overrides=(DB,)))
    result = infer_seg(Call(overrides=("seg_inference.source.image_mode=cutout",)))
    entries = {
        e.record_id: e for e in open_run(workspace / "outputs" / "runs", result.run_id).read_manifest()
    }
    assert {i: (e.width, e.height) for i, e in entries.items()} == {
        "one_0": (20, 20), "one_1": (10, 10), "two_0": (20, 20), "two_1": (10, 10),
    }  # fmt: skip


def test_a_dry_run_writes_nothing(workspace: Path) -> None:
    root = query(call=Call(overrides=(DB,))).run_root
    assert root is not None
    before = sorted(root.rglob("*"))
    result = infer_seg(Call(dry_run=True))
    assert result.dry_run
    assert result.predicted == 2
    assert sorted(root.rglob("*")) == before


def test_a_dry_run_without_a_champion_makes_no_ledger(workspace: Path) -> None:
    query(call=Call(overrides=(DB,)))
    before = sorted(workspace.rglob("*"))
    with pytest.raises(UsageError, match="promote"):
        infer_seg(Call(overrides=("seg_inference.model.predictor=champion",), dry_run=True))
    assert sorted(workspace.rglob("*")) == before


def test_without_a_query_the_line_to_type_is_named(workspace: Path) -> None:
    with pytest.raises(NoRunError, match="agir-cvtoolkit query"):
        infer_seg()
    start_run(workspace / "outputs" / "runs", "bare")
    with pytest.raises(NoRunError, match=r"run bare has no query result.*agir-cvtoolkit query --db semif"):
        infer_seg()


def test_an_empty_query_is_a_wrong_call(workspace: Path) -> None:
    with pytest.raises(QueryError, match="no record matches"):
        query(filters=["category_common_name=rye"], call=Call(overrides=(DB,)))
    with pytest.raises(NoRunError):
        infer_seg()


def test_no_secret_reaches_the_recorded_configuration(workspace: Path) -> None:
    query(call=Call(overrides=(DB,)))
    url = "postgresql://me:hunter2@host/db"
    call = Call(command_line=("agir-cvtoolkit", "infer-seg", "-o", f"io.ledger_url={url}"))
    settings = call.settings()
    run = call.open_run(settings)
    call.record_config(run, "infer-seg", settings, {"io": {"ledger_url": url}, "db": [{"url": url}]})
    assert "hunter2" not in run.path("cfg.infer-seg.yaml").read_text(encoding="utf-8")


# --- how much is done at once, and where ---


def opened(_worker: int) -> Bright:
    return Bright()


def content(run: Run) -> dict[str, object]:
    """Return what a run holds, without what a clock says."""
    lines = [json.loads(line) for line in run.manifest_path.read_text(encoding="utf-8").splitlines()]
    files = {str(p.relative_to(run.root)): p.read_bytes() for p in run.root.rglob("*.png")}
    return {"lines": [line | {"inference_time_ms": 0} for line in lines], "files": files}


@pytest.mark.parametrize("workers", [{"readers": 5}, {"megapixels": 1}])
def test_threads_change_nothing(workers: dict[str, int], tmp_path: Path, records: list[Record]) -> None:
    runs = [start_run(tmp_path / name, "r") for name in ("plain", "other")]
    for run, chosen in zip(runs, ({}, workers), strict=True):
        settings = SegInference.model_validate({"workers": chosen})
        predict_records(run, records, Bright(), settings)
    assert content(runs[0]) == content(runs[1])


class TileMean:
    """Foreground is the mean of a tile, so that its neighbours disagree."""

    name = "tile-mean"
    classes = ("background", "plant")
    class_ids = (0, 255)
    needs_tiles: Literal[True] = True

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return 3 * size[0], 3 * size[1]

    def predict_tiles(self, batch: RGB) -> Probabilities:
        red = np.broadcast_to(batch[..., :1].mean(axis=(1, 2), keepdims=True), (*batch.shape[:3], 1))
        plant = np.moveaxis(red, 3, 1).astype(np.float32) / 255
        return np.concatenate([1 - plant, plant], axis=1)


def test_batches_and_readers_change_nothing(tmp_path: Path, records: list[Record]) -> None:
    found = []
    for number, (batch, readers) in enumerate([(1, 1), (2, 4), (100, 2)]):
        run = start_run(tmp_path / str(number), "r")
        settings = {
            "batch_size": batch,
            "workers": {"readers": readers},
            "output": {"save_uncertainty": True},
        }
        tile = {"tile": {"height": 64, "width": 64}}
        predict_records(run, records, TileMean(), SegInference.model_validate(settings | tile))
        found.append(content(run))
    assert found[0] == found[1] == found[2]


class Learned(TileMean):
    """Says what it was trained on."""

    tile_size = (96, 64)


def test_another_tile_is_another_pass_and_the_same_one_is_not(run: Run, records: list[Record]) -> None:
    def named(height: int, width: int) -> SegInference:
        return SegInference.model_validate({"tile": {"height": height, "width": width}})

    def told() -> object:
        return json.loads(run.path("metrics.json").read_text())["infer-seg"]["tile"]

    predict_records(run, records, Learned(), SegInference())
    assert told() == {"height": 96, "width": 64}
    assert predict_records(run, records, Learned(), named(96, 64)).already_done
    assert not predict_records(run, records, Learned(), named(64, 64)).already_done
    assert run.path("history", "infer-seg", "1", "manifest.jsonl").is_file()


def test_what_was_predicted_when_512_was_the_default_stays_done(run: Run, records: list[Record]) -> None:
    of_then = {"height": 512, "width": 512, "overlap": 0.25, "pad_mode": "reflect"}
    predict_records(run, records, Bright(), SegInference.model_validate({"tile": of_then}))
    assert predict_records(run, records, Bright(), SegInference()).already_done


def test_a_picture_that_takes_long_is_heard_of(
    run: Run, records: list[Record], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agir_cvtoolkit.stages._predict_records._SILENCE", 0.0)
    with caplog.at_level(logging.INFO):
        predict_records(run, records[:1], Bright(), SegInference())
    assert "Record a: 48 of 48 rows are predicted" in caplog.text


@pytest.mark.integration
def test_processes_change_nothing(
    tmp_path: Path, records: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = (start_run(tmp_path / name, "r") for name in ("here", "there"))
    lost = Record("lost", tmp_path / "nowhere.png")
    wanted = [*records[:1], lost, *records[1:], replace(records[0], record_id="unusual", class_id=300)]
    predict_records(here, wanted, Bright(), SegInference())
    caplog.clear()
    result = predict_records(there, wanted, Bright(), SegInference(), engine=Processes(2), opened=opened)
    assert (result.predicted, result.skipped) == (5, 1)
    assert "Class id 300 of record unusual" in caplog.text
    assert content(here) == content(there)


def test_workers_are_no_new_pass(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), SegInference())
    other = SegInference.model_validate({"workers": {"processes": 2, "engine": "ray", "readers": 1}})
    assert predict_records(run, records, Bright(), other).already_done


def test_doubt_and_single_plants_are_written_on_request(run: Run, records: list[Record]) -> None:
    predict_records(run, records[:1], Bright(), wanted(save_uncertainty=True, save_instances=True))
    (entry,) = run.read_manifest()
    assert entry.instances == 1
    assert entry.instances_path == "instances/a.png"
    assert entry.uncertainty_path == "uncertainty/a.png"
    with Image.open(run.inside(entry.instances_path)) as image:
        assert np.asarray(image).sum() == 400
    assert load_mask(run.inside(entry.uncertainty_path)).min() > 100
    run.inside(entry.instances_path).unlink()
    again = predict_records(run, records[:1], Bright(), wanted(save_uncertainty=True, save_instances=True))
    assert not again.already_done
    assert run.inside(entry.instances_path).is_file()


def test_the_score_of_the_manifest_is_the_one_that_is_configured(run: Run, records: list[Record]) -> None:
    scores = {}
    for score in ("entropy", "margin", "top_k", "disagreement"):
        settings = SegInference.model_validate({"uncertainty": {"score": score}})
        predict_records(run, records[:1], Bright(), settings)
        scores[score] = run.read_manifest()[0].uncertainty
    assert scores["margin"] == pytest.approx(0.2, abs=1e-5)
    assert scores["entropy"] == pytest.approx(0.468996, abs=1e-5)
    assert scores["top_k"] == scores["entropy"]  # all pixels are as doubtful as each other
    assert scores["disagreement"] == 0  # neither a mirror nor another light changes what is bright


def test_each_class_has_a_colour_of_its_own(run: Run, records: list[Record]) -> None:
    class Striped(Labelled):
        def predict_bands(self, rgb: RGB) -> Iterator[Band]:
            (band,) = super().predict_bands(rgb)
            band.probabilities[[1, 2], :24] = band.probabilities[[2, 1], :24]
            yield band

    striped = Striped(classes=("background", "weed", "crop"), class_ids=(0, 255, 1))
    predict_records(run, records[:1], striped, wanted(save_colorized_masks=True))
    painted = load_rgb(run.path("colorized_masks", "a.png"))
    colours = {tuple(c) for c in painted.reshape(-1, 3).tolist()}
    assert len(colours) == 3


# --- pictures as they come ---


def odd_pictures(folder: Path) -> dict[str, Path]:
    """Return pictures that cameras and programs make besides plain ones; all show the same plant."""
    rgb = np.full((48, 64, 3), 40, dtype=np.uint8)
    rgb[10:30, 10:30] = 220
    image = Image.fromarray(rgb)
    made = {
        name: folder / name
        for name in ("grey.png", "cmyk.jpg", "palette.gif", "wide.png", "moving.gif", "alpha.png")
    }
    image.convert("L").save(made["grey.png"])
    image.convert("CMYK").save(made["cmyk.jpg"], quality=100)
    image.convert("P").save(made["palette.gif"])
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(made["wide.png"])
    image.convert("RGBA").save(made["alpha.png"])
    image.save(made["moving.gif"], save_all=True, append_images=[Image.new("RGB", (64, 48))])
    return made


def test_odd_pictures_are_predicted_like_plain_ones(run: Run, tmp_path: Path) -> None:
    records = [Record(path.stem, path) for path in odd_pictures(tmp_path).values()]
    dot = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), (255, 255, 255)).save(dot)
    result = predict_records(run, [*records, Record("dot", dot)], Bright(), wanted(save_instances=True))
    assert result.items == ()
    for record in records:
        mask = load_mask(run.path("masks", f"{record.record_id}.png"), (64, 48))
        assert mask[11:29, 11:29].min() == 255, record
        assert np.count_nonzero(mask) == 400, record
    assert load_mask(run.path("masks", "dot.png")).shape == (1, 1)


def test_bombs_and_what_vanished_are_named_and_the_rest_goes_on(
    run: Run, records: list[Record], tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb.png"
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)), (b"IDAT", b"x")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    vanishing = tmp_path / "vanishing.png"
    drawn(vanishing)

    class Thief(Bright):
        def predict_bands(self, rgb: RGB) -> Iterator[Band]:
            vanishing.unlink(missing_ok=True)
            return super().predict_bands(rgb)

    listed = [records[0], Record("bomb", bomb), *records[1:], Record("vanishing", vanishing)]
    engine = Threads(Bounds(readers=1, items=1))
    result = predict_records(run, listed, Thief(), SegInference(), engine=engine)
    assert [(i.record_id, i.outcome) for i in result.items] == [("bomb", "skipped"), ("vanishing", "skipped")]
    assert "40000x40000" in result.items[0].reason
    assert "does not exist" in result.items[1].reason
    assert result.predicted == 4


@pytest.mark.parametrize(
    ("instances", "count"),
    [
        ({"method": "components"}, 1),
        ({"method": "watershed", "distance": 8}, 2),
        ({"method": "watershed"}, 1),
    ],
)
def test_the_configuration_says_what_one_plant_is(
    instances: dict[str, object], count: int, run: Run, tmp_path: Path
) -> None:
    y, x = np.mgrid[:48, :64]
    two = ((x - 20) ** 2 + (y - 24) ** 2 < 130) | ((x - 40) ** 2 + (y - 24) ** 2 < 130)
    Image.fromarray(np.where(two[..., None], 220, 40).astype(np.uint8).repeat(3, 2)).save(
        tmp_path / "two.png"
    )
    settings = SegInference.model_validate({"instances": instances, "output": {"save_instances": True}})
    predict_records(run, [Record("two", tmp_path / "two.png")], Bright(), settings)
    assert run.read_manifest()[0].instances == count


def test_top_k_is_a_share_of_the_picture(run: Run, records: list[Record]) -> None:
    class Corner(Bright):
        def predict_bands(self, rgb: RGB) -> Iterator[Band]:
            plant = np.zeros(rgb.shape[:2], dtype=np.float32)
            plant[:24, :32] = 0.5  # a quarter of the picture
            yield Band(0, np.stack([1 - plant, plant]))

    scores = []
    for share in (0.25, 0.5):
        settings = SegInference.model_validate({"uncertainty": {"score": "top_k", "top_k": share}})
        predict_records(run, records[:1], Corner(), settings)
        scores.append(run.read_manifest()[0].uncertainty)
    assert scores == [pytest.approx(1.0, abs=1e-4), pytest.approx(0.5, abs=1e-4)]
