"""Ids of animals: the same whatever the order, and whatever part of them was written before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from agir_cvtoolkit.captures import Capture, LabeledPose
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.pose_quality import Population
from agir_cvtoolkit.poses import Keypoint, Pose
from agir_cvtoolkit.stages._return_documents import Corrections, Picture, corrections_of, hundredths
from agir_cvtoolkit.stages._return_frames import time_in_id
from agir_cvtoolkit.stages._return_population import time_of

DOG = load_schema("dog24")
TIME = "20260102T030405Z"
PICTURE = Picture(Capture("a_1", 0.2, 7), TIME, (640, 480), "training_images/a_1.jpg")
NOW = datetime(2026, 1, 3, tzinfo=UTC)


def _corrections(poses: list[Pose], before: list[LabeledPose], *, may_withdraw: bool = True) -> Corrections:
    return corrections_of(PICTURE, poses, before, DOG, Population(), NOW, may_withdraw=may_withdraw)


@st.composite
def dogs(draw: st.DrawFn) -> list[Pose]:
    """Return dogs that no two of lie at the same place."""
    places = draw(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 400)), max_size=5, unique=True))
    return [
        Pose({joint: Keypoint(x + n / 3, y + n / 7) for n, joint in enumerate(DOG.joints)}) for x, y in places
    ]


@given(dogs(), st.randoms())
def test_the_order_in_cvat_plays_no_part_once_they_are_written(poses: list[Pose], chance: object) -> None:
    first = _corrections(poses, [])
    shuffled = list(poses)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    again = _corrections(shuffled, list(first.poses))
    assert again == first
    assert len({pose.document_id for pose in first.poses}) == len(poses)


@given(dogs(), st.data())
def test_whatever_part_was_written_the_rest_gets_its_own_ids(poses: list[Pose], data: st.DataObject) -> None:
    whole = _corrections(poses, [])
    written = (
        data.draw(st.lists(st.sampled_from(whole.poses), unique_by=lambda p: p.document_id)) if poses else []
    )
    again = _corrections(poses, written)
    assert again.withdrawn == ()
    assert {pose.document_id for pose in again.poses} == {pose.document_id for pose in whole.poses}
    for pose in written:
        assert pose in again.poses


@given(dogs(), dogs())
def test_every_animal_has_one_document_and_every_document_one_animal(
    now: list[Pose], then: list[Pose]
) -> None:
    before = list(_corrections(then, []).poses)
    found = _corrections(now, before)
    ids = [pose.document_id for pose in (*found.poses, *found.withdrawn)]
    assert len(ids) == len(set(ids)) == max(len(now), len(then))
    assert len(found.withdrawn) == max(0, len(then) - len(now))
    assert all(not pose.keypoints for pose in found.withdrawn)
    assert _corrections(now, before, may_withdraw=False).withdrawn == ()
    after = [*found.poses, *found.withdrawn]
    assert _corrections(now, after).poses == found.poses
    assert _corrections(now, after).withdrawn == ()


@given(st.integers(1, 50))
def test_numbers_and_times_are_read_back_from_ids(number: int) -> None:
    document_id = PICTURE.document_id(number)
    assert PICTURE.number_of(document_id) == number
    assert time_of(document_id) == TIME
    other = replace(PICTURE, capture=Capture("a", 0.2, 7))
    assert other.number_of(document_id) is None
    assert replace(PICTURE, time="20260102T030406Z").number_of(document_id) is None


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)), st.integers(-12, 12))
def test_the_time_of_a_task_is_utc(moment: datetime, hours: int) -> None:
    plain = moment.replace(microsecond=123456).isoformat(sep=" ")
    assert time_in_id(f"{plain}+00:00") == moment.strftime("%Y%m%dT%H%M%SZ")
    zone = f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"
    found = time_in_id(f"{plain}{zone}")
    assert found is not None
    there = datetime.strptime(found, "%Y%m%dT%H%M%SZ")
    assert (moment.replace(microsecond=0) - there).total_seconds() == hours * 3600


@given(st.text(max_size=30))
@example("0001-01-01 00:00:00+12:00")
@example("0033-01-01 00:00:00")
def test_what_is_no_time_is_none(text: str) -> None:
    found = time_in_id(text)
    assert found is None or time_of(f"cvat_x_{found}") == found


@given(st.floats(0, 1e6))
def test_coordinates_are_those_of_an_export(value: float) -> None:
    assert hundredths(value) == float(f"{value:.2f}")
    assert hundredths(hundredths(value)) == hundredths(value)
    assert str(hundredths(-0.0)) == "0.0"
