"""What it takes to make a project what a file says, against a server in memory that changes labels as CVAT does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.cvat import LabelSet, ProjectInfo
from agir_cvtoolkit.cvat.labels import labels_from_json
from agir_cvtoolkit.cvat.project_file import read_project
from agir_cvtoolkit.cvat.project_names import match_names
from agir_cvtoolkit.cvat.project_plan import ProjectPlan, plan_project
from agir_cvtoolkit.cvat.project_spec import WantedAttribute, WantedLabel, WantedPoint, WantedProject
from agir_cvtoolkit.cvat.project_text import project_text
from agir_cvtoolkit.cvat.project_uses import LabelUse, Uses
from agir_cvtoolkit.cvat.skeleton_drawing import drawing_of

PROJECT = ProjectInfo(1, "field", None)


class Server:
    """Labels of one project, changed by the rules of CVAT 2.42: one after the other, names unique at each step."""

    def __init__(self) -> None:
        self.labels: list[dict[str, Any]] = []
        self.project = PROJECT
        self._ids = count(1)

    def label_set(self) -> LabelSet:
        return LabelSet(labels_from_json(self.labels))

    def patch(self, request: Any) -> None:
        self.project = replace(
            self.project, **{k: v for k, v in request.items() if k in {"name", "bug_tracker"}}
        )
        for spec in request.get("labels", ()):
            if spec.get("id") is None:
                assert spec["name"] not in {label["name"] for label in self.labels}
                self.labels.append(self._new(spec))
                continue
            siblings = [self.labels, *(label["sublabels"] for label in self.labels)]
            group = next(g for g in siblings if any(label["id"] == spec["id"] for label in g))
            label = next(label for label in group if label["id"] == spec["id"])
            if spec.get("deleted"):
                group.remove(label)
                continue
            assert spec["name"] not in {other["name"] for other in group if other is not label}
            label["name"] = spec["name"]
            label["color"] = spec.get("color") or "#chosen"
            if "skeleton" not in {label["type"], spec.get("type")}:
                label["type"] = spec.get("type") or label["type"]
            for attribute in spec.get("attributes", ()):
                there = next((a for a in label["attributes"] if a["id"] == attribute.get("id")), None)
                names = {a["name"] for a in label["attributes"] if a is not there}
                assert attribute["name"] not in names
                if there is None:
                    label["attributes"].append({**attribute, "id": next(self._ids)})
                else:
                    there.update(attribute)

    def _new(self, spec: Any) -> dict[str, Any]:
        made = {
            "id": next(self._ids),
            "name": spec["name"],
            "type": spec["type"],
            "color": spec.get("color", "#c"),
        }
        made["attributes"] = [{**attribute, "id": next(self._ids)} for attribute in spec["attributes"]]
        made["sublabels"] = [self._new(sub) for sub in spec.get("sublabels", ())]
        svg = spec.get("svg", "")
        for sub in made["sublabels"]:
            svg = svg.replace(f'data-label-name="{sub["name"]}"', f'data-label-id="{sub["id"]}"')
        return made | {"svg": svg}


def unused(ids: frozenset[int]) -> Uses:
    return Uses({label_id: LabelUse() for label_id in ids}, {})


def used(**kinds: str) -> Any:
    def uses_of(ids: frozenset[int]) -> Uses:
        use = LabelUse(3, 0, set(kinds.values()) or {"mask"}, {}, Counter({7: 3}))
        return Uses(dict.fromkeys(ids, use), {})

    return uses_of


def planned(wanted: WantedProject, server: Server, uses_of: Any = unused) -> ProjectPlan:
    return plan_project(wanted, server.project, server.label_set(), uses_of)


def project(*labels: WantedLabel, **more: Any) -> WantedProject:
    return WantedProject("p.yaml", "field", labels, **more)


COLORS = st.sampled_from([None, "#ff0000", "#00ff00"])
WORDS = st.sampled_from(["a", "b", "c", "d d"])
FORMER = st.none() | st.sampled_from(["a", "b", "x", "y"])


@st.composite
def attributes(draw: st.DrawFn) -> tuple[WantedAttribute, ...]:
    found = []
    for name in draw(st.lists(WORDS, unique=True, max_size=3)):
        values = tuple(draw(st.lists(st.sampled_from(["1", "2", "3"]), unique=True, min_size=1)))
        kind = draw(st.sampled_from(["select", "radio"]))
        found.append(WantedAttribute(name, kind, values, values[0], draw(st.booleans()), draw(FORMER)))
    return tuple(found)


@st.composite
def labels(draw: st.DrawFn) -> tuple[WantedLabel, ...]:
    found = []
    for name in draw(st.lists(WORDS, unique=True, max_size=4)):
        kind = draw(st.sampled_from(["any", "mask", "skeleton"]))
        points: tuple[WantedPoint, ...] = ()
        drawing = None
        if kind == "skeleton":
            names = draw(st.lists(WORDS, unique=True, min_size=1))
            points = tuple(WantedPoint(n, draw(COLORS), draw(attributes()), draw(FORMER)) for n in names)
            drawing = drawing_of(names, [(names[0], names[-1])] if len(names) > 1 else [])
        found.append(
            WantedLabel(
                name,
                kind,
                draw(COLORS),
                draw(attributes()),
                points,
                drawing,
                joined=kind == "skeleton",
                was=draw(FORMER),
            )
        )
    return tuple(found)


@given(labels(), labels(), st.booleans())
def test_what_is_applied_is_there(
    before: tuple[WantedLabel, ...], after: tuple[WantedLabel, ...], keeps: bool
) -> None:
    server = Server()
    server.patch(planned(project(*before), server).request)
    assert planned(project(*before), server).is_done
    wanted = project(*after, keeps_others=keeps)
    plan = planned(wanted, server)
    server.patch(plan.request)
    assert planned(wanted, server).is_done
    assert plan.is_done == (not plan.request)
    names = {label["name"] for label in server.labels}
    assert {label.name for label in after} <= names
    assert keeps or {label.name for label in after} == names


@given(labels())
def test_what_is_pulled_changes_nothing(before: tuple[WantedLabel, ...]) -> None:
    server = Server()
    server.patch(planned(project(*before), server).request)
    for label in server.labels:
        label["color"] = "#abcdef"
        for sub in label["sublabels"]:
            sub["color"] = "#abcdef"
    text = project_text(server.project, server.label_set())
    again = read_project(text, "pulled.yaml", lambda table: [])
    assert planned(again, server).steps == ()


@given(labels(), labels())
def test_with_shapes_everywhere_no_label_goes(
    before: tuple[WantedLabel, ...], after: tuple[WantedLabel, ...]
) -> None:
    server = Server()
    server.patch(planned(project(*before), server).request)
    ids = {label["id"] for label in server.labels}
    plan = planned(project(*after), server, used())
    if not plan.refused:
        server.patch(plan.request)
        assert ids <= {label["id"] for label in server.labels}


def test_a_rename_keeps_the_id_and_is_not_made_twice() -> None:
    server = Server()
    server.patch(planned(project(WantedLabel("weed"), WantedLabel("crop")), server).request)
    wanted = project(WantedLabel("Unkraut", was="weed"), WantedLabel("weed", was="crop"))
    ids = [label["id"] for label in server.labels]
    plan = planned(wanted, server, used())
    assert [step.kind for step in plan.steps] == ["rename", "rename"]
    server.patch(plan.request)
    assert [(label["id"], label["name"]) for label in server.labels] == [
        (ids[0], "Unkraut"),
        (ids[1], "weed"),
    ]
    assert planned(wanted, server).is_done


def test_spelling_alone_is_a_rename() -> None:
    server = Server()
    server.patch(planned(project(WantedLabel("hairy vetch")), server).request)
    (step,) = planned(project(WantedLabel("Hairy_vetch")), server).steps
    assert step.kind == "rename"


MASK = WantedLabel(
    "weed", "mask", "#ff0000", (WantedAttribute("stage", "select", ("young", "old"), "young"),)
)
DOG = WantedLabel(
    "dog", "skeleton", points=(WantedPoint("nose"), WantedPoint("tail")), drawing=drawing_of(("nose", "tail"))
)


@pytest.mark.parametrize(
    ("wanted", "reason", "way_out"),
    [
        ([MASK], "'dog': it is not in the file, and has 3 shapes in task 7 (3)", "other_labels: keep"),
        ([replace(MASK, type="polygon"), DOG], "type cannot become polygon", "type: any"),
        (
            [replace(MASK, attributes=()), DOG],
            "attribute 'stage' goes. It has 3 shapes",
            "cannot remove an attribute",
        ),
        ([MASK, replace(DOG, type="any", points=(), drawing=None)], "type skeleton to any", "new label"),
        (
            [MASK, replace(DOG, points=DOG.points[:1], drawing=drawing_of(("nose",)))],
            "point 'tail' goes",
            "new label",
        ),
    ],
)
def test_what_would_cost_shapes_is_refused(wanted: list[WantedLabel], reason: str, way_out: str) -> None:
    server = Server()
    server.patch(planned(project(MASK, DOG), server).request)
    plan = planned(project(*wanted), server, used())
    (step,) = plan.refused
    assert reason in f"{step.what.removeprefix('label ')}: {step.detail}"
    assert way_out in step.next_step


def test_a_label_may_become_any_and_what_all_its_shapes_are() -> None:
    server = Server()
    server.patch(planned(project(MASK), server).request)
    plan = planned(project(replace(MASK, type="any")), server, used())
    assert not plan.refused
    server.patch(plan.request)
    assert not planned(project(MASK), server, used(kind="mask")).refused
    assert planned(project(MASK), server, used(kind="polygon")).refused


def test_values_that_are_in_use_stay() -> None:
    server = Server()
    server.patch(planned(project(MASK), server).request)
    spec_id = server.labels[0]["attributes"][0]["id"]

    def uses_of(ids: frozenset[int]) -> Uses:
        use = LabelUse(1, 0, {"mask"}, {spec_id: Counter({"old": 1})}, Counter({7: 1}))
        return Uses(dict.fromkeys(ids, use), {})

    fewer = replace(MASK, attributes=(replace(MASK.attributes[0], values=("young",)),))
    (step,) = planned(project(fewer), server, uses_of).refused
    assert "'old'" in step.detail
    more = replace(MASK, attributes=(replace(MASK.attributes[0], values=("young", "old", "dead")),))
    assert not planned(project(more), server, uses_of).refused


def test_another_drawing_of_a_label_with_shapes_is_left() -> None:
    server = Server()
    server.patch(planned(project(DOG), server).request)
    joined = replace(DOG, drawing=drawing_of(("nose", "tail"), [("nose", "tail")]), joined=True)
    plan = planned(project(joined), server, used())
    assert [step.kind for step in plan.steps] == ["keep"]
    assert plan.is_done
    assert not plan.request
    assert [step.kind for step in planned(project(joined), server).steps] == ["recreate"]


def test_names_are_matched_by_former_name_then_spelling() -> None:
    found = match_names([("c", "b"), ("b", "a"), ("x", None)], ["a", "b"])
    assert dict(found.pairs) == {"c": "b", "b": "a"}
    assert found.added == ("x",)
    assert match_names([("c", "b")], ["b", "c"]).both == (("c", "b"),)
    assert match_names([("A", None)], ["a", "ä"]).left == ("ä",)
