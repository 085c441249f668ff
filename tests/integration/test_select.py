"""The batch that was chosen, and nothing else, goes to the annotators: pictures, and regions of pictures."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from agir_cvtoolkit.choosing import parted_id
from agir_cvtoolkit.errors import ConfigError, DataError
from agir_cvtoolkit.pictures import load_mask, load_rgb
from agir_cvtoolkit.runs import read_json_object
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.select import SelectResult, select, select_explain
from agir_cvtoolkit.stages.upload_cvat import upload_cvat

from .workspace import Json, Workspace

pytestmark = pytest.mark.integration

PLAIN = ("select.embeddings=layout", "select.near_duplicates=null", "select.alike=null")
REGIONS = (*PLAIN, "select.unit=region", "select.region.size=32", "select.per_picture=2")


@pytest.fixture
def pool(empty: Workspace) -> Workspace:
    empty.fill(6)
    empty.cli("query", "--db", "semif")
    output = ("save_images=true", "save_uncertainty=true")
    empty.cli("infer-seg", *(word for key in output for word in ("-o", f"seg_inference.output.{key}")))
    return empty


def chosen(count: int, *overrides: str) -> SelectResult:
    return select(count, call=Call(overrides=(*PLAIN, *overrides)))


def on_server(workspace: Workspace) -> dict[str, Json]:
    return {
        str(frame["name"]).removesuffix(".png"): frame
        for task in workspace.tasks()
        for frame in workspace.frames(int(task["id"]))
    }


def test_upload_sends_the_batch_and_the_next_choice_leaves_it_out(pool: Workspace) -> None:
    first = chosen(3)
    names = [choice.unit_id for choice in first.choices]
    assert (first.number, first.chosen, first.control) == (1, 3, 1)
    again = chosen(3)
    assert (again.number, again.choices) == (1, first.choices)
    assert upload_cvat().added == 3
    assert sorted(on_server(pool)) == sorted(names)
    second = chosen(3)
    assert second.number == 2
    assert not {choice.unit_id for choice in second.choices} & set(names)
    assert second.counts["labelled or in flight"] == 3
    earlier = pool.run / "history" / "select" / "1" / "select"
    assert {path.name for path in earlier.iterdir()} == {"batch.jsonl", "choices.csv", "selection.json"}
    assert upload_cvat().uploaded_annotations == 3
    assert len(on_server(pool)) == 6
    life = pool.cli("why", names[0]).stdout
    assert "selected" in life
    assert "control: drawn at random" in life


def test_a_batch_that_was_not_sent_is_replaced(pool: Workspace) -> None:
    chosen(3)
    other = chosen(2, "select.strategy=uncertainty", "select.seed=4")
    assert other.number == 2
    with (pool.run / "select" / "choices.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    assert [row["unit_id"] for row in rows if row["chosen"] == "1"] == [one.unit_id for one in other.choices]
    assert "labelled or in flight" not in other.counts
    from agir_cvtoolkit.ledger import Ledger

    with Ledger.open(None, pool.root / "outputs" / "runs") as ledger:
        assert [row.unit_id for row in ledger.selections()] == [one.unit_id for one in other.choices]


def test_regions_go_there_and_back_and_are_learned_from_beside_their_picture(pool: Workspace) -> None:
    result = select(5, call=Call(overrides=REGIONS))
    units = [choice.unit_id for choice in result.choices]
    assert len(units) == 5
    lines = (pool.run / "select" / "batch.jsonl").read_text(encoding="utf-8").splitlines()
    entries = {entry["record_id"]: entry for entry in map(json.loads, lines)}
    assert list(entries) == units
    for unit, entry in entries.items():
        record, region = parted_id(unit)
        assert region is not None
        part = np.s_[region.top : region.top + region.height, region.left : region.left + region.width]
        whole = load_rgb(pool.run / pool.manifest()[record]["image_path"])
        assert np.array_equal(load_rgb(pool.run / entry["image_path"]), whole[part])
        assert np.array_equal(load_mask(pool.run / entry["mask_path"]), pool.predicted_mask(record)[part])
    pushed = upload_cvat()
    assert pushed.added == 5
    (task,) = pool.tasks()
    assert {(frame["width"], frame["height"]) for frame in pool.frames(int(task["id"]))} == {(32, 32)}
    pool.complete(int(task["id"]))
    pool.cli("download-cvat")
    came = pool.pulled(int(task["id"]))
    assert sorted(came) == sorted(units)
    for unit, mask in came.items():
        proposed = load_mask(pool.run / entries[unit]["mask_path"])
        assert mask is not None or not proposed.any()
        assert mask is None or np.array_equal(mask > 0, proposed > 0)
    # The next batch moves the first one's pictures away; they are learned from all the same.
    following = select(4, call=Call(overrides=REGIONS))
    assert not {choice.unit_id for choice in following.choices} & set(units)
    split = ("train=0.6", "val=0.2", "test=0.2")
    pool.cli("preprocess", *(word for one in split for word in ("-o", f"preprocess.split.{one}")), code=None)
    splits = read_json_object(pool.run / "dataset" / "splits.json")
    tiles = {tile: tile.removesuffix("_x0_y0") for tile in splits["picture_of"]}
    assert set(tiles.values()) == set(came)
    assert all(splits["picture_of"][tile] == parted_id(unit)[0] for tile, unit in tiles.items())
    sides = {(splits["picture_of"][tile], side) for side in ("train", "val", "test") for tile in splits[side]}
    assert len(sides) == len(set(splits["picture_of"].values()))
    life = pool.cli("why", parted_id(units[0])[0]).stdout
    assert f"region {parted_id(units[0])[1]}" in life
    pool.cli("export", "coco", "--out", "exported")
    listed = json.loads(next((pool.root / "exported").rglob("*.json")).read_text(encoding="utf-8"))["images"]
    assert {(image["width"], image["height"]) for image in listed} == {(32, 32)}


def test_a_labelled_picture_gives_no_regions(pool: Workspace) -> None:
    first = chosen(2)
    upload_cvat()
    regions = select(60, call=Call(overrides=(*REGIONS, "select.per_picture=null")))
    records = {choice.record_id for choice in regions.choices}
    assert records
    assert not records & {choice.unit_id for choice in first.choices}


def test_films_are_chosen_from_by_what_jumps_in_them(pool: Workspace) -> None:
    lines = [json.loads(line) for line in (pool.run / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        line["foreground_share"] = 0.9 if line["record_id"] == lines[2]["record_id"] else 0.1
    (pool.run / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    jumpy = ("select.scores={jump: 1, uncertainty: 0}", "select.strategy=uncertainty", "select.control=0")
    with pytest.raises(ConfigError, match=r"select\.sequence\.by"):
        chosen(1, *jumpy)
    with pytest.raises(ConfigError, match="no record has a column 'reel'"):
        chosen(1, *jumpy, "select.sequence.by=reel")
    (found,) = chosen(1, *jumpy, "select.sequence.by=folder").choices
    assert found.unit_id == lines[2]["record_id"]
    with pytest.raises(ConfigError, match="finite"):
        chosen(1, "select.scores={uncertainty: nan}")


def test_a_damaged_list_of_choices_is_named(pool: Workspace) -> None:
    chosen(2)
    (pool.run / "select" / "choices.csv").write_text("garbage\n")
    with pytest.raises(DataError, match=r"choices\.csv cannot be read: it has no column unit_id"):
        select_explain()


def test_a_damaged_batch_says_to_select_again(pool: Workspace) -> None:
    chosen(2)
    (pool.run / "select" / "batch.jsonl").write_text("{nonsense\n")
    with pytest.raises(DataError, match=r"line 1 is damaged.*Select again"):
        upload_cvat()
