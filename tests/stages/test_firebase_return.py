"""``firebase return``: what comes into the store, under which ids, and what is listed instead."""

from __future__ import annotations

import json
import random
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agir_cvtoolkit.captures import LabeledPose
from agir_cvtoolkit.errors import ConfigError, DataError, UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.poses import Keypoint
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.stages.firebase_return import firebase_return

from .returning import CREATED, DOG, TIME, Desk, dog, export, image, point


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)


def _manifest(folder: Path, names: dict[str, str]) -> Path:
    images = [{"filename": name, "firebase_id": capture_id} for name, capture_id in names.items()]
    path = folder / "transfer_manifest.json"
    path.write_text(json.dumps({"images": images}), encoding="utf-8")
    return path


def test_a_correction_has_the_fields_of_the_seed(desk: Desk) -> None:
    desk.submit("pose_1")
    content = point("nose", 100, 200) + point("Left Eye", 1.5, 2.25, visibility="occluded")
    content += point("tail_tip", 9, 9, visibility="absent")
    result = desk.bring([image(0, "pose_1.jpg", content)])
    assert (result.frames, result.matched, result.animals, result.new, result.completed) == (1, 1, 1, 1, 1)
    (pose,) = desk.labeled().values()
    assert pose.document_id == f"cvat_pose_1_{TIME}"
    assert pose.capture_id == "pose_1"
    assert pose.keypoints == {"nose": Keypoint(100, 200), "left_eye": Keypoint(1.5, 2.25, "occluded")}
    assert pose.quality is not None
    assert 0 < pose.quality < 0.2
    assert (pose.schema, pose.size, pose.revision) == ("dog24", (640, 480), 1)
    assert pose.picture == "training_images/pose_1.jpg"
    assert desk.captures("pose_1")["pose_1"].status == "completed"
    assert result.exit_code == 0
    assert [item.outcome for item in result.notices] == ["half-annotated"]


def test_returning_again_changes_nothing_and_counts_nothing(desk: Desk) -> None:
    desk.submit("a", "b")
    images = [image(0, "a.jpg", dog(10)), image(1, "b.jpg", dog(20))]
    first = desk.bring(images, trigger_retraining=True)
    before = desk.labeled()
    again = desk.bring(images, trigger_retraining=True)
    assert (first.new, first.completed, first.unreserved) == (2, 2, 2)
    assert (again.new, again.changed, again.same, again.completed, again.unreserved) == (0, 0, 2, 0, 2)
    assert desk.labeled() == before
    assert not again.worked


def test_a_moved_joint_is_a_revision_of_the_same_document(desk: Desk) -> None:
    desk.submit("a")
    desk.bring([image(0, "a.jpg", dog(10))])
    result = desk.bring([image(0, "a.jpg", dog(11))])
    assert (result.new, result.changed) == (0, 1)
    assert [pose.revision for pose in desk.labeled().values()] == [2]


def test_another_task_of_the_same_capture_is_another_document_and_a_second_opinion(desk: Desk) -> None:
    desk.submit("a")
    desk.bring([image(0, "a.jpg", dog(10))])
    desk.bring(export([image(0, "a.jpg", dog(10))], "2026-12-01T00:00:00+02:00"))
    first, second = (desk.labeled()[f"cvat_a_{time}"] for time in (TIME, "20261130T220000Z"))
    assert first.keypoints == second.keypoints
    assert desk.captures("a")["a"].status == "completed"
    desk.bring(export([image(0, "a.jpg", dog(40))], "2027-01-01 00:00:00+00:00"))
    third = desk.labeled()["cvat_a_20270101T000000Z"]
    assert third.quality is not None
    assert second.quality is not None
    assert third.quality < second.quality


def test_animals_of_one_picture_keep_their_numbers(desk: Desk) -> None:
    desk.submit("a")
    left, right, third = dog(10, group=1), dog(300, group=2), dog(150, group=3)
    desk.bring([image(0, "a.jpg", left + right)])
    ids = [f"cvat_a_{TIME}", f"cvat_a_{TIME}_2", f"cvat_a_{TIME}_3"]
    assert {key: pose.keypoints["nose"].x for key, pose in desk.labeled().items()} == {
        ids[0]: 10,
        ids[1]: 300,
    }
    # Another dog between them, drawn first, and the other two in the other order.
    moved = dog(150, group=1) + dog(301, group=2) + dog(10, group=3)
    result = desk.bring([image(0, "a.jpg", moved)])
    assert (result.new, result.changed, result.same) == (1, 1, 1)
    found = {key: pose.keypoints["nose"].x for key, pose in desk.labeled().items()}
    assert found == {ids[0]: 10, ids[1]: 301, ids[2]: 150}
    assert third


