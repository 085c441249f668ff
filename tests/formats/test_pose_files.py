"""SLEAP, DeepLabCut and Datumaro: files that are only written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.formats.datumaro_writer import write_datumaro
from agir_cvtoolkit.formats.deeplabcut_writer import write_deeplabcut
from agir_cvtoolkit.formats.sleap_writer import write_sleap
from agir_cvtoolkit.shapes import Ellipse, Points, Polygon, Rectangle, Shape

from .sets import JOINTS, dog, mask, pictured, ring_with_hole, writing

TRIANGLE = ((1.0, 1.5), (9.25, 2.0), (4.0, 10.0))


def test_sleap_has_points_half_a_pixel_from_ours(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    write_sleap(pictured(tmp_path / "pictures", dog(box=True), [], [*dog(), *dog()]), out)
    with h5py.File(out.folder / "labels.slp") as file:
        points = file["points"][:]
        assert len(points) == 9
        assert (points["x"][0], points["y"][0]) == (3.0, 3.75)
        assert points["visible"][:3].tolist() == [True, False, False]
        assert np.isnan(points["x"][2])
        assert [tuple(row)[1:] for row in file["frames"][:].tolist()] == [(0, 0, 0, 1), (0, 2, 1, 3)]
        metadata = json.loads(file["metadata"].attrs["json"])
        assert [node["name"] for node in metadata["nodes"]] == list(JOINTS)
        assert [(e["source"], e["target"]) for e in metadata["skeletons"][0]["links"]] == [
            (0, 1),
            (0, 2),
            (1, 2),
        ]
        (video,) = (json.loads(text) for text in file["videos_json"][:])
        assert video["filename"] == [str(out.folder / f"images/p{i}.png") for i in range(3)]
    assert out.losses.counts == {"boxes around skeletons": 1}


def test_the_sleap_library_loads_it(tmp_path: Path) -> None:
    sleap_io = pytest.importorskip("sleap_io", reason="sleap-io is not installed")
    out = writing(tmp_path / "out")
    write_sleap(pictured(tmp_path / "pictures", dog(), [*dog(), *dog()]), out)
    labels = sleap_io.load_slp(str(out.folder / "labels.slp"))
    assert [len(frame) for frame in labels] == [1, 2]
    assert labels.skeleton.edge_names == [("nose", "left_ear"), ("nose", "right_ear")]
    assert labels[0].image.shape == (12, 16, 3)


@pytest.mark.parametrize("write", [write_sleap, write_deeplabcut])
def test_without_a_skeleton_there_is_nothing_to_write(tmp_path: Path, write: Any) -> None:
    labelled = pictured(tmp_path / "pictures", [])
    with pytest.raises(UsageError):
        write(type(labelled)("t", labelled.labels[:2], 0, lambda: iter(())), writing(tmp_path / "a"))


def test_deeplabcut_has_a_row_for_each_picture_and_columns_for_each_animal(tmp_path: Path) -> None:
    out = writing(tmp_path / "out")
    write_deeplabcut(pictured(tmp_path / "pictures", dog(), [], [*dog(), *dog()]), out)
    with (out.folder / "labeled-data/default/CollectedData_agir.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[0] for row in rows] == ["scorer", "individuals", "bodyparts", "coords", *["labeled-data"] * 3]
    assert {len(row) for row in rows} == {3 + 12}
    assert rows[4] == ["labeled-data", "default", "p0.png", "3.5", "4.25", "6.0", "2.0", *[""] * 8]
    assert rows[6][2:] == ["p1.png", *[""] * 12]
    assert rows[2][3:9] == ["nose", "nose", "left_ear", "left_ear", "right_ear", "right_ear"]
    assert (out.folder / "labeled-data/default/p1.png").is_file()
    assert yaml.safe_load((out.folder / "config.yaml").read_text())["multianimalproject"] is True
    assert out.losses.counts == {"occlusions of joints": 3}


@pytest.mark.parametrize("several", [False, True])
def test_deeplabcut_loads_every_picture(tmp_path: Path, *, several: bool) -> None:
    """Read as ``deeplabcut.convertcsv2h5`` does (deeplabcut/utils/conversioncode.py, version 3.0)."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    out = writing(tmp_path / "out")
    last = [*dog(), *dog()] if several else dog()
    write_deeplabcut(pictured(tmp_path / "pictures", [], dog(), [], last), out)
    path = out.folder / "labeled-data/default/CollectedData_agir.csv"
    head = path.read_text(encoding="utf-8").splitlines()[:5]
    header = list(range(4)) if "individuals" in head[1] else list(range(3))
    assert head[-1].split(",")[0] == "labeled-data"
    data = pandas.read_csv(path, index_col=[0, 1, 2], header=header)
    data.columns = data.columns.set_levels(["somebody"], level="scorer")
    assert sorted(name for *_, name in data.index) == ["p0.png", "p1.png", "p2.png", "p3.png"]
    assert {str(kind) for kind in data.dtypes} == {"float64"}
    row = data.loc[("labeled-data", "default", "p1.png")]
    animal = ("individual1",) if several else ()
    assert (row["somebody", *animal, "nose", "x"], row["somebody", *animal, "nose", "y"]) == (3.5, 4.25)
    assert np.isnan(row["somebody", *animal, "right_ear", "x"])
    assert int(data.notna().any(axis=1).sum()) == 2


def test_datumaro_holds_every_kind_of_shape(tmp_path: Path) -> None:
    shapes: list[Shape] = [
        mask(ring_with_hole()),
        Polygon(label="crop", points=TRIANGLE, occluded=True, z_order=2, group=4, attributes={"stage": "2"}),
        Rectangle(label="weed", points=((2.0, 3.0), (6.5, 9.0)), rotation=30.0, confidence=0.5),
        Ellipse(label="weed", points=((6.0, 6.0), (9.0, 4.0))),
        Points(label="weed", points=((1.0, 1.0),)),
        *dog(),
    ]
    out = writing(tmp_path / "out")
    write_datumaro(pictured(tmp_path / "pictures", shapes, []), out)
    content = json.loads((out.folder / "annotations/default.json").read_text())
    first, second = content["items"]
    assert [a["type"] for a in first["annotations"]] == [
        "mask",
        "polygon",
        "bbox",
        "ellipse",
        "points",
        "points",
    ]
    drawn, polygon, box, ellipse, _, skeleton = first["annotations"]
    assert drawn["rle"]["size"] == [12, 16]
    assert polygon["points"] == [1.0, 1.5, 9.25, 2.0, 4.0, 10.0]
    assert polygon["attributes"] == {"stage": "2", "occluded": True}
    assert (polygon["z_order"], polygon["group"]) == (2, 4)
    assert (box["bbox"], box["attributes"]["rotation"], box["attributes"]["score"]) == (
        [2.0, 3.0, 4.5, 6.0],
        30.0,
        0.5,
    )
    assert ellipse["points"] == [3.0, 4.0, 9.0, 8.0]
    assert skeleton["points"] == [3.5, 4.25, 6.0, 2.0, 0.0, 0.0]
    assert skeleton["visibility"] == [2, 1, 0]
    labels = content["categories"]["label"]["labels"]
    (described,) = content["categories"]["points"]["items"]
    assert labels[skeleton["label_id"]]["name"] == labels[described["label_id"]]["name"] == "dog"
    assert (described["labels"], described["joints"]) == (list(JOINTS), [[1, 2], [1, 3]])
    assert second["image"] == {"path": "p1.png", "size": [12, 16]}
    assert not out.losses.counts
