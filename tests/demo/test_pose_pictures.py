"""Where the animals of the demonstration come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.demo.pose_pictures import drawn_animals, real_animals
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import load_schema


def _picture(path: Path, size: tuple[int, int] = (80, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(rgb).save(path)


def test_drawn_animals_are_kept_as_jpeg_and_some_are_held_out(tmp_path: Path) -> None:
    found = drawn_animals(tmp_path, 8, seed=5)
    assert (len(found.pool), len(found.held_out)) == (6, 2)
    assert not {one.picture_id for one in found.pool} & {one.picture_id for one in found.held_out}
    for one in (*found.pool, *found.held_out):
        with Image.open(one.path) as picture:
            assert (picture.format, picture.size) == ("JPEG", one.size)


def test_deeplabcuts_table_is_read_with_what_is_not_visible_as_absent(tmp_path: Path) -> None:
    for number in range(4):
        _picture(tmp_path / "data" / "labeled-data" / f"img{number}.png")
    (tmp_path / "data" / "CollectedData.csv").write_text(
        "scorer,me,me,me,me,me,me\n"
        "bodyparts,nose_top,nose_top,tailBase_top,tailBase_top,paw1LH_top,paw1LH_top\n"
        "coords,x,y,x,y,x,y\n"
        + "".join(f"labeled-data/img{n}.png,{10 + n},20.5,,,200,30\n" for n in range(4)),
        encoding="utf-8",
    )
    found = real_animals(tmp_path / "data", tmp_path / "out")
    assert [one.picture_id for one in found.held_out] == ["img3"]
    assert found.schema.joints == ("nose_top", "tailBase_top", "paw1LH_top")
    assert load_schema(found.joints).links == found.schema.links
    assert ("nose_top", "tailBase_top") in found.schema.links
    truth = found.pool[1].truth
    assert (truth.at("nose_top").x, truth.at("nose_top").y) == (11, 20.5)
    assert not truth.at("tailBase_top").is_there
    assert not truth.at("paw1LH_top").is_there  # 200 lies outside a picture of 80 pixels


def test_stanfords_list_is_read_in_the_joints_of_dog24(tmp_path: Path) -> None:
    joints = [[float(n), float(n + 1), 1.0] for n in range(24)]
    joints[16][2] = 0.0
    entries = []
    for number in range(4):
        _picture(tmp_path / "data" / "images" / f"dog{number}.jpg")
        entries.append({"img_path": f"images/dog{number}.jpg", "joints": joints, "img_bbox": [1, 2, 30, 40]})
    (tmp_path / "data" / "annotations.json").write_text(json.dumps(entries), encoding="utf-8")
    found = real_animals(tmp_path / "data", tmp_path / "out")
    pose = found.held_out[0].truth
    assert found.joints == "dog24"
    assert (pose.at("left_front_paw").x, pose.at("right_hip").y, pose.at("throat").x) == (0, 12, 23)
    assert not pose.at("nose").is_there
    assert pose.box is not None
    assert set(pose.keypoints) <= set(found.schema.joints)


@pytest.mark.parametrize(
    ("name", "content"), [("CollectedData.csv", "a,b\n1,2\n"), ("annotations.json", "{]"), ("else.txt", "")]
)
def test_other_folders_are_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError):
        real_animals(tmp_path, tmp_path / "out")


def test_too_few_animals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few"):
        drawn_animals(tmp_path, 3, seed=0)
