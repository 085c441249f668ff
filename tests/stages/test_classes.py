"""``dataset/classes.json``: a label keeps its mask value for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import Run, write_json
from agir_cvtoolkit.stages._classes import class_table, extend_classes, ids_by_label, read_classes


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("a", tmp_path)


def test_a_single_label_without_an_id_is_255(run: Run) -> None:
    assert extend_classes(run, ["weed"], {}) == {"weed": 255}
    content = json.loads(class_table(run).read_text())
    assert content["classes"] == [{"id": 0, "name": "background"}, {"id": 255, "name": "weed"}]


def test_labels_take_the_ids_of_their_records(run: Run) -> None:
    assert extend_classes(run, ["rye", "barley"], {"rye": {27}, "barley": {5}}) == {"barley": 5, "rye": 27}


def test_an_id_that_is_shared_or_doubtful_is_not_taken(run: Run) -> None:
    found = extend_classes(run, ["a", "b", "c"], {"a": {9}, "b": {9}, "c": {3, 4}})
    assert found["a"] == 9
    assert len(set(found.values())) == 3
    assert 0 not in found.values()


def test_values_once_given_stay(run: Run) -> None:
    first = extend_classes(run, ["weed"], {})
    write_json(class_table(run), json.loads(class_table(run).read_text()) | {"of_training": 1})
    second = extend_classes(run, ["crop", "weed"], {"weed": {7}})
    assert second["weed"] == first["weed"]
    assert read_classes(class_table(run)) == second
    assert json.loads(class_table(run).read_text())["of_training"] == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.lists(st.text(max_size=4), max_size=6), max_size=4),
    st.dictionaries(st.text(max_size=4), st.sets(st.integers(0, 300), max_size=2), max_size=6),
)
def test_however_labels_come_values_differ_and_stay(
    tmp_path: Path, batches: list[list[str]], known: dict[str, set[int]]
) -> None:
    run = Run("a", tmp_path)
    class_table(run).unlink(missing_ok=True)
    before: dict[str, int] = {}
    for labels in batches:
        after = extend_classes(run, labels, known)
        assert set(after) == set(before) | set(labels)
        assert all(after[name] == value for name, value in before.items())
        assert len(set(after.values())) == len(after)
        assert all(0 < value <= 255 for value in after.values())
        before = after


def test_more_labels_than_values(run: Run) -> None:
    with pytest.raises(DataError, match="no mask value"):
        extend_classes(run, [f"label {n}" for n in range(256)], {})


@pytest.mark.parametrize(
    "content",
    [
        {"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
        {"classes": [{"id": 300, "name": "a"}]},
        {"classes": [{"name": "a"}]},
        {"classes": ["a"]},
        {"classes": 5},
    ],
)
def test_a_damaged_table_is_named(run: Run, content: object) -> None:
    write_json(class_table(run), content)
    with pytest.raises(DataError, match=r"classes\.json"):
        read_classes(class_table(run))


def test_ids_by_label_leave_out_what_says_nothing() -> None:
    assert ids_by_label([("a", 3), ("a", 4), ("b", 255), ("c", 0), ("c", 7)]) == {"a": {3, 4}, "c": {7}}