def test_an_animal_that_was_taken_out_keeps_an_empty_document(desk: Desk) -> None:
    desk.submit("a")
    desk.bring([image(0, "a.jpg", dog(10, group=1) + dog(300, group=2))])
    result = desk.bring([image(0, "a.jpg", dog(300, group=1))])
    assert (result.withdrawn, result.changed, result.same) == (1, 1, 1)
    found = desk.labeled()
    assert found[f"cvat_a_{TIME}"].keypoints == {}
    assert found[f"cvat_a_{TIME}_2"].keypoints["nose"].x == 300
    assert desk.bring([image(0, "a.jpg", dog(300, group=1))]).withdrawn == 0


def test_what_was_not_understood_withdraws_nothing(desk: Desk) -> None:
    desk.submit("a")
    desk.bring([image(0, "a.jpg", dog(10, group=1) + dog(300, group=2))])
    result = desk.bring([image(0, "a.jpg", dog(300, group=1) + point("horn", 1, 1))])
    assert (result.withdrawn, result.exit_code) == (0, 1)
    assert desk.labeled()[f"cvat_a_{TIME}"].keypoints


def test_a_picture_without_annotations_is_left_as_it_is(desk: Desk) -> None:
    desk.submit("a", "b")
    result = desk.bring([image(0, "a.jpg", dog(10)), image(1, "b.jpg")])
    assert (result.empty, result.completed, result.exit_code) == (("b",), 1, 0)
    assert desk.captures("b")["b"].status == "in_progress"
    desk.bring([image(0, "a.jpg")])
    assert desk.labeled()[f"cvat_a_{TIME}"].keypoints


def test_bad_things_are_listed_and_the_rest_goes_on(desk: Desk) -> None:
    desk.submit("a", "b", "c", "d")
    images = [
        image(0, "a.jpg", dog(10) + point("horn", 5, 5)),
        image(1, "b.jpg", point("nose", 5, 5) + point("throat", -50, 5) + point("center", float("nan"), 5)),
        image(2, "stranger.jpg", dog(10)),
        image(3, "c.jpg", '<box label="dog_bbox" source="manual" xtl="1" ytl="1" xbr="9" ybr="9"></box>'),
        image(4, "d.jpg", point("nose", 1, 1, visibility="absent") + '<cuboid label="dog"></cuboid>'),
    ]
    result = desk.bring(images)
    reasons = {item.record_id: item.reason for item in result.items}
    assert "'horn' is no joint of dog24" in reasons["a"]
    assert reasons["b"].count("outside the picture") == 2
    assert len(result.items) == len(reasons) == 5
    assert "no capture of the store is called 'stranger'" in reasons["stranger.jpg"]
    assert "frame 2" in reasons["stranger.jpg"]
    assert "no joint with a place" in reasons["c"]
    assert "cuboid" in reasons["d"]
    assert result.exit_code == 1
    assert set(desk.labeled()) == {f"cvat_a_{TIME}", f"cvat_b_{TIME}"}
    assert set(desk.labeled()[f"cvat_b_{TIME}"].keypoints) == {"nose"}
    statuses = {key: capture.status for key, capture in desk.captures("a", "b", "c", "d").items()}
    assert statuses == {"a": "completed", "b": "completed", "c": "in_progress", "d": "in_progress"}


def test_a_picture_of_another_schema_is_one_item(desk: Desk) -> None:
    desk.submit("a")
    result = desk.bring([image(0, "a.jpg", "".join(point(f"plant_{n}", 1, 1) for n in range(24)))])
    (item,) = result.items
    assert item.reason.count("is no joint of dog24") == 5
    assert item.reason.endswith("and 19 more")
    assert result.exit_code == 4


def test_an_export_in_a_wrong_encoding_is_damaged(desk: Desk) -> None:
    path = desk.root / "latin.xml"
    path.write_bytes(export([image(0, "hündin.jpg", dog(10))]).encode("latin-1"))
    with pytest.raises(DataError, match="no sound XML"):
        firebase_return(desk.call(), annotations=path)
    text = export([image(0, "hündin.jpg", dog(10))]).replace("utf-8", "iso-8859-1", 1)
    path.write_bytes(text.encode("latin-1"))
    desk.submit("hündin")
    assert firebase_return(desk.call(), annotations=path).new == 1


