from __future__ import annotations

import json
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.filters import parse_filter, parse_filters
from agir_cvtoolkit.sources.sqlite import SqliteDatabase

from .tables import ids, make_database, plan_for

ALL = ["a_0", "a_1", "b_0", "c_0", "d_0"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["state=NC"], ["a_0", "a_1"]),
        (["state==NC"], ["a_0", "a_1"]),
        (["STATE = NC"], ["a_0", "a_1"]),
        (["state=NC,MD"], ["a_0", "a_1", "b_0"]),
        (["state=[NC, 'MD']"], ["a_0", "a_1", "b_0"]),
        (['state==["NC","MD"]'], ["a_0", "a_1", "b_0"]),
        (["state=('TX',)"], ["c_0"]),
        (["category_common_name=palmer amaranth,maize"], ["a_1", "d_0"]),
        (["category_common_name=lamb's quarters"], ["b_0"]),
        (["category_common_name='lamb''s quarters'"], ["b_0"]),
        (["state=NC,category_common_name=barley"], ["a_0"]),
        (["state=NC,MD,category_common_name=barley,maize"], ["a_0"]),
        (["state=NC,state=MD"], ["a_0", "a_1", "b_0"]),
        (["state=NC AND state=MD"], []),
        (["state=NC", "state=MD"], ["a_0", "a_1", "b_0"]),
        (["state=NC", "area>=50"], ["a_1"]),
        (["state in [NC]", "state=MD"], []),
        (["state!=NC"], ["b_0", "c_0"]),
        (["state!=NC,MD"], ["c_0"]),
        (["state<>NC"], ["b_0", "c_0"]),
        (["state not in [NC, MD]"], ["c_0"]),
        (["area>=50,area<=200"], ["a_1", "b_0"]),
        (["area > 10 AND area < 100.5"], ["a_1", "b_0"]),
        (["area in [10,100]"], ["a_0", "b_0"]),
        (["area in (10, 100)"], ["a_0", "b_0"]),
        (["area between [10,100]"], ["a_0", "a_1", "b_0"]),
        (["area between 10 and 100 and state=NC"], ["a_0", "a_1"]),
        (["area not between 10 and 100"], ["d_0"]),
        (["area is null"], ["c_0"]),
        (["state IS NOT NULL"], ["a_0", "a_1", "b_0", "c_0"]),
        (["state=null"], ["d_0"]),
        (["state=TX,null"], ["c_0", "d_0"]),
        (["state='null'"], []),
        (["season=2022"], ["a_0", "a_1"]),
        (["category_class_id=2"], ["a_1"]),
        (["category_class_id=2.0"], ["a_1"]),
        (["datetime<=2022-12-31"], ["a_0", "a_1"]),
        (["datetime<2022-12-31"], ["a_0"]),
        (["datetime>2022-12-31"], ["b_0", "c_0"]),
        (["datetime>=2023-01-01T00:00"], ["b_0", "c_0"]),
        (["datetime=2022-12-31"], ["a_1"]),
        (["datetime!=2022-12-31"], ["a_0", "b_0", "c_0"]),
        (["datetime=2022:08:26 09:15:20"], ["a_0"]),
        (["datetime between 2022-12-31 and 2023-01-01"], ["a_1", "b_0"]),
        (["datetime=2022"], ["a_0", "a_1"]),
        (["datetime>2022"], ["b_0", "c_0"]),
        (["datetime=2022-08"], ["a_0"]),
        (["datetime between 2022-12 and 2023-01"], ["a_1", "b_0"]),
        (['{"datetime": {">=": 2023}}'], ["b_0", "c_0"]),
        (["season>=2022.5"], ["b_0", "c_0", "d_0"]),
        (["season>'2022'"], ["b_0", "c_0", "d_0"]),
        (["season>=5 and season<1e4"], ALL),
        (["state=OR,NC"], ["a_0", "a_1"]),
        (["state=OR or state=TX"], ["c_0"]),
        (["category_class_id like '5%'"], ["d_0"]),
        (['{"datetime": {"between": ["2022-12-31", "2023-01-01"]}}'], ["a_1", "b_0"]),
        (["has_mask"], ["a_0", "c_0", "d_0"]),
        (["has_masks=1"], ["a_0", "c_0", "d_0"]),
        (["has_masks=0"], ["a_1", "b_0"]),
        (["has_mask=false"], ["a_1", "b_0"]),
        (["has_mask!=no, state=NC"], ["a_0"]),
        (["not has_mask"], ["a_1", "b_0"]),
        (["state=NC or area>150"], ["a_0", "a_1", "d_0"]),
        (["(state=NC or state=MD) and not area=10"], ["a_1", "b_0"]),
        (["category_common_name like %bar%"], ["a_0", "c_0"]),
        (["category_common_name not like '%a%'"], []),
        (['{"state": ["NC", "MD"], "area": {">=": 50}}'], ["a_1", "b_0"]),
        (['{"area": {"in": [10, 100]}}'], ["a_0", "b_0"]),
        (['{"area": {"between": [10, 100]}, "has_mask": true}'], ["a_0"]),
        (['{"state": null}'], ["d_0"]),
        (['{"state": "NC"}', "category_common_name=barley"], ["a_0"]),
        ([], ALL),
    ],
)
def test_filters_choose(database: Database, filters: list[str], expected: list[str]) -> None:
    assert ids(database, *filters) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "state",
        "state=",
        "state=a=b",
        "state>NC,MD",
        "state=[]",
        "state in NC",
        "state in [NC",
        "state=(NC]",
        "area between 5",
        "area between [1,2,3]",
        "state is empty",
        "state='NC",
        "state='NC' or",
        "state=NC and",
        "(state=NC",
        "state=NC)",
        "=NC",
        "has_mask=maybe",
        "has_mask>1",
        "area>=abc",
        "area=abc",
        "datetime<=2022-02-30",
        "{}",
        "{bad",
        '{"state": []}',
        '{"state": {"near": 5}}',
        '{"state": "a", "state": "b"}',
        '{"area": {"between": [1]}}',
        '{"area": NaN}',
        '{"area": [[1]]}',
        "area>1e999",
        "(" * 60 + "area=1" + ")" * 60,
        "not " * 60 + "area=1",
        "state=NC or MD",
        "state=NC and MD",
        "datetime>=yesterday",
        "datetime>=2022/08/05",
        "datetime>=2022-08-05T00:00:00Z",
        "datetime=2022-13",
        "area like '1%'",
        "area>nan",
        "area>inf",
        "state=NC\x00' OR 1=1",
        "state=N\udcfc",
        '{"state": ["NC", "\\ud800"]}',
    ],
)
def test_what_cannot_be_understood_is_a_clear_error(database: Database, text: str) -> None:
    with pytest.raises(QueryError) as error:
        ids(database, text)
    assert error.value.next_step
    assert "sqlite" not in str(error.value).lower()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("state NC", "NC"),
        ("state=a=b", "=b"),
        ("state=NC or MD", "or MD"),
        ("area>5 and (state=NC or state=MD", "(state=NC or state=MD"),
        ("state in [NC", "[NC"),
        ("area between 5", ""),
        ("name=\"x and 'y'", "\"x and 'y'"),
        ("植物 NC", "NC"),
        ("x" * 300 + " NC", "NC"),
        ('{"state": }', "}"),
    ],
)
def test_an_error_points_at_the_place(text: str, place: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_filter(text)
    said, shown, mark = caught.value.problem.splitlines()
    assert said.startswith("filter ")
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in shown)
    assert shown[mark.index("^") - wide :] == place
    assert str(caught.value).splitlines()[3] == caught.value.next_step


