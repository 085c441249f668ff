"""Agreement, intervals, drift, pace and merge: what must hold whatever people draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit import masks
from agir_cvtoolkit.corrections import area_of
from agir_cvtoolkit.quality.agreement import LOOSE, ClassScore, against, between, comparable
from agir_cvtoolkit.quality.annotators import ALL, FrameScore, score_rows, week_of
from agir_cvtoolkit.quality.drift import drift_of
from agir_cvtoolkit.quality.intervals import measured
from agir_cvtoolkit.quality.merge import by_best, by_majority
from agir_cvtoolkit.quality.speed import JobPace, alarm_of, seconds_between
from agir_cvtoolkit.quality.working_time import JobTime, time_rows
from agir_cvtoolkit.shapes import Mask, Points, Polygon, Polyline, Rectangle, Shape, Skeleton

SIZE = (32, 24)
WHEN = datetime(2026, 8, 3, 12, tzinfo=UTC)


def mask(label: str, left: int, top: int, right: int, bottom: int) -> Mask:
    drawn = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    drawn[top:bottom, left:right] = True
    runs = masks.encode(drawn)
    assert runs is not None
    return Mask(label=label, runs=runs.lengths, box=runs.box)


def dog(*points: tuple[float, float] | None, occluded: str = "") -> Skeleton:
    names = ("nose", "tail", "paw")
    elements = (
        Points(label=n, points=(p or (0.0, 0.0),), outside=p is None, occluded=n in occluded)
        for n, p in zip(names, points, strict=True)
    )
    return Skeleton(label="dog", elements=tuple(elements))


@st.composite
def shape(draw: st.DrawFn) -> Shape:
    label = draw(st.sampled_from(["weed", "crop"]))
    x, y = draw(st.integers(0, 20)), draw(st.integers(0, 14))
    w, h = draw(st.integers(2, 10)), draw(st.integers(2, 8))
    kind = draw(st.sampled_from(["mask", "polygon", "box", "dog", "point"]))
    if kind == "mask":
        return mask(label, x, y, x + w, y + h)
    if kind == "polygon":
        return Polygon(label=label, points=((x, y), (x + w, y), (x + w, y + h)))
    if kind == "box":
        return Rectangle(label=label, points=((x, y), (x + w, y + h)))
    if kind == "point":
        return Points(label="tip", points=((float(x), float(y)),))
    return dog((x, y), (x + w, y) if w > 3 else None, (x, y + h))


drawings = st.lists(shape(), max_size=4)


@given(drawings, drawings)
def test_scores_lie_between_0_and_1_and_counts_add_up(mine: list[Shape], theirs: list[Shape]) -> None:
    for score in against(mine, theirs, SIZE):
        assert all(v is None or 0 <= v <= 1 for v in (score.iou, score.boundary_f1, score.oks))
        assert score.matched + score.extra == sum(s.label == score.label for s in comparable(mine))
        assert score.matched + score.missed == sum(s.label == score.label for s in comparable(theirs))


@given(drawings)
def test_whoever_draws_the_same_agrees(drawn: list[Shape]) -> None:
    for score in (*against(drawn, drawn, SIZE), *between(drawn, drawn[::-1], SIZE)):
        assert score.score == pytest.approx(1.0)
        assert (score.missed, score.extra) == (0, 0)


@given(drawings, drawings)
def test_agreement_is_symmetric(mine: list[Shape], theirs: list[Shape]) -> None:
    turned = [replace(s, missed=s.extra, extra=s.missed) for s in between(theirs, mine, SIZE)]
    assert list(between(mine, theirs, SIZE)) == turned


def test_iou_by_hand_does_not_mind_into_how_many_shapes_a_plant_is_divided() -> None:
    truth = [mask("weed", 0, 0, 10, 10)]
    (score,) = against([mask("weed", 0, 0, 10, 4), mask("weed", 0, 4, 10, 8)], truth, SIZE)
    assert score.iou == pytest.approx(0.8)
    (wrong,) = [s for s in against([mask("crop", 0, 0, 10, 10)], truth, SIZE) if s.label == "weed"]
    assert (wrong.iou, wrong.missed) == (0.0, 1)


def test_boundaries_within_the_tolerance_are_the_same() -> None:
    found = [mask("weed", 1, 0, 11, 10)]
    truth = [mask("weed", 0, 0, 10, 10)]
    assert against(found, truth, SIZE)[0].boundary_f1 == 1.0
    assert (against(found, truth, SIZE, tolerance=0.5)[0].boundary_f1 or 1) < 1.0


def test_oks_by_hand() -> None:
    truth, found = dog((0, 0), (20, 0), (0, 20)), dog((2, 0), (20, 0), (0, 20))
    (score,) = against([found], [truth], SIZE)
    one = math.exp(-4 / (2 * 400 * 0.1**2))
    assert score.oks == pytest.approx((one + 2) / 3)
    (none,) = against([], [truth], SIZE)
    assert (none.oks, none.missed) == (0.0, 1)


def test_single_points_of_a_group_are_an_animal_and_group_numbers_are_no_opinion() -> None:
    def loose(group: int, dx: float) -> list[Shape]:
        places = {"nose": (2.0 + dx, 2.0), "tail": (8.0 + dx, 3.0)}
        return [Points(label=n, points=(p,), group=group) for n, p in places.items()]

    one, other = [*loose(1, 0), *loose(2, 15)], [*loose(2, 0), *loose(1, 15)]
    assert [s.label for s in comparable(one)] == [LOOSE, LOOSE]
    (score,) = between(one, other, SIZE)
    assert (score.oks, score.matched) == (1.0, 2)
    merged = by_majority([one, other, one], SIZE).shapes
    assert sorted((s.label, s.points) for s in merged if isinstance(s, Points)) == sorted(
        (s.label, s.points) for s in one if isinstance(s, Points)
    )
    assert len({s.group for s in merged}) == 2


# --- merge


def pixels(shapes: Sequence[Shape]) -> int:
    return sum(area_of(s, SIZE).pixels for s in shapes if isinstance(s, Mask | Polygon | Rectangle))


@given(drawings, st.integers(2, 4))
def test_merging_what_is_the_same_changes_nothing(drawn: list[Shape], people: int) -> None:
    merged = by_majority([drawn[::-1] if i else drawn for i in range(people)], SIZE)
    assert sorted(s.geometry_hash() for s in merged.shapes) == sorted(s.geometry_hash() for s in drawn)
    assert merged.undecided == ()


@given(drawings, drawings, drawings, st.sampled_from(["keep", "drop"]))
def test_the_order_of_the_people_does_not_matter(
    a: list[Shape], b: list[Shape], c: list[Shape], tie: str
) -> None:
    one, other = (by_majority(order, SIZE, tie) for order in ((a, b, c), (c, a, b)))  # type: ignore[arg-type]
    assert [s.geometry_hash() for s in one.shapes] == [s.geometry_hash() for s in other.shapes]
    assert one.undecided == other.undecided


def test_pixels_stay_where_more_than_half_have_them() -> None:
    people = [[mask("weed", 0, 0, 10, 10)], [mask("weed", 2, 0, 12, 10)], [mask("weed", 4, 0, 14, 10)]]
    (found,) = by_majority(people, SIZE).shapes
    assert isinstance(found, Mask)
    assert found.box == (2, 0, 11, 9)


def test_what_half_of_the_people_say_is_told_and_follows_the_rule() -> None:
    people = [[mask("weed", 0, 0, 10, 10), mask("crop", 20, 0, 24, 4)], [mask("weed", 2, 0, 12, 10)]]
    dropped, kept = by_majority(people, SIZE, "drop"), by_majority(people, SIZE, "keep")
    assert (pixels(dropped.shapes), pixels(kept.shapes)) == (80, 120 + 16)
    assert list(dropped.undecided) == [
        "'crop' that half of the people drew was dropped",
        "40 pixels of 'weed' were dropped",
    ]


def test_joints_are_voted_on_and_lie_at_the_median() -> None:
    people = [
        [dog((10, 2), (20, 2), None, occluded="nose")],
        [dog((10.1, 2), (20.1, 2), None, occluded="nose")],
        [dog((10.2, 2), (20.2, 2), (10, 12))],
    ]
    (found,) = by_majority(people, SIZE).shapes
    assert isinstance(found, Skeleton)
    nose, tail, paw = found.elements
    assert (nose.points[0], nose.occluded, tail.occluded) == ((10.1, 2.0), True, False)
    assert paw.outside


def test_lines_stay_only_where_most_drew_the_same() -> None:
    row, other = (Polyline(label="row", points=((0, y), (9, y))) for y in (1.0, 2.0))
    assert by_majority([[row], [row], [other]], SIZE).shapes == (row,)
    assert by_majority([[row], [other]], SIZE).shapes == ()


def test_the_best_is_taken_and_nobody_where_none_is_better() -> None:
    readings = {"ann": [mask("weed", 0, 0, 4, 4)], "bob": []}
    best = by_best(readings, {"ann": 0.9, "bob": 0.5})
    assert best is not None
    assert list(best.shapes) == readings["ann"]
    assert by_best(readings, {"ann": 0.5, "bob": 0.5}) is None
    assert by_best(readings, {}) is None


# --- figures


def frame(n: int, value: float, *, week: int = 0, who: str = "ann") -> FrameScore:
    at = WHEN + timedelta(weeks=week)
    return FrameScore(who, (1, n), at, (ClassScore("weed", iou=value, matched=1),))


def test_rows_for_annotator_class_and_week() -> None:
    rows = score_rows([frame(1, 0.5), frame(2, 1.0, week=1), frame(3, 0.2, who="bob")])
    keys = {(row.annotator, row.label, row.week): row for row in rows}
    assert keys["ann", ALL, ALL].frames == 2
    whole, first = keys["ann", "weed", ALL].iou, keys["ann", "weed", week_of(WHEN)].iou
    assert whole is not None
    assert first is not None
    assert (whole.mean, first.mean) == (0.75, 0.5)
    assert week_of(datetime(2027, 1, 1, tzinfo=UTC)) == "2026-W53"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_an_interval_holds_the_mean_and_few_frames_have_none(values: list[float]) -> None:
    found = measured(values)
    assert found is not None
    if len(values) < 5:
        assert found.low is None
    else:
        assert found.low is not None
        assert found.high is not None
        assert found.low - 1e-9 <= found.mean <= found.high + 1e-9
    assert found == measured(values[::-1])


def test_drift_is_seen_where_it_is_and_not_guessed_from_few_frames() -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 40)
    worse = [frame(n, 0.9 - 0.03 * (n % 8) + noise[n], week=n % 8) for n in range(40)]
    found = drift_of("ann", worse)
    assert found.verdict == "worse"
    assert found.slope == pytest.approx(-0.03, abs=0.005)
    steady = [frame(n, 0.9 + noise[n], week=n % 8) for n in range(40)]
    assert drift_of("ann", steady).verdict == "no change to be seen"
    assert drift_of("ann", worse[:5]).slope is None
    assert "too few frames: 20 in 1 weeks" in drift_of("ann", [frame(n, 1) for n in range(20)]).verdict


def test_an_alarm_needs_a_known_time_untouched_proposals_and_haste() -> None:
    pace = JobPace(1, 2, "ann", 10, 30, 28, WHEN, WHEN + timedelta(seconds=20))
    assert alarm_of(pace, 5.0) is not None
    assert alarm_of(pace, 2.0) is None
    assert alarm_of(replace(pace, untouched=0), 5.0) is None
    assert alarm_of(replace(pace, assigned=None), 5.0) is None
    assert seconds_between(replace(pace, assigned=WHEN + timedelta(days=1))) is None
    slow = alarm_of(replace(pace, assigned=None, worked=30.0), 5.0)
    assert slow is not None
    assert (slow.seconds, slow.worked) == (30.0, True)
    assert alarm_of(replace(pace, worked=60.0), 5.0) is None


def test_worked_and_elapsed_time_are_never_added() -> None:
    times = [
        JobTime(1, 2, "ann", 10, 30, 100.0, "worked"),
        JobTime(2, 2, "ann", 10, 30, 50.0, "worked"),
        JobTime(3, 2, "ann", 10, 30, 200.0, "worked"),
        JobTime(4, 2, "ann", 10, 30, 86_400.0, "elapsed"),
        JobTime(5, 2, "ann", 10, 30, None, None),
        JobTime(6, 2, "bob", 0, 0, 3.0, "worked"),
    ]
    elapsed, worked = time_rows(times)
    assert (worked.jobs, worked.frames, worked.seconds, worked.median_per_frame) == (3, 30, 350.0, 10.0)
    assert (elapsed.measured, elapsed.jobs, elapsed.median_per_frame) == ("elapsed", 1, 8640.0)
