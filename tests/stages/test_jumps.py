from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agir_cvtoolkit.poses import Keypoint, Pose, write_poses
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages._jumps import jumps


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return start_run(tmp_path / "runs", "a")


def entry(record_id: str, **values: str | int | float | None) -> ManifestEntry:
    return ManifestEntry(
        record_id=record_id, common_name=None, image_path=None, mask_path=None, width=100, height=100, sha256=None,
        model="m", uncertainty=0.5, edge_occupancy=0.0, inference_time_ms=1.0, label_values=values,
    )  # fmt: skip


def posed(run: Run, record_id: str, frame: int, shift: float, tail: float = 0.0) -> ManifestEntry:
    """An animal of 60 x 80 pixels that walks; its tail may be somewhere else."""
    points = {
        "nose": (shift, 0.0),
        "back": (30.0 + shift, 40.0),
        "belly": (40.0 + shift, 60.0),
        "tail": (60.0 + shift, 80.0 + tail),
    }
    pose = Pose({name: Keypoint(x, y, confidence=0.9) for name, (x, y) in points.items()})
    write_poses(run.path("poses", f"{record_id}.json"), "four", [pose])
    return replace(entry(record_id, video="v", frame=frame), pose_path=f"poses/{record_id}.json")


def test_a_joint_that_jumps_and_comes_back_stands_out(run: Run) -> None:
    frames = [posed(run, f"r{n}", n, 3.0 * n, tail=-40.0 if n == 10 else 0.0) for n in (11, 2, 10, 9, 3)]
    found = jumps(run, frames, "video", "frame")
    assert max(found, key=lambda name: found[name]) == "r10"
    assert found["r10"] == pytest.approx(40 / (0.5 * (60**2 + 80**2) ** 0.5), abs=0.3)
    assert found["r2"] < 0.1  # walking is no jump, and frames are ordered as numbers


def test_of_masks_it_is_the_area_that_jumps(run: Run) -> None:
    shares = {"a": 0.2, "b": 0.21, "c": 0.02, "d": 0.2}
    frames = [
        replace(entry(name, session="s"), foreground_share=share, mask_path="m") for name, share in shares.items()
    ]  # fmt: skip
    found = jumps(run, [*frames, entry("alone", session="t"), entry("none", session=None)], "session")
    assert set(found) == set(shares)
    assert found["c"] == pytest.approx(0.9, abs=0.02)
    assert found["a"] < 0.1


def test_frames_of_one_folder_are_a_film(run: Run) -> None:
    frames = [
        replace(entry(name), foreground_share=share, mask_path="m", source_path=f"/films/{film}/{name}.png")
        for name, film, share in (("a", "x", 0.2), ("b", "x", 0.2), ("c", "y", 0.9), ("d", "y", 0.3))
    ]
    found = jumps(run, frames, "folder")
    assert (found["a"], found["b"]) == (0.0, 0.0)
    assert found["d"] > 0.5
