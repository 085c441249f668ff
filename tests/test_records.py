"""Records: file names that are safe and never shared, boxes, manifest lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agir_cvtoolkit.records import Box, ManifestEntry, Record, file_stem

ANY_TEXT = st.text(st.characters(), max_size=400)
ODD_IDS = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/abs",
    "a/b",
    "a\\b",
    "a:b",
    " ",
    "trailing ",
    "trailing.",
    ".hidden",
    "new\nline",
    "nul\x00",
    "tab\t",
    "\ud800",
    "x" * 5000,
    "ü" * 500,
    '*?<>|"',
]
SAFE_IDS = ["MD_1659702025_1", "hairy vetch", "Grün & weiß #5 %20", "a.b.c", "id (2)", "日本", "e\u0301"]


@pytest.mark.parametrize("record_id", SAFE_IDS)
def test_a_safe_id_names_its_own_files(record_id: str) -> None:
    assert file_stem(record_id) == record_id


@pytest.mark.parametrize("record_id", ODD_IDS)
def test_an_odd_id_gets_a_safe_name_with_a_hash(record_id: str, tmp_path: Path) -> None:
    stem = file_stem(record_id)
    assert stem != record_id
    target = tmp_path / f"{stem}.png"
    target.write_bytes(b"x")
    assert [p.name for p in tmp_path.iterdir()] == [f"{stem}.png"]


@given(ANY_TEXT)
@example("\udcff")
def test_a_stem_is_one_short_encodable_path_component(record_id: str) -> None:
    stem = file_stem(record_id)
    assert stem
    assert Path(stem).name == stem
    assert not set(stem) & set('/\\:*?"<>|\x00\n\r\t')
    assert not stem.startswith(".")
    assert stem == stem.rstrip(". ")
    assert len(os.fsencode(stem)) <= 180
    stem.encode("utf-8")


@given(ANY_TEXT)
def test_a_stem_names_itself(record_id: str) -> None:
    assert file_stem(file_stem(record_id)) == file_stem(record_id)


@given(st.lists(st.text(st.sampled_from("ab/\\: .\ud800\ud801"), max_size=6), unique=True, max_size=30))
def test_two_ids_never_share_a_stem(ids: list[str]) -> None:
    assert len({file_stem(i) for i in ids}) == len(ids)


def test_record_stem_is_that_of_its_id() -> None:
    assert Record("a/b", None).stem == file_stem("a/b")


def test_records_are_values_that_can_be_hashed() -> None:
    first = Record("a", Path("a.jpg"), values={"state": "NC"})
    assert hash(first) == hash(Record("a", Path("a.jpg"), values={"state": "NC"}))
    assert first != Record("a", Path("a.jpg"), values={"state": "MD"})


# --- boxes ----------------------------------------------------------------------------------------


def test_box_is_scaled_in_each_direction_by_itself() -> None:
    assert Box(100, 200, 50, 80).scaled((1000, 2000), (500, 500)) == Box(50, 50, 25, 20)


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        (Box(1, 2, 3, 4), Box(1, 2, 3, 4)),
        (Box(-5, -5, 10, 10), Box(0, 0, 5, 5)),
        (Box(95, 45, 10, 10), Box(95, 45, 5, 5)),
        (Box(-10, -10, 500, 500), Box(0, 0, 100, 50)),
        (Box(100, 0, 5, 5), None),
        (Box(0, -5, 5, 5), None),
        (Box(3, 3, 0, 5), None),
    ],
)
def test_box_is_clipped_to_its_picture(box: Box, clipped: Box | None) -> None:
    assert box.clipped((100, 50)) == clipped


NUMBER = st.floats(-1e6, 1e6)


@given(NUMBER, NUMBER, st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_clipped_box_lies_in_its_picture(x: float, y: float, w: float, h: float, pw: int, ph: int) -> None:
    clipped = Box(x, y, w, h).clipped((pw, ph))
    if clipped is not None:
        assert 0 <= clipped.x < pw
        assert 0 <= clipped.y < ph
        assert clipped.x + clipped.width <= pw + 1e-6
        assert clipped.y + clipped.height <= ph + 1e-6


# --- manifest -------------------------------------------------------------------------------------


def entry(**changes: object) -> ManifestEntry:
    values: dict[str, object] = {
        "record_id": "MD_1",
        "common_name": "hairy vetch",
        "image_path": "images/MD_1.jpg",
        "mask_path": None,
        "width": 20,
        "height": 10,
        "sha256": "00" * 32,
        "model": "excess_green",
        "uncertainty": 0.25,
        "edge_occupancy": 0.5,
        "inference_time_ms": 12.5,
    }
    return ManifestEntry(**(values | changes))  # type: ignore[arg-type]


@given(
    st.text(st.characters(), max_size=30),
    st.dictionaries(
        st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=3
    ),
    st.lists(st.text(max_size=5), max_size=3),
)
def test_a_manifest_line_reads_back_what_was_written(
    record_id: str, values: dict[str, str | int | bool | None], conflicts: list[str]
) -> None:
    written = entry(record_id=record_id, label_values=values, conflicts=tuple(conflicts))
    line = written.to_json()
    assert "\n" not in line
    assert ManifestEntry.from_json(line) == written


def test_a_manifest_line_of_another_version_is_read() -> None:
    content = json.loads(entry().to_json())
    for optional in ("foreground_share", "class_id", "conflicts", "label_values", "viz_path"):
        del content[optional]
    read = ManifestEntry.from_json(json.dumps(content | {"of_tomorrow": [1, 2]}))
    assert (read.class_id, read.conflicts, read.label_values) == (255, (), {})


def test_null_conflicts_are_none() -> None:
    content = json.loads(entry().to_json()) | {"conflicts": None}
    assert ManifestEntry.from_json(json.dumps(content)).conflicts == ()


@pytest.mark.parametrize(
    "line",
    ["", "[]", "3", "null", '"text"', "{}", '{"record_id": "a"}', '{"record_id": "a', '{"conflicts": 3}'],
)
def test_a_line_that_is_no_entry_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        ManifestEntry.from_json(line)


@pytest.mark.parametrize("line", ['{"record_id": 5}', '{"width": "20"}', '{"record_id": null}'])
def test_wrong_types_are_refused(line: str) -> None:
    content = json.loads(entry().to_json()) | json.loads(line)
    with pytest.raises(ValueError, match=next(iter(json.loads(line)))):
        ManifestEntry.from_json(json.dumps(content))
