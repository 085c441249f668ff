"""What people did with the proposals of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agir_cvtoolkit.corrections import match
from agir_cvtoolkit.cvat import AttributeSpec, JobAnnotations, JobInfo, LabelSet, LabelSpec
from agir_cvtoolkit.ledger import CorrectionRow, Ledger, PushedFrame, PushedShape, PushedTask, PushKey
from agir_cvtoolkit.plain_shapes import pack, unpack
from agir_cvtoolkit.shapes import Points, Polyline, Rectangle, Shape, Skeleton
from agir_cvtoolkit.stages._correction_figures import summary
from agir_cvtoolkit.stages._corrections import _matches, correct_job, rows_of_job
from agir_cvtoolkit.stages._pulled import PulledFrame


def square(x: float, label: str = "weed") -> Rectangle:
    return Rectangle(label=label, points=((x, 10.0), (x + 20, 30.0)))


def job(assignee: str | None = "ada") -> JobInfo:
    return JobInfo(
        id=11,
        task_id=1,
        state="completed",
        stage="acceptance",
        type="annotation",
        start_frame=0,
        stop_frame=9,
        updated_date="2026-01-01T00:00:00Z",
        assignee=assignee,
    )


def frame(number: int) -> PulledFrame:
    return PulledFrame(number, f"MD_{number}", f"MD_{number}.jpg", 200, 100, "ab", 11, 0, None)


def left(number: int, *shapes: Shape, packed: bool = True) -> list[PushedShape]:
    return [
        PushedShape(number, p, s.label, s.kind, s.geometry_hash(), pack(s) if packed else None)
        for p, s in enumerate(shapes)
    ]


def rows(
    pushed: Mapping[int, Sequence[PushedShape]],
    after: Mapping[int, tuple[Shape, ...]],
    assignee: str | None = "ada",
    labels: LabelSet | None = None,
) -> tuple[CorrectionRow, ...]:
    frames = {number: frame(number) for number in range(4)}
    return rows_of_job("http://s", "run", job(assignee), JobAnnotations(11, after), frames, pushed, labels)


def test_every_proposal_and_every_added_shape_has_a_row() -> None:
    found = rows(
        {0: left(0, square(10), square(60), square(100, "crop")), 1: []},
        {0: (square(10), square(62), square(100, "stone"), square(150)), 1: (square(5),)},
    )
    assert [(r.frame, r.outcome, r.label_before, r.label, r.kind) for r in found] == [
        (0, "accepted", "weed", "weed", "rectangle"),
        (0, "edited", "weed", "weed", "rectangle"),
        (0, "relabelled", "crop", "stone", "rectangle"),
        (0, "added", None, "weed", "rectangle"),
        (1, "added", None, "weed", "rectangle"),
    ]
    assert found[1].iou == pytest.approx(18 / 22)
    assert {(r.task_id, r.job_id, r.annotator, r.record_id) for r in found} == {
        (1, 11, "ada", "MD_0"),
        (1, 11, "ada", "MD_1"),
    }


def test_a_frame_that_was_not_pushed_or_not_stored_has_no_rows() -> None:
    assert rows({}, {0: (square(10),)}) == ()
    assert rows({7: left(7, square(10))}, {7: (square(10),)}) == ()


SPECS = (
    AttributeSpec(1, "Growth stage", "select", ("seedling", "tillering"), "seedling"),
    AttributeSpec(2, "confidence", "number", ("0", "100", "1"), "0"),
)
LABELS = LabelSet((LabelSpec(1, "weed", attributes=SPECS), LabelSpec(2, "crop", attributes=SPECS)))
DEFAULTS = {"Growth stage": "seedling", "confidence": "87"}


@pytest.mark.parametrize(
    ("before", "after", "outcome", "changed"),
    [
        ({}, {"attributes": DEFAULTS}, "accepted", None),
        ({"attributes": {"growth_stage": " seedling"}}, {"attributes": DEFAULTS}, "accepted", None),
        ({}, {"attributes": DEFAULTS, "occluded": True}, "edited", "occluded"),
        ({"occluded": True}, {"attributes": DEFAULTS}, "edited", "occluded"),
        ({}, {"attributes": DEFAULTS | {"Growth stage": "tillering"}}, "edited", "attributes"),
        (
            {},
            {"attributes": DEFAULTS | {"Growth stage": ""}, "outside": True},
            "edited",
            "outside attributes",
        ),
        ({}, {"points": ((12.0, 10.0), (32.0, 30.0))}, "edited", "geometry"),
        (
            {},
            {"points": ((12.0, 10.0), (32.0, 30.0)), "attributes": {"Growth stage": "tillering"}},
            "edited",
            "geometry attributes",
        ),
        ({}, {"label": "crop", "attributes": {"Growth stage": "tillering"}}, "relabelled", "label"),
        (
            {},
            {"label": "crop", "points": ((12.0, 10.0), (32.0, 30.0)), "occluded": True},
            "relabelled",
            "label geometry occluded",
        ),
    ],
)
def test_flags_and_attributes_are_a_persons_edit(
    before: dict[str, object], after: dict[str, object], outcome: str, changed: str | None
) -> None:
    plain = {"label": "weed", "points": ((10.0, 10.0), (30.0, 30.0))}
    pushed, now = Rectangle(**(plain | before)), Rectangle(**(plain | after))  # type: ignore[arg-type]
    (found,) = rows({0: left(0, pushed)}, {0: (now,)}, labels=LABELS)
    assert (found.outcome, found.changed) == (outcome, changed)
    told = summary([found])
    only_marks = outcome == "edited" and "geometry" not in (changed or "")
    assert told["edited_marks"] == int(only_marks)
    assert (told["mean_iou"] is None) == (outcome != "edited" or only_marks)


def test_attributes_of_a_skeletons_points_count_and_its_own_flag_follows_from_them() -> None:
    sub = LabelSpec(4, "nose", "points", attributes=(AttributeSpec(9, "sharp", "checkbox", (), "false"),))
    labels = LabelSet((LabelSpec(3, "cow", "skeleton", sublabels=(sub,)),))
    before = Skeleton(label="cow", elements=(Points(label="nose", points=((5.0, 5.0),)),))
    point = replace(before.elements[0], attributes={"sharp": "true"})
    ticked, hidden = replace(before, elements=(point,)), replace(before, occluded=True)
    for now, changed in ((ticked, "attributes"), (hidden, None)):
        (found,) = rows({0: left(0, before)}, {0: (now,)}, labels=labels)
        assert found.changed == changed


def test_an_empty_frame_that_stayed_empty_is_an_accepted_record() -> None:
    found = rows(
        {0: [], 1: left(1, square(10)), 2: left(2, square(10)), 3: []}, {1: (square(10),), 3: (square(1),)}
    )
    assert [r.outcome for r in found] == ["empty", "accepted", "deleted", "added"]
    told = summary(found)
    assert told["records"] == {"accepted": 2, "accepted_empty": 1, "changed": 2}
    assert (told["proposals"], told["accepted"], told["deleted"], told["added"]) == (2, 1, 1, 1)
    assert told["share_accepted"] == 0.5
    assert set(told["by_label"]) == {"weed"}  # type: ignore[call-overload]


def test_without_kept_geometry_nothing_is_claimed_that_is_not_known() -> None:
    found = rows(
        {0: left(0, square(10), square(60), packed=False)}, {0: (square(10), square(62))}, assignee=None
    )
    assert [(r.outcome, r.iou) for r in found] == [("accepted", 1.0), ("unknown", None), ("unknown", None)]
    told = summary(found)
    assert (told["proposals"], told["share_accepted"], told["unknown"]) == (2, 0.5, 2)
    assert set(told["by_annotator"]) == {"nobody assigned"}  # type: ignore[call-overload]


def test_the_figures_are_by_label_of_the_prediction_and_by_annotator() -> None:
    ada = rows({0: left(0, square(10), square(60, "crop"))}, {0: (square(14), square(60, "weed"))})
    bob = rows({1: left(1, square(10))}, {1: (square(12),)}, assignee="bob")
    told = summary([*ada, *bob])
    by_label, by_annotator = told["by_label"], told["by_annotator"]
    assert isinstance(by_label, dict)
    assert isinstance(by_annotator, dict)
    assert by_label["crop"]["relabelled"] == 1
    assert by_label["weed"]["edited"] == 2
    assert by_label["weed"]["mean_iou"] == pytest.approx((16 / 24 + 18 / 22) / 2, abs=1e-4)
    assert by_annotator["ada"]["proposals"] == 2
    assert by_annotator["bob"]["mean_iou"] == pytest.approx(18 / 22, abs=1e-4)
    assert by_annotator["bob"]["records"] == {"accepted": 0, "accepted_empty": 0, "changed": 1}


def test_nothing_at_all_has_no_means() -> None:
    told = summary([])
    assert (told["proposals"], told["share_accepted"], told["mean_iou"]) == (0, None, None)


def test_a_job_is_compared_with_what_the_ledger_knows(tmp_path: Path) -> None:
    with Ledger.open(None, tmp_path / "outputs" / "runs") as ledger:
        push_id = ledger.open_push(PushKey("http://s", 7, None, "Round1", "segmentations"), "run")
        task = PushedTask(push_id, 1, "Round1 [1]", "run", "planned", None, None)
        ledger.plan_task(task)
        ledger.task_created(task, 1, "http://s/tasks/1")
        frames = [PushedFrame(push_id, 1, n, f"MD_{n}", f"MD_{n}.jpg", "ab", 200, 100, "cd") for n in (0, 1)]
        ledger.task_filled(task, frames)
        ledger.task_done(task, {0: 1}, left(0, square(10)))
        annotations = JobAnnotations(11, {0: (square(12),)})
        stored = {number: frame(number) for number in (0, 1)}
        found = correct_job(ledger, "http://s", "run", task, job(), annotations, stored)
        assert [r.outcome for r in found] == ["edited", "empty"]
        assert list(ledger.corrections_of_run("run", "http://s")) == list(found)
        assert correct_job(ledger, "http://s", "run", None, job(), annotations, stored) == ()
        assert list(ledger.corrections_of_run("run", "http://s")) == list(found)


def test_a_damaged_shape_in_the_ledger_does_not_stop_the_pull() -> None:
    damaged = [replace(row, geometry=b"damaged") for row in left(0, square(10), square(60))]
    found = rows({0: damaged}, {0: (square(10), square(62))})
    assert [r.outcome for r in found] == ["accepted", "unknown", "unknown"]


def test_what_was_not_touched_is_told_as_matching_it_would_tell_it() -> None:
    shapes: list[Shape] = [
        square(10),
        square(10),
        Polyline(label="row", points=((1.0, 1.0), (90.0, 9.0))),
        Points(label="eye", points=((5.0, 5.0),)),
        Skeleton(label="mouse", elements=(Points(label="nose", points=((50.0, 50.0),)),)),
    ]
    told = _matches(left(0, *shapes), shapes[::-1], (200, 100))
    assert [replace(m, after=None) for m in told] == [
        replace(m, after=None) for m in match(shapes, shapes[::-1], (200, 100))
    ]


def test_untouched_shapes_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[bytes] = []

    def counted(geometry: bytes, same: Shape | None) -> Shape:
        unpacked.append(geometry)
        return unpack(geometry, same)

    monkeypatch.setattr("agir_cvtoolkit.stages._corrections.unpack", counted)
    pushed = left(0, *(square(x) for x in range(0, 160, 4)))
    after = [square(x) for x in range(0, 156, 4)]
    assert {m.outcome for m in _matches(pushed, after, (200, 100))} == {"accepted", "deleted"}
    assert len(unpacked) == 1
