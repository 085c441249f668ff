"""What the ledger remembers of captures that were looked at."""

from __future__ import annotations

from agir_cvtoolkit.ledger import Ledger


def said(capture: str, rule: str, place: str = "folder") -> dict[str, object]:
    return {"capture": capture, "rule": rule, "place": place, "round": 1}


def test_looks_are_remembered_until_a_capture_is_transferred(ledger: Ledger) -> None:
    first = {"a": said("a/1", "others came first"), "b": said("b", "near-duplicate of a/1")}
    ledger.record_looks("look-1", first)
    ledger.record_looks("look-1", first)
    assert [event.kind for event in ledger.events_of_record("a")] == ["looked_at"], (
        "once, however often it is told"
    )
    ledger.record_looks(
        "look-2", {"b": said("b", "others came first"), "c": said("c", "x", place="elsewhere")}
    )
    assert {name: detail["rule"] for name, detail in ledger.looked_at("folder").items()} == {
        "a/1": "others came first",
        "b": "others came first",
    }
    assert set(ledger.looked_at()) == {"a/1", "b", "c"}
    ledger.record_transfers("transfer-1", {"b": {"capture": "b", "place": "folder"}})
    assert set(ledger.looked_at("folder")) == {"a/1"}
    ledger.forget_record("a", "forgotten-1")
    assert ledger.looked_at("folder") == {}