def test_unknown_column_names_the_near_one_and_all(database: Database) -> None:
    with pytest.raises(QueryError, match=r"(?s)'stat'.*Did you mean 'state'\?.*Columns: cutout_id, image_id"):
        ids(database, "stat=NC")


@pytest.mark.parametrize(
    ("filters", "place"),
    [
        (["state=NC and stat=MD"], "stat=MD"),
        (["state=NC", "area in (1, 2) or 'nothing' is null"], "'nothing' is null"),
        (["nothing between 1 and 2"], "nothing between 1 and 2"),
        (["not nothing like a"], "nothing like a"),
        (["state=NC, area>=large"], "large"),
        (["area=10, 20, 'many'"], "'many'"),
        (["area in (1, few)"], "few)"),
        (["area=10", "area=many"], "many"),
        (["area between 1 and many"], "many"),
        (["datetime>=soon"], "soon"),
        (["area=1", "datetime<=2022-02-30"], "2022-02-30"),
        (["area>1e999"], "1e999"),
        (["area like '1%'"], "'1%'"),
        (["state=NC and has_mask=maybe"], "maybe"),
        (['{"state": "area", "nothing": 5}'], '"nothing": 5}'),
        (['{"state": "\\"area\\":", "area": {">=": "large"}}'], '"area": {">=": "large"}}'),
        (['{"state": "NC", "area": {"near": 5}}'], '"area": {"near": 5}}'),
        (['{"has_mask": "maybe"}'], '"has_mask": "maybe"}'),
    ],
)
def test_what_the_table_does_not_have_is_pointed_at(
    database: Database, filters: list[str], place: str
) -> None:
    with pytest.raises(QueryError) as caught:
        ids(database, *filters)
    _, shown, mark = caught.value.problem.splitlines()
    assert shown[mark.index("^") :] == place
    assert caught.value.next_step