def test_an_export_of_strangers_is_a_failure(desk: Desk) -> None:
    desk.submit("a")
    result = desk.bring([image(n, f"other_{n}.jpg", dog(10)) for n in range(3)])
    assert (result.exit_code, result.matched, len(result.items)) == (4, 0, 3)


def test_the_manifest_comes_before_the_name_and_nothing_is_guessed(desk: Desk) -> None:
    odd = "device/../1"
    desk.submit(odd, "a", "b", "c")
    names = {f"{file_stem(odd)}.jpg": odd, "renamed.jpg": "a", "lost.jpg": "gone"}
    _manifest(desk.root, names)
    images = [
        image(0, f"batch\\{file_stem(odd)}.jpg", dog(10)),
        image(1, "folder/renamed.jpg", dog(20)),
        image(2, "lost.jpg", dog(30)),
        image(3, "sub/b.png", dog(40)),
        image(4, "C.jpg", dog(50)),
    ]
    result = desk.bring(images)
    assert {pose.capture_id for pose in desk.labeled().values()} == {odd, "a", "b"}
    assert {item.record_id for item in result.items} == {"lost.jpg", "C.jpg"}
    assert any("capture 'gone' by the manifest" in item.reason for item in result.items)
    assert [Path(name).name for name in result.manifests] == ["transfer_manifest.json"]


def test_two_frames_under_one_name_are_neither(desk: Desk) -> None:
    desk.submit("a")
    result = desk.bring([image(0, "x/a.jpg", dog(10)), image(1, "y/a.jpg", dog(20))])
    assert (result.animals, result.exit_code) == (0, 4)
    assert all("same file name" in item.reason for item in result.items)


def test_manifests_that_disagree_decide_nothing(desk: Desk) -> None:
    desk.submit("a", "b")
    other = desk.root / "out"
    other.mkdir()
    _manifest(desk.root, {"x.jpg": "a"})
    _manifest(other, {"x.jpg": "b"})
    result = desk.bring([image(0, "x.jpg", dog(10))], output_dir=other)
    assert (result.animals, result.exit_code) == (0, 4)
    assert "several captures" in result.items[0].reason
    named = desk.bring([image(0, "x.jpg", dog(10))], manifest=other)
    assert named.animals == 1
    with pytest.raises(UsageError, match="--manifest"):
        desk.bring([image(0, "x.jpg", dog(10))], manifest=other / "none.json")


def test_without_a_creation_time_there_is_no_id(desk: Desk) -> None:
    desk.submit("a")
    result = desk.bring(export([image(0, "a.jpg", dog(10))], None))
    assert (result.animals, result.exit_code) == (0, 4)
    assert "when its task was made" in result.items[0].reason


def test_a_project_has_the_times_of_its_tasks(desk: Desk) -> None:
    desk.submit("a", "b")
    tasks = "".join(
        f"<task><id>{n}</id><created>2026-01-0{n} 00:00:00+00:00</created></task>" for n in (1, 2)
    )
    meta = f"<project><id>1</id><created>2020-01-01</created><tasks>{tasks}</tasks></project>"
    images = [
        image(0, "a.jpg", dog(10), extra=' task_id="1"'),
        image(1, "b.jpg", dog(10), extra=' task_id="2"'),
        image(2, "a.jpg", dog(10), extra=' task_id="2"'),
    ]
    result = desk.bring(export(images, meta=meta))
    assert set(desk.labeled()) == {
        "cvat_a_20260101T000000Z",
        "cvat_a_20260102T000000Z",
        "cvat_b_20260102T000000Z",
    }
    assert (result.completed, result.exit_code) == (2, 0)


def test_a_zip_of_cvat_is_read_as_it_is(desk: Desk) -> None:
    desk.submit("a")
    path = desk.root / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", export([image(0, "a.jpg", dog(10))]))
    assert firebase_return(desk.call(), annotations=path).new == 1


