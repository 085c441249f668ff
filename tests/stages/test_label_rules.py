"""Which label a record gets: `cvat_upload.label_map` as the first seed writes it."""

from __future__ import annotations

import math

import pytest

from agir_cvtoolkit.errors import ConfigError, LabelError
from agir_cvtoolkit.records import FieldValue
from agir_cvtoolkit.stages._label_rules import LabelRules

VALUE = {"category_common_name": "{value}"}


def rules(label_map: dict[str, str | dict[int, str]], classes: dict[int, str] | None = None) -> LabelRules:
    return LabelRules.from_settings(label_map, classes or {})


@pytest.mark.parametrize(
    ("label_map", "value", "label"),
    [
        (VALUE, "barley", "barley"),
        ({**VALUE, "_default": "unknown"}, "barley", "barley"),
        ({**VALUE, "_default": "unknown"}, None, "unknown"),
        ({"_default": "weed"}, "barley", "weed"),
        ({"category_common_name": "plant", "_default": "weed"}, "barley", "plant"),
        ({"category_common_name": "x {value}"}, "barley", "x {value}"),
        (VALUE, None, "unknown"),
        ({}, "barley", "unknown"),
        (VALUE, 27, "27"),
    ],
)
def test_the_seeds_maps(label_map: dict[str, str | dict[int, str]], value: FieldValue, label: str) -> None:
    assert rules(label_map).label_for({"category_common_name": value}) == label


@pytest.mark.parametrize("absent", [None, "", "  ", "None", "null", "NaN", math.nan, False])
def test_what_counts_as_no_value(absent: FieldValue) -> None:
    assert rules({**VALUE, "_default": "weed"}).label_for({"category_common_name": absent}) == "weed"
    assert rules({**VALUE, "_default": "weed"}).label_for({}) == "weed"


def test_the_first_column_with_a_value_wins() -> None:
    ordered = rules({"species": "{value}", "family": "{value}", "_default": "weed"})
    assert ordered.label_for({"species": None, "family": "Poaceae"}) == "Poaceae"
    assert ordered.label_for({"species": "rye", "family": "Poaceae"}) == "rye"


def test_rows_that_differ_take_the_default_or_fail() -> None:
    values: dict[str, FieldValue] = {"category_common_name": "barley"}
    conflicts = {"category_common_name"}
    assert rules({**VALUE, "_default": "weed"}).label_for(values, conflicts) == "weed"
    assert rules({**VALUE, "_default": "weed"}).label_for(values, {"state"}) == "barley"
    with pytest.raises(LabelError, match="category_common_name") as caught:
        rules(dict(VALUE)).label_for(values, conflicts)
    assert "_default" in caught.value.next_step


MODEL = {1: "crop", 2: "weed"}
BY_VALUE: dict[str, str | dict[int, str]] = {"_class": {1: "crop", 2: "weed"}}


def test_a_configured_class_maps_value_by_value() -> None:
    assert rules(BY_VALUE).labels_of((1, 2), {}) == {1: "crop", 2: "weed"}
    assert rules(BY_VALUE, {1: "a", 2: "b"}).labels_of((2,), {}) == {2: "weed"}
    mixed = rules({**BY_VALUE, "_default": "stone", "species": "{value}"})
    assert mixed.labels_of((1, 7, 255), {"species": "rye"}) == {1: "crop", 7: "stone", 255: "stone"}
    assert rules({"_class": {255: "plant"}, **VALUE}).labels_of((255,), {}) == {255: "plant"}
    assert rules(BY_VALUE).labels_of((), {}, {"species"}) == {}


def test_a_value_that_a_configured_class_leaves_out_fails_without_default() -> None:
    single: dict[str, str | dict[int, str]] = {"_class": {1: "crop"}, **VALUE}
    for label_map in (BY_VALUE, single):
        with pytest.raises(LabelError, match=r"mask value 7 has no label in cvat_upload\.label_map\._class"):
            rules(label_map).labels_of((1, 7), {"category_common_name": "rye"})


def test_names_of_the_model_count_where_there_are_several_and_they_cover_the_mask() -> None:
    model = rules({"_default": "weed"}, MODEL)
    assert model.labels_of((1, 2), {}) == {1: "crop", 2: "weed"}
    assert model.labels_of((1, 255), {}) == {1: "weed", 255: "weed"}
    assert rules({"_default": "weed"}, {255: "plant"}).labels_of((255,), {}) == {255: "weed"}
    assert rules(dict(VALUE), {1: "plant"}).labels_of((1,), {"category_common_name": "rye"}) == {1: "rye"}


@pytest.mark.parametrize("label_map", [{"_class": "weed"}, {"state": {1: "x"}}, {"_default": {1: "x"}}])
def test_values_of_the_wrong_kind(label_map: dict[str, str | dict[int, str]]) -> None:
    with pytest.raises(ConfigError, match=r"cvat_upload\.label_map"):
        rules(label_map)
