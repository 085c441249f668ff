"""Versions of data sets and hashes of pictures, on every kind of ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.ledger import DatasetMember, DatasetVersion, Ledger, PictureHash

from .conftest import changing

FIRST = DatasetVersion(
    "v1",
    "run",
    None,
    "/runs/run/dataset",
    {"tasks": [5]},
    2,
    3,
    {"train": 4},
    ("background", "plant"),
    (90, 10),
)
MEMBERS = [
    DatasetMember("r2", "a" * 64, "b" * 64, "picture", "train"),
    DatasetMember("r1", "c" * 64, "d" * 64, "other", "test"),
]


def test_a_version_is_recorded_once_with_its_members(ledger: Ledger) -> None:
    assert ledger.record_dataset(FIRST, MEMBERS)
    assert not ledger.record_dataset(replace(FIRST, run_id="another"), [])
    (found,) = ledger.datasets()
    assert found.created
    assert replace(found, created="") == FIRST
    assert ledger.dataset_members("v1") == [MEMBERS[1], MEMBERS[0]]
    assert ledger.dataset_members("v2") == []


def test_the_newest_version_comes_first(ledger: Ledger) -> None:
    ledger.record_dataset(FIRST, MEMBERS)
    ledger.record_dataset(replace(FIRST, version="v2", parent="v1"), MEMBERS[:1])
    assert {row.version: row.parent for row in ledger.datasets()} == {"v2": "v1", "v1": None}
    created = [row.created for row in ledger.datasets()]
    assert created == sorted(created, reverse=True)


def test_the_life_of_a_record_tells_when_it_came_and_when_it_moved(ledger: Ledger) -> None:
    ledger.record_dataset(FIRST, MEMBERS)
    moved = replace(MEMBERS[0], side="val")
    ledger.record_dataset(replace(FIRST, version="v2", parent="v1"), [moved, MEMBERS[1]])
    lives = {r: [(e.kind, e.detail) for e in ledger.events_of_record(r)] for r in ("r1", "r2")}
    assert lives["r1"] == [("in data set", {"version": "v1", "side": "test"})]
    assert [detail["side"] for _, detail in lives["r2"]] == ["train", "val"]


def test_hashes_are_remembered_by_content(ledger: Ledger) -> None:
    pictures = [PictureHash(f"{n:064x}", 8, 6, (1 << 63) + n) for n in range(1200)]
    ledger.record_hashes(pictures)
    ledger.record_hashes([replace(pictures[0], phash=7), pictures[1]])
    wanted = [pictures[0].sha256, pictures[1].sha256, pictures[-1].sha256, "unknown"]
    found = ledger.perceptual_hashes(wanted)
    assert list(found.values()) == [7, pictures[1].phash, pictures[-1].phash, None]
    assert list(found) == wanted


def test_a_ledger_of_before_gets_what_it_lacks(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root):
        pass
    with changing(url) as connection:
        connection.exec_driver_sql("alter table images drop column phash")
        for table in ("dataset_versions", "dataset_members"):
            connection.exec_driver_sql(f"drop table {table}")
        connection.exec_driver_sql("delete from migrations where name = '005_versions_of_data_sets'")
    with Ledger.open(url, out_root) as opened:
        opened.record_hashes([PictureHash("a" * 64, 8, 6, 3)])
        assert opened.perceptual_hashes(["a" * 64]) == {"a" * 64: 3}
        assert opened.record_dataset(FIRST, MEMBERS)


def test_a_record_that_is_forgotten_is_in_no_data_set_any_more(ledger: Ledger) -> None:
    shared = replace(MEMBERS[1], record_id="r3", sha256=MEMBERS[0].sha256)
    ledger.record_dataset(FIRST, [*MEMBERS, shared])
    ledger.record_hashes(PictureHash(m.sha256, 8, 6, 3) for m in MEMBERS)
    ledger.grow_split("segmentation", lambda _: {m.sha256: "test" for m in MEMBERS})
    ledger.forget_record("r1", "forgotten-1")
    assert [m.record_id for m in ledger.dataset_members("v1")] == ["r2", "r3"]
    assert ledger.perceptual_hashes([m.sha256 for m in MEMBERS]) == {"a" * 64: 3, "c" * 64: None}
    assert set(ledger.split_members("segmentation")) == {"a" * 64}
    ledger.forget_record("r2", "forgotten-2")
    assert set(ledger.split_members("segmentation")) == {"a" * 64}, "r3 is the same picture"