@pytest.mark.parametrize(
    "broken",
    [
        "not xml",
        '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>',
        export([image(0, "a.jpg", dog(10)), image(1, "b.jpg", dog(10))])[:-40],
        "<html></html>",
        export([]),
        "",
    ],
)
def test_a_damaged_export_writes_nothing(desk: Desk, broken: str) -> None:
    desk.submit("a", "b")
    with pytest.raises(DataError) as caught:
        desk.bring(broken)
    assert caught.value.exit_code == 4
    assert desk.labeled() == {}
    assert desk.captures("a")["a"].status == "in_progress"


def test_a_rehearsal_says_the_same_and_changes_nothing(desk: Desk) -> None:
    desk.overrides = ("firebase.retraining_threshold=3",)
    desk.submit("a", "b", "c")
    desk.bring([image(0, "a.jpg", dog(10)), image(1, "b.jpg", dog(10))])
    before = desk.state()
    images = [image(0, "a.jpg", dog(10)), image(1, "b.jpg", dog(12)), image(2, "c.jpg", dog(10))]
    told = desk.bring(images, dry_run=True, trigger_retraining=True)
    assert desk.state() == before
    done = desk.bring(images, trigger_retraining=True)
    for name in ("new", "changed", "same", "completed", "animals", "items", "unreserved"):
        assert getattr(told, name) == getattr(done, name), name
    assert told.trigger is not None
    assert done.trigger is not None
    assert told.trigger.count == done.trigger.count == 3


def test_twenty_five_corrections_make_one_trigger(desk: Desk) -> None:
    names = [f"p{n:02d}" for n in range(25)]
    desk.submit(*names)
    images = [image(n, f"{name}.jpg", dog(10)) for n, name in enumerate(names)]
    nine = desk.bring(images[:9], trigger_retraining=True)
    assert (nine.trigger, nine.unreserved, nine.threshold) == (None, 9, 10)
    result = desk.bring(images, trigger_retraining=True)
    assert result.trigger is not None
    assert (result.trigger.count, result.trigger.threshold, result.unreserved) == (25, 10, 0)
    assert desk.bring(images, trigger_retraining=True).trigger is None
    store = desk.store()
    assert [(t.count, t.status) for t in store.triggers()] == [(25, "pending")]
    store.close()


def test_without_the_option_there_is_no_trigger(desk: Desk) -> None:
    names = [f"p{n:02d}" for n in range(12)]
    desk.submit(*names)
    result = desk.bring([image(n, f"{name}.jpg", dog(10)) for n, name in enumerate(names)])
    assert (result.trigger, result.unreserved) == (None, None)
    store = desk.store()
    assert (store.triggers(), store.unreserved()) == ([], 12)
    store.close()


def test_coordinates_of_the_interface_and_of_an_export_are_the_same(desk: Desk) -> None:
    desk.submit("a")
    desk.bring([image(0, "a.jpg", point("nose", 326.33, 258.67))])
    fine = '<points label="nose" occluded="0" points="326.3333333,258.6666667"></points>'
    assert desk.bring([image(0, "a.jpg", fine)]).same == 1


def test_proposals_that_nobody_touched_are_told(desk: Desk) -> None:
    desk.submit("a", "b")
    drawn = dog(10, DOG.joints[:12]) + dog(10, DOG.joints[12:], source="auto")
    result = desk.bring([image(0, "a.jpg", dog(10, source="auto")), image(1, "b.jpg", drawn)])
    assert (result.proposals, result.animals, result.exit_code) == (("a",), 2, 0)


def test_quality_knows_the_labelled_population(desk: Desk) -> None:
    draw = random.Random(0)
    store = desk.store()
    places = {j: (draw.uniform(0, 600), draw.uniform(0, 400)) for j in DOG.joints}
    for number in range(120):
        points = {
            j: Keypoint(x * 0.8 + draw.gauss(0, 2), y * 0.8 + draw.gauss(0, 2))
            for j, (x, y) in places.items()
        }
        store.write_labeled(
            [
                LabeledPose(
                    f"cvat_old{number}_20200101T000000Z", f"old{number}", points, 1.0, datetime.now(UTC)
                )
            ]
        )
    store.close()
    desk.submit("usual", "odd")
    usual = "".join(point(j, x, y) for j, (x, y) in places.items())
    odd = "".join(point(j, 600 - x if n % 3 else x, y) for n, (j, (x, y)) in enumerate(places.items()))
    desk.bring([image(0, "usual.jpg", usual), image(1, "odd.jpg", odd)])
    found = desk.labeled()
    high, low = found[f"cvat_usual_{TIME}"].quality, found[f"cvat_odd_{TIME}"].quality
    assert high is not None
    assert low is not None
    assert high > 0.97 > 0.9 > low


