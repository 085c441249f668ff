"""The demonstration itself, as small as it can be."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from agir_cvtoolkit.demo.pictures import real_pictures
from agir_cvtoolkit.demo.run import demo
from agir_cvtoolkit.demo.scenes import draw_scenes
from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.status import status


@pytest.mark.integration
def test_the_loop_closes_and_leaves_a_workspace(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    lines: list[str] = []
    result = demo(tmp_path / "out", count=6, epochs=1, tell=lines.append)

    assert result.held_out == 2
    assert result.judgement.all.pictures == 2
    assert 0.0 <= result.judgement.all.after <= 1.0
    assert 0.4 < result.judgement.all.before < 0.95
    assert result.oracle is not None
    assert result.oracle.frames == 4
    assert Image.open(result.sheet).width > 1000
    stages = {s.stage: s.state for s in status(Call(config=str(result.folder / "conf"), run="round1")).stages}
    assert stages["query"] == stages["infer-seg"] == "done"
    assert {stages[name] for name in ("upload-cvat", "download-cvat", "preprocess", "train")} == {"earlier"}
    assert any("Uploaded 4 of 4" in line for line in lines)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="no demonstration"):
        demo(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_every_third_picture_is_held_out_and_marked_in_the_csv(tmp_path: Path) -> None:
    draw_scenes(tmp_path / "data", 6)
    pictures = real_pictures(tmp_path / "data", tmp_path / "work")
    assert len(pictures.held_out) == 2
    text = pictures.records_csv.read_text()
    assert text.count("held_out") >= 2
    assert pictures.true_mask(min(pictures.held_out)).any()


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"records\.csv"):
        real_pictures(tmp_path, tmp_path / "work")
