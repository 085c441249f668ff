"""Rules of lint: what is right yields nothing, each mistake its finding, and each repair cures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.quality.lint_finding import RULES, Finding
from agir_cvtoolkit.quality.lint_job import JobLint
from agir_cvtoolkit.raw_shapes import RawAttribute, RawJob, RawLabel, RawShape

W, H = 120, 80
PLANT = RawLabel(
    1,
    "plant",
    "any",
    (
        RawAttribute(11, "stage", "select", ("young", "old")),
        RawAttribute(12, "cover", "number", ("0", "100", "5")),
        RawAttribute(13, "sure", "checkbox", ("true",)),
        RawAttribute(14, "remark", "text"),
    ),
)
WEED = RawLabel(2, "weed", "mask")
DOG = RawLabel(3, "dog", "skeleton", (), (RawLabel(31, "nose", "points"), RawLabel(32, "tail", "points")))
JOB = RawJob(
    5,
    {0: (W, H), 1: (W, H), 2: (W, H)},
    frozenset({2}),
    range(3),
    {one.id: one for one in (PLANT, WEED, DOG)},
)


def check(*shapes: RawShape, job: RawJob = JOB) -> list[Finding]:
    lint = JobLint(job)
    return [*(f for shape in shapes for f in lint.add(shape)), *lint.end()]


def rules(*shapes: RawShape, job: RawJob = JOB) -> set[str]:
    return {finding.rule for finding in check(*shapes, job=job)}


def shape(kind: str, points: Any = (), label: RawLabel = PLANT, **more: Any) -> RawShape:
    return RawShape(more.pop("id", 1), more.pop("frame", 0), kind, label.id, points, **more)


def dog(*points: tuple[int, float, float], **more: Any) -> RawShape:
    elements = tuple(RawShape(n, 0, "points", n, (x, y)) for n, x, y in points)
    return shape("skeleton", label=DOG, elements=elements, **more)


BOX = shape("rectangle", (10.0, 10.0, 50.0, 40.0))
ABSENT = RawShape(1, 0, "points", 31, (1.0, 1.0), outside=True)
XS, YS = st.floats(0, W), st.floats(0, H)


@st.composite
def right(draw: st.DrawFn) -> RawShape:
    kind = draw(
        st.sampled_from(["rectangle", "ellipse", "polygon", "polyline", "points", "mask", "skeleton", "tag"])
    )
    values = {
        11: draw(st.sampled_from(["young", "old"])),
        12: str(draw(st.integers(0, 100))),
        13: "true",
        14: "x",
    }
    if kind == "mask":
        mask = np.zeros((H, W), np.uint8)
        mask[draw(st.integers(0, H - 1)), draw(st.integers(0, W - 1))] = 1
        mask[draw(st.integers(0, H - 1)), draw(st.integers(0, W - 1))] = 1
        runs = encode(mask)
        assert runs is not None
        return shape(kind, [*map(float, runs.lengths), *runs.box], draw(st.sampled_from([PLANT, WEED])))
    if kind == "skeleton":
        order = draw(st.permutations([31, 32]))
        return dog(*((n, draw(XS), draw(YS)) for n in order))
    if kind == "tag":
        return shape(kind, values=values)
    if kind in {"rectangle", "ellipse"}:
        x, y = draw(st.floats(0, W - 2)), draw(st.floats(0, H - 2))
        corners = (x, y, draw(st.floats(x + 1, W)), draw(st.floats(y + 1, H)))
        return shape(kind, corners, rotation=draw(st.sampled_from([0.0, 30.0])), values=values)
    x, y = draw(st.floats(1, W - 2)), draw(st.floats(1, H - 2))
    corner = (x, y, x + 1, y, x, y + 1)
    return shape(kind, (*corner, *(v for _ in range(draw(st.integers(0, 4))) for v in (draw(XS), draw(YS)))))


@given(right())
def test_what_is_right_yields_nothing(one: RawShape) -> None:
    assert check(one) == []


Mutation = Callable[[RawShape], RawShape]


def outside_by(far: float) -> Mutation:
    return lambda one: replace(one, points=[W + far, *list(one.points)[1:]], rotation=0.0)


@given(right(), st.sampled_from(["unknown", "type", "frame", "deleted", "attribute", "twice"]))
def test_each_mistake_about_its_meaning_is_found(one: RawShape, mistake: str) -> None:
    wrong = {
        "unknown": (replace(one, label_id=99), "unknown_label"),
        "type": (replace(one, label_id=3 if one.kind != "skeleton" else 1), "label_type"),
        "frame": (replace(one, frame=7), "wrong_frame"),
        "deleted": (replace(one, frame=2), "deleted_frame"),
        "attribute": (replace(one, label_id=1, values={11: "dead"}), "attribute"),
        "twice": (replace(one, id=2), "duplicate"),
    }
    mutated, rule = wrong[mistake]
    found = rules(one, mutated) if mistake == "twice" else rules(mutated)
    assert rule in found
    assert found <= RULES.keys()


@given(right(), st.floats(0.02, 1.9) | st.floats(500, 1e6))
def test_what_reaches_outside_is_found_and_moved_if_it_is_slight(one: RawShape, far: float) -> None:
    if one.kind not in {"polygon", "polyline", "points"}:
        return
    (finding,) = check(outside_by(far)(one))
    assert finding.rule == "out_of_bounds"
    if far > 2:
        assert finding.repair is None
    elif finding.repair is not None:
        assert finding.repair.points is not None
        assert check(replace(one, points=finding.repair.points)) == []


@pytest.mark.parametrize(
    ("one", "rule", "repair"),
    [
        (shape("rectangle", (5.0, 5.0, 5.0, 9.0)), "degenerate", "deleted"),
        (shape("ellipse", (5.0, 5.0, 9.0, 5.0)), "degenerate", "deleted"),
        (shape("polygon", (1.0, 1.0, 5.0, 5.0)), "degenerate", "deleted"),
        (shape("polygon", (1.0, 1.0, 5.0, 5.0, 9.0, 9.0)), "degenerate", "deleted"),
        (shape("polygon", (1.0, 1.0, 5.0, 5.0, 1.0, 1.0)), "degenerate", "deleted"),
        (shape("polyline", (1.0, 1.0, 1.0, 1.0)), "degenerate", "deleted"),
        (shape("points", ()), "degenerate", "deleted"),
        (shape("polygon", (float("nan"), 1.0, 5.0, 5.0, 7.0, 1.0)), "degenerate", "deleted"),
        (shape("mask", [12.0, 0, 0, 3, 2], WEED), "degenerate", "deleted"),
        (shape("mask", [9.0, 0, 0, 3, 2], WEED), "broken_mask", ""),
        (shape("mask", [0.0, 14, -2, 0, 0, 3, 2], WEED), "broken_mask", ""),
        (shape("mask", [0.5, 11.5, 0, 0, 3, 2], WEED), "broken_mask", ""),
        (shape("mask", [0.0, 12, 3, 2, 0, 0], WEED), "broken_mask", ""),
        (shape("mask", [1.0], WEED), "broken_mask", ""),
        (shape("mask", [0.0, 12, W - 2, 0, W + 1, 2], WEED), "broken_mask", "cropped to the picture"),
        (shape("mask", [0.0, 12, W, 0, W + 3, 2], WEED), "broken_mask", ""),
        (dog((31, 5, 5)), "skeleton", "1 added as absent"),
        (dog((31, 5, 5), (32, 6, 6), (32, 7, 7)), "skeleton", ""),
        (dog((31, 5, 5), (32, 6, 6), (99, 7, 7)), "skeleton", ""),
        (dog((31, 5, 5), (32, W + 1.0, 6)), "out_of_bounds", "moved inside by 1.00 px"),
        (shape("skeleton", label=DOG, elements=(ABSENT,)), "degenerate", "deleted"),
        (replace(BOX, values={12: "500"}), "attribute", ""),
        (replace(BOX, values={12: "many"}), "attribute", ""),
        (replace(BOX, values={13: "True"}), "attribute", "'True' is 'true'"),
        (replace(BOX, values={99: "x"}), "attribute", ""),
        (replace(BOX, label_id=None), "unknown_label", ""),
        (replace(BOX, label_id=31), "unknown_label", ""),
        (replace(BOX, label_id=2), "label_type", ""),
        (shape("ellipse", (W + 5.0, 5.0, W + 9.0, 1.0)), "out_of_bounds", ""),
    ],
)  # fmt: skip
def test_single_mistakes(one: RawShape, rule: str, repair: str) -> None:
    finding = next(f for f in check(one) if f.rule == rule)
    assert (finding.repair.says if finding.repair else "") == repair
    assert finding.next_step


def test_a_cropped_mask_keeps_every_pixel_of_the_picture() -> None:
    (finding,) = check(shape("mask", [0.0, 12, -2, -1, 1, 1], WEED))
    assert finding.repair is not None
    assert finding.repair.points is not None
    assert list(finding.repair.points) == [0, 4, 0, 0, 1, 1]


def test_points_a_figure_eight_and_turned_corners_are_no_mistakes() -> None:
    assert check(shape("polygon", (10.0, 10.0, 30.0, 30.0, 30.0, 10.0, 10.0, 30.0))) == []
    assert check(shape("rectangle", (0.0, 0.0, 40.0, 20.0), rotation=45.0)) == []
    assert check(shape("cuboid", (1.0,)), shape("interval", id=2)) == []


def test_of_twins_a_persons_stays() -> None:
    program, person = replace(BOX, id=1, is_machine=True), replace(BOX, id=2)
    (finding,) = check(program, person)
    assert (finding.rule, finding.shape_id, finding.is_machine) == ("duplicate", 1, True)
    assert finding.repair is not None
    other_value = replace(BOX, id=3, values={11: "old"})
    assert [f.repair for f in check(BOX, other_value)] == [None]
    (finding,) = check(BOX, replace(BOX, id=3, label_id=2, kind="rectangle"))[-1:]
    assert finding.repair is None


def test_joints_may_meet_in_one_pixel() -> None:
    one = shape("points", (5.0, 5.0))
    assert check(one, shape("points", (5.0, 5.0), RawLabel(1, "plant"), id=2)) != []
    job = replace(JOB, labels={**JOB.labels, 4: RawLabel(4, "eye", "points")})
    assert check(one, replace(one, id=2, label_id=4), job=job) == []


def test_tracks_are_never_repaired() -> None:
    (finding,) = check(replace(BOX, points=(1.0, 1.0, W + 1.0, 9.0), in_track=True))
    assert (finding.rule, finding.repair) == ("out_of_bounds", None)


def test_an_empty_job_counts_where_it_is_finished_and_has_pictures() -> None:
    assert rules(job=replace(JOB, is_finished=True)) == {"empty_job"}
    assert rules(job=JOB) == set()
    assert rules(job=replace(JOB, is_finished=True, frames=range(2, 3))) == set()
    assert rules(BOX, job=replace(JOB, is_finished=True)) == set()
