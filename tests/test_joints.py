"""Pose schemas: complete, consistent, and found by any spelling of a joint."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.joints import DEFAULT_SCHEMA, DEFAULT_SIGMA, SCHEMAS, load_schema, schema_text

DOG = load_schema(DEFAULT_SCHEMA)


@pytest.mark.parametrize(("name", "count"), [("dog24", 24), ("dog26", 26), ("vision25", 25), ("dog5", 5)])
def test_packaged_schemas_have_all_joints(name: str, count: int) -> None:
    schema = load_schema(name)
    assert len(schema.joints) == len(set(schema.joints)) == len(schema.sigmas) == count
    assert schema.name == name
    assert sorted(schema.mirrored) == list(range(count))
    assert [schema.mirrored[place] for place in schema.mirrored] == list(range(count))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_joint_hangs_together_with_all_others(name: str) -> None:
    schema = load_schema(name)
    reached, last = {schema.joints[0]}, 0
    while len(reached) != last:
        last = len(reached)
        reached |= {joint for link in schema.links if reached & set(link) for joint in link}
    assert reached == set(schema.joints)


@given(st.sampled_from(DOG.joints), st.sampled_from(["_", "-", " ", ""]), st.booleans())
def test_spelling_does_not_count(joint: str, sign: str, upper: bool) -> None:
    spelled = joint.replace("_", sign)
    assert DOG.resolve(spelled.upper() if upper else spelled) == joint


def test_camel_case_and_other_names_are_known() -> None:
    assert DOG.resolve("leftFrontPaw") == "left_front_paw"
    assert DOG.resolve("spine_mid") == "center"
    assert DOG.resolve("Left Hock") == "left_knee"
    assert DOG.resolve("wing") is None


def test_a_joint_goes_before_an_alias_of_the_same_spelling(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("joints: [nose, Paw]\naliases: {paw: nose}\n", encoding="utf-8")
    schema = load_schema(str(path))
    assert (schema.resolve("paw"), schema.name, schema.label) == ("Paw", "odd", "animal")
    assert schema.sigmas == (DEFAULT_SIGMA, DEFAULT_SIGMA)


def test_sides_are_found_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "crab.yaml"
    path.write_text("joints: [left_eye, right_eye, left_claw, mouth]\n", encoding="utf-8")
    schema = load_schema(str(path))
    assert schema.pairs == (("left_eye", "right_eye"),)
    assert schema.mirrored == (1, 0, 2, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2", "cannot be read"),
        ("just words", "no mapping"),
        ("joints: [nose]\nlegs: 4\n", "legs"),
        ("label: cat\n", "not complete"),
        ("joints: [nose, Nose]\n", "one twice"),
        ("joints: []\n", "no joints"),
        ("joints: [nose]\nlinks: [[nose, tail]]\n", "tail"),
        ("joints: [nose]\naliases: {snout: noes}\n", "Did you mean 'nose'"),
        ("joints: [nose]\nsigmas: {nose: 1.5}\n", "between 0 and 1"),
    ],
)
def test_what_is_no_schema_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "cat.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load_schema(str(path))


def test_an_unknown_schema_suggests_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dog24'"):
        load_schema("dog-24")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_schema(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_written_as_it_is_read(name: str, tmp_path: Path) -> None:
    schema = load_schema(name)
    path = tmp_path / "other.yaml"
    path.write_text(schema_text(schema), encoding="utf-8")
    assert load_schema(str(path)) == schema