def test_the_joint_group_says_what_is_expected(desk: Desk) -> None:
    desk.submit("head", joint_group="head")
    desk.submit("all")
    content = dog(10, DOG.of_group("head"))
    result = desk.bring([image(0, "head.jpg", content), image(1, "all.jpg", content)])
    found = desk.labeled()
    assert found[f"cvat_head_{TIME}"].quality == 1.0
    assert (found[f"cvat_all_{TIME}"].quality or 1) < 0.3
    assert [item.record_id for item in result.notices] == ["all"]


@pytest.mark.parametrize("schema", ["dog26", "vision25", "dog5"])
def test_other_schemas_are_read_by_their_names_and_aliases(desk: Desk, schema: str) -> None:
    desk.overrides = (f"firebase.pose.joints={schema}",)
    label = {"dog26": "throat", "vision25": "leftEarTop", "dog5": "Hind Legs"}[schema]
    joint = {"dog26": "neck", "vision25": "left_ear_top", "dog5": "hindlegs"}[schema]
    desk.submit("a")
    desk.bring([image(0, "a.jpg", point(label, 7, 8))])
    (pose,) = desk.labeled().values()
    assert (pose.schema, set(pose.keypoints)) == (schema, {joint})


def test_a_schema_of_the_user_counts_too(desk: Desk) -> None:
    (desk.root / "mouse.yaml").write_text("label: mouse\njoints: [snout, tail]\naliases: {nose: snout}\n")
    desk.overrides = ("firebase.pose.joints=mouse.yaml",)
    desk.submit("a")
    desk.bring([image(0, "a.jpg", point("nose", 7, 8) + point("tail", 1, 2))])
    (pose,) = desk.labeled().values()
    assert (pose.schema, set(pose.keypoints), pose.quality) == ("mouse", {"snout", "tail"}, 1.0)


def test_options_that_exclude_each_other(desk: Desk) -> None:
    path = desk.write([image(0, "a.jpg")])
    with pytest.raises(UsageError, match="exclude each other"):
        firebase_return(desk.call(), annotations=path, task_ids=[1])
    with pytest.raises(UsageError, match="is not there"):
        firebase_return(desk.call(), annotations=desk.root / "none.xml")
    desk.overrides = ("firebase.pose.joints=dog25",)
    desk.submit("a")
    with pytest.raises(ConfigError, match="dog25"):
        firebase_return(desk.call(), annotations=path)


def test_a_task_of_the_seconds_time_zone(desk: Desk) -> None:
    desk.submit("a")
    desk.bring(export([image(0, "a.jpg", dog(10))], "2026-11-21 23:53:46.9+02:00"))
    desk.bring(export([image(0, "a.jpg", dog(10))], CREATED))
    assert list(desk.labeled()) == [f"cvat_a_{TIME}"]


def test_the_life_of_a_picture_knows_its_corrections(desk: Desk) -> None:
    desk.submit("a/1", "b")
    _manifest(desk.root, {f"{file_stem('a/1')}.jpg": "a/1"})
    root = Path(desk.call().settings().io.out_root)
    assert desk.bring([image(0, "b.jpg", dog(50))]).new == 1
    assert not Ledger.is_there(None, root)  # a machine that only returns gets none
    with Ledger.open(None, root):
        pass
    pictures = [
        image(0, f"{file_stem('a/1')}.jpg", dog(50, group=1) + dog(300, group=2)),
        image(1, "b.jpg", dog(50)),
    ]
    desk.bring(pictures, dry_run=True)
    desk.bring(pictures)
    desk.bring(pictures)
    pictures[1] = image(1, "b.jpg", dog(60))
    desk.bring(pictures)
    with Ledger.open_to_read(None, root) as ledger:
        told = [
            [
                (e.kind, e.detail["document"], e.detail["revision"], e.detail["joints"])
                for e in ledger.events_of_record(i)
            ]
            for i in (file_stem("a/1"), "b")
        ]
    first = f"cvat_a/1_{TIME}"
    assert told[0] == [("returned", first, 1, 24), ("returned", f"{first}_2", 1, 24)]
    # What an earlier call has not written down is written down by the next one.
    assert told[1] == [("returned", f"cvat_b_{TIME}", n, 24) for n in (1, 2)]