def test_a_mask_of_a_table_without_masks_is_pointed_at(tmp_path: Path) -> None:
    with SqliteDatabase(make_database(tmp_path / "x.db", columns="cutout_id TEXT", rows=[])) as database:
        with pytest.raises(QueryError, match=r"has_mask needs a column mask_path[^\n]*\n.*\n {17}\^\n"):
            ids(database, "cutout_id=a, has_mask")


ATTACKS = [
    "NC'; DROP TABLE semif; --",
    "' OR '1'='1",
    '" OR 1=1 --',
    "NC) OR (1=1",
    "%' UNION SELECT name FROM sqlite_master --",
    "\\'; DELETE FROM semif; --",
    ":param_1 ?1 %s %(x)s {0}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_values_never_become_sql(database: Database, attack: str) -> None:
    assert ids(database, json.dumps({"state": attack})) == []
    assert ids(database, json.dumps({"state": [attack, "TX"]})) == ["c_0"]
    quoted = "'" + attack.replace("\\", "\\\\").replace("'", "''") + "'"
    assert ids(database, f"state={quoted}") == []
    for spelled in (f"state={attack}", attack, f"state like {attack}"):
        with suppress(QueryError):
            assert set(ids(database, spelled)) <= set(ALL)
    assert ids(database) == ALL
    assert database.tables() == ["semif"]


@pytest.mark.parametrize(
    "attack", ["state; DROP TABLE semif", 'state" --', "(SELECT 1)", "rowid", "1", "random()", "state || 'x'"]
)
def test_names_never_become_sql(database: Database, attack: str) -> None:
    for request in (
        {"sort": attack},
        {"projection": attack},
        {"sample": f"stratified:by={attack},per_group=1"},
        {"filters": (json.dumps({attack: 1}),)},
    ):
        with pytest.raises(QueryError):
            plan_for(database, **request)
    assert database.tables() == ["semif"]


def test_long_lists_and_long_chains(database: Database) -> None:
    many = [f"x{number}" for number in range(50_000)]
    assert ids(database, json.dumps({"state": [*many, "TX"]})) == ["c_0"]
    numbers = list(range(1000, 41_000))
    assert ids(database, json.dumps({"area": {"in": [*numbers, 10]}})) == ["a_0"]
    with pytest.raises(QueryError, match="too complex"):
        ids(database, " or ".join(f"area>{number}" for number in range(5000)))


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("cutout_id TEXT, mask_path TEXT", ["m.png", None, "", "None", "nan", "NULL"]),
        ("cutout_id TEXT, mask_path FLOAT", ["m.png", None, "", "nan", "none", "N/A"]),
        ("cutout_id TEXT, has_masks INTEGER", [1, None, 0, 0.0, "0", "false"]),
        ("cutout_id TEXT, has_masks TEXT", ["1", None, "0", "False", "0.0", ""]),
    ],
)
def test_a_mask_is_there_where_the_row_names_one(tmp_path: Path, columns: str, values: list[object]) -> None:
    rows = [(f"r{number}", value) for number, value in enumerate(values)]
    with SqliteDatabase(make_database(tmp_path / "x.db", columns=columns, rows=rows)) as database:
        assert ids(database, "has_mask") == ["r0"]
        assert ids(database, "has_mask=false") == ["r1", "r2", "r3", "r4", "r5"]
        assert ids(database, "not has_mask") == ids(database, "has_masks!=true")


def test_flags_of_one_key_merge_and_others_do_not() -> None:
    assert parse_filters(["a=1", "b=2", "a=3"]) == parse_filters(["a=1,3", "b=2"])
    assert parse_filters(["a in [1]", "a=2"]) != parse_filters(["a=1,2"])
    assert parse_filter("a=1,2") == parse_filter("a==[1, 2]")
