"""Models of two kinds, and splits that never change."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from agir_cvtoolkit.ledger import Ledger

from .conftest import changing


def test_each_kind_has_a_champion_of_its_own(ledger: Ledger) -> None:
    ledger.record_model("s1", "/s1", "unet", "run", {"metrics": {"val_iou": 0.8}})
    for version in ("p1", "p2"):
        ledger.record_model(version, f"/{version}", "heatmap", "run", {"kind": "pose"})
    for version in ("s1", "p1", "p2"):
        ledger.promote(version)
    segmentation, pose = ledger.champion(), ledger.champion("pose")
    assert segmentation is not None
    assert pose is not None
    assert (segmentation.version, segmentation.kind) == ("s1", "segmentation")
    assert (pose.version, pose.kind) == ("p2", "pose")
    assert segmentation.metrics == {"val_iou": 0.8}
    assert ledger.orphans() == []


def test_an_evaluation_takes_the_place_of_the_card(ledger: Ledger) -> None:
    ledger.record_model("p1", "/p1", "heatmap", "run", {"kind": "pose", "metrics": {"val": 1, "x": "text"}})
    before = ledger.model("p1")
    assert before is not None
    assert (before.metrics, before.test_set) == ({"val": 1.0}, None)
    ledger.record_evaluation("p1", {"pck@0.10": 0.75}, "abc")
    ledger.record_evaluation("nobody", {"pck@0.10": 0.1}, "abc")
    after = ledger.model("p1")
    assert after is not None
    assert (after.metrics, after.test_set) == ({"pck@0.10": 0.75}, "abc")
    assert ledger.model("nobody") is None


def test_models_of_a_ledger_without_kinds_are_for_segmentation(url: str, out_root: Path) -> None:
    with Ledger.open(url, out_root) as opened:
        opened.record_model("v1", "/m", "unet", "run", {"metrics": {"val_iou": 0.5}})
        opened.promote("v1")
    with changing(url) as connection:
        for column in ("kind", "metrics", "test_set"):
            connection.exec_driver_sql(f"alter table models drop column {column}")
        connection.exec_driver_sql("drop table test_members")
        connection.exec_driver_sql("delete from migrations where name > '003_what_was_changed'")
    with Ledger.open(url, out_root) as opened:
        champion = opened.champion()
        assert champion is not None
        assert (champion.version, champion.kind, champion.metrics) == ("v1", "segmentation", {"val_iou": 0.5})
        opened.record_model("p1", "/p", "heatmap", "run", {"kind": "pose"})
        opened.promote("p1")
        still = opened.champion()
        assert still is not None
        assert still.version == "v1"
        assert opened.split_members("pose") == {}
    assert (out_root.parent / "ledger.db.before-004_models_of_two_kinds.bak").is_file()


def test_a_side_is_given_once(ledger: Ledger) -> None:
    assert ledger.grow_split("pose", lambda known: {"a": "test", "b": "train"}) == {"a": "test", "b": "train"}

    def other(known: Mapping[str, str]) -> Mapping[str, str]:
        assert known == {"a": "test", "b": "train"}
        return {"a": "train", "c": "train"}

    expected = {"a": "test", "b": "train", "c": "train"}
    assert ledger.grow_split("pose", other) == expected
    assert ledger.split_members("pose") == expected
    assert ledger.split_members("another") == {}
    assert ledger.forget_split_member("pose", "a")
    assert not ledger.forget_split_member("pose", "a")
    assert ledger.split_members("pose") == {"b": "train", "c": "train"}


def test_who_draws_at_the_same_time_sees_what_the_other_drew(url: str, out_root: Path) -> None:
    found: list[Mapping[str, str]] = []
    gate = threading.Barrier(4)

    def draw(side: str) -> None:
        with Ledger.open(url, out_root) as opened:
            gate.wait()
            found.append(opened.grow_split("pose", lambda known: {"a": side}))

    with Ledger.open(url, out_root):
        pass
    threads = [threading.Thread(target=draw, args=(side,)) for side in ("test", "train", "test", "train")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(each == found[0] for each in found)
