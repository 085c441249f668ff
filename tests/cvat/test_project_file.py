"""Project files: what they may say, and that each mistake is named with file, line and key."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agir_cvtoolkit.cvat import UNSET
from agir_cvtoolkit.cvat.project_file import read_project
from agir_cvtoolkit.cvat.project_spec import WantedProject
from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.stages.cvat_project import SHIPPED, _read


def species(table: str) -> Sequence[tuple[str, str | None]]:
    if table != "mine":
        raise ConfigError(f"no table {table}")
    return [("barley", "#00ff00"), ("hairy_vetch", None)]


def read(text: str) -> WantedProject:
    return read_project(text, "p.yaml", species)


def test_a_whole_file() -> None:
    found = read(
        """
name: Field
organization: weeds
bug_tracker: https://bugs.example.org
other_labels: keep
species: {table: mine, only: [barley], type: polygon}
labels:
  - plain
  - name: box
    type: rectangle
    color: "#AbC"
    was: old box
    attributes:
      - {name: seen, values: [yes, no], default: no}
      - {name: sure, type: checkbox, default: on}
      - {name: cover, type: number, values: {min: 0, max: 100, step: 5}, mutable: false}
      - {name: remark, type: text}
  - name: bird
    type: skeleton
    points: [beak, {name: tail, at: [5, 50], color: "#112233"}]
    edges: [[beak, tail]]
"""
    )
    assert (found.name, found.organization, found.keeps_others) == ("Field", "weeds", True)
    assert [(label.name, label.type, label.color) for label in found.labels] == [
        ("barley", "polygon", "#00ff00"),
        ("plain", "any", None),
        ("box", "rectangle", "#aabbcc"),
        ("bird", "skeleton", None),
    ]
    seen, sure, cover, remark = found.labels[2].attributes
    assert (seen.values, seen.default) == (("yes", "no"), "no")
    assert (sure.values, sure.default) == (("true",), "true")
    assert (cover.values, cover.default, cover.mutable) == (("0", "100", "5"), "0", False)
    assert (remark.input_type, remark.default) == ("text", "")
    drawing = found.labels[3].drawing
    assert drawing is not None
    assert drawing.places["tail"] == (5.0, 50.0)
    assert drawing.edges == (("beak", "tail"),)
    assert found.lines["box"] == "p.yaml, line 9, labels[1]"


def test_an_organization_is_not_said_none_or_named() -> None:
    assert read("name: a\nlabels: []").organization is UNSET
    assert read("name: a\nlabels: []\norganization:").organization is None


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_files_of_the_package_can_be_read(name: str) -> None:
    assert len(_read(name, None, None).labels) == {"agir": 72, "dog24": 25, "dog26": 27}.get(name, 2)


SKELETON = "name: a\nlabels:\n  - {name: b, type: skeleton, points: [x, y], "


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "p.yaml is empty"),
        ("a: [", "p.yaml, line 1: this is no YAML"),
        ("name: a\n---\nname: b", "this is no YAML"),
        ("- a", "line 1: keys with values"),
        ("labels: []", "the project has no name"),
        ("name: a", "the project has no labels"),
        ("name: ''\nlabels: []", "line 1, name: it is empty"),
        ("name: a\nlabel: []", "line 2, label: there is no key 'label' here. Did you mean 'labels'"),
        ("name: a\nname: b\nlabels: []", "line 2, name: the key 'name' stands twice"),
        ("name: a\nlabels: [b, B]", r"line 2, labels\[1\]: label 'B' stands twice: 'b' on line 2"),
        ("name: a\nlabels: [hairy vetch, hairy_vetch]", "stands twice"),
        ("name: a\nlabels:\n  - {type: mask}", r"line 3, labels\[0\]: a label has no name"),
        ("name: a\nlabels:\n  - {name: b, color: #f00}", "no YAML"),
        ("name: a\nlabels:\n  - name: b\n    color: #f00", r"line 4, labels\[0\].color: it is empty"),
        ("name: a\nlabels:\n  - {name: b, color: red}", "'red' is no colour"),
        ("name: a\nlabels:\n  - {name: b, type: maks}", "Did you mean 'mask'"),
        (f"name: a\nlabels: [{'x' * 65}]", "65 characters; CVAT takes 64"),
        ("name: a\nid: x\nlabels: []", "no id of a project"),
        ("name: a\nbug_tracker: ftp://x\nlabels: []", "no address"),
        ("name: a\nother_labels: drop\nlabels: []", "'drop' is none of remove, keep"),
        ("name: a\nspecies: yours", "line 2, species: no table yours"),
        ("name: a\nspecies: {table: mine, only: [wheat]}", "'wheat' is none of"),
        ("name: a\nspecies: mine\nlabels: [Barley]", "stands twice"),
        ("name: a\nlabels:\n  - {name: b, was: x}\n  - {name: c, was: x}", "two labels were 'x'"),
        ("name: a\nlabels:\n  - {name: b, was: c}\n  - {name: c, was: b}", "change places"),
        ("name: a\nlabels:\n  - {name: b, points: [x]}", "of type any has no points"),
        ("name: a\nlabels:\n  - {name: b, type: skeleton}", "a skeleton has no points"),
        ("name: a\nlabels:\n  - {name: b, type: skeleton, points: [x, X]}", "point 'X' stands twice"),
        ("name: a\nlabels:\n  - {name: b, type: skeleton, points: ['x<y']}", "rename it"),
        (SKELETON + "edges: [[x, z]]}", "'z' is none of x, y"),
        (SKELETON + "edges: [[x, x]]}", "two different points"),
        (SKELETON + "edges: [[x, y], [y, x]]}", "stands twice"),
        (SKELETON + "svg: '<circle/>'}", "CVAT could not draw it"),
        ("name: a\nlabels:\n  - {name: b, type: skeleton, points: [{name: x, at: [5, 101]}]}", "0 to 100"),
        ("name: a\nlabels:\n  - {joints: dog42}", "'dog42' is no pose schema"),
        ("name: a\nlabels:\n  - {joints: dog24, points: [x]}", "no place beside joints"),
        ("name: a\nlabels:\n  - {name: b, style: points}", "style goes with joints"),
        ("name: a\nlabels:\n  - {joints: dog24, style: points, name: b}", "label of its own"),
    ],
)
def test_mistakes_are_named_with_file_line_and_key(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(text)


@pytest.mark.parametrize(
    ("attribute", "problem"),
    [
        ("{type: text}", "an attribute has no name"),
        ("{name: a, type: select}", "has no values"),
        ("{name: a, values: []}", "no value to choose"),
        ("{name: a, values: [x, x]}", "stands twice"),
        ("{name: a, values: [x], default: y}", "default 'y' is none"),
        ("{name: a, type: number, values: [0, 1]}", "minimum, maximum and step"),
        ("{name: a, type: number, values: [5, 1, 1]}", "is no range"),
        ("{name: a, type: number, values: [0, 1, 1], default: 7}", "no number from 0 to 1"),
        ("{name: a, type: checkbox, values: [x]}", "has no values"),
        ("{name: a, type: checkbox, default: perhaps}", "true or false"),
        ("{name: a, type: text, mutable: 5}", "true or false"),
    ],
)
def test_mistakes_in_attributes_are_named(attribute: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(f"name: a\nlabels:\n  - name: b\n    attributes:\n      - {attribute}")


def test_a_file_that_grows_by_its_own_aliases_is_refused() -> None:
    rows = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    rows += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(ConfigError, match="larger than any project"):
        read("\n".join(rows))
    with pytest.raises(ConfigError, match="larger than any project"):
        read("a: &a [*a]")
