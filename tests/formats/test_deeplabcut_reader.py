from __future__ import annotations

from pathlib import Path

import pytest

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.formats.deeplabcut_reader import read_deeplabcut

OLD = """scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
labeled-data/day/a.png,1.5,2,,
labeled-data\\day\\b.png,3,4,5,6
"""
NEW = """scorer,,,me,me
bodyparts,,,nose,nose
coords,,,x,y
labeled-data,day,a.png,1,2
"""


def test_both_layouts_of_the_index_are_read(tmp_path: Path) -> None:
    table = tmp_path / "CollectedData_me.csv"
    table.write_text(OLD)
    found = read_deeplabcut(table)
    assert found.joints == ("nose", "tail")
    assert [frame.path.relative_to(tmp_path).as_posix() for frame in found.frames] == [
        "labeled-data/day/a.png",
        "labeled-data/day/b.png",
    ]
    first, second = (frame.pose for frame in found.frames)
    assert (first.at("nose").x, first.at("nose").y) == (1.5, 2.0)
    assert not first.at("tail").is_there
    assert second.at("tail").y == 6.0
    table.write_text(NEW)
    assert read_deeplabcut(table).frames[0].path == tmp_path / "labeled-data/day/a.png"


def test_a_table_beside_its_frames(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    table = tmp_path / "CollectedData_me.csv"
    table.write_text(OLD)
    assert read_deeplabcut(table).frames[0].path == tmp_path / "a.png"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,x,y\na.png,1,2\n", "no table of DeepLabCut"),
        (OLD.replace("1.5", "one"), "could not convert"),
        (OLD.replace("3,4,5,6", "3,4,5"), "shorter"),
        (OLD.replace("tail", "nose"), "names a part twice"),
        (OLD.replace("labeled-data/day", "../.."), "outside the folder"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "CollectedData_me.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        read_deeplabcut(table)
