"""What a pull looks at once, however many tasks and jobs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import CvatSession, FrameEntry, FrameMap, JobAnnotations, JobInfo, LabelSet
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import Run, write_json
from agir_cvtoolkit.shapes import Points, Polygon, Rectangle
from agir_cvtoolkit.stages._classes import class_table
from agir_cvtoolkit.stages._pull_context import Labels, PullContext
from agir_cvtoolkit.stages._pulled import PulledTask, new_folder, read_frame_maps, write_frame_map
from agir_cvtoolkit.stages._store_job import TaskContext, store_job


class CountingLedger:
    """A ledger that knows nothing, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def task_by_id(self, _server: str, _task_id: int) -> None:
        self.asked["task_by_id"] += 1


class Nowhere:
    url = "http://cvat.test"


def context(root: Path, ledger: CountingLedger) -> PullContext:
    session = cast("CvatSession", Nowhere())
    return PullContext(
        Run("run", root), Settings(), session, cast("Ledger", ledger), Labels(session, {3: LabelSet(())})
    )


def test_the_folder_of_pulls_is_listed_once_for_many_new_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cvat_downloads" / "7_before").mkdir(parents=True)
    listed: list[str] = []
    listing = Path.glob

    def counting(path: Path, pattern: str, **words: Any) -> Iterator[Path]:
        listed.append(pattern)
        return iter(listing(path, pattern, **words))

    monkeypatch.setattr(Path, "glob", counting)
    pull = context(tmp_path, CountingLedger())
    found = {number: pull.folder_of(number, "Barley") for number in range(1, 201)}
    assert len(listed) == 1
    assert len(set(found.values())) == 200
    assert found[7].name == "7_before", "a task that was renamed keeps its folder"
    assert found[8].name == "8_Barley"


def test_the_task_as_a_whole_is_looked_at_only_for_a_label_without_a_mask_value(tmp_path: Path) -> None:
    ledger = CountingLedger()
    pull = context(tmp_path, ledger)
    known = {"classes": [{"id": 0, "name": "background"}, {"id": 4, "name": "weed"}]}
    write_json(class_table(pull.run), known)
    frames = FrameMap(5, (FrameEntry(0, "a.png", 8, 6),))
    task = TaskContext(pull, tmp_path / "cvat_downloads" / "5_Barley", frames, {})
    job = JobInfo(11, 5, "completed", "acceptance", "annotation", 0, 0, "2026-01-01T00:00:00Z")

    def store(label: str) -> None:
        shape = Polygon(label=label, points=((1.0, 1.0), (4.0, 1.0), (4.0, 4.0)))
        store_job(task, job, JobAnnotations(11, {0: (shape,)}), {0})

    store("weed")
    assert ledger.asked == {}
    store("crop")
    assert ledger.asked == {"task_by_id": 1}


def test_shapes_that_a_mask_cannot_show_are_named_with_their_frame(tmp_path: Path) -> None:
    pull = context(tmp_path, CountingLedger())
    write_json(
        class_table(pull.run), {"classes": [{"id": 0, "name": "background"}, {"id": 4, "name": "weed"}]}
    )
    frames = FrameMap(5, tuple(FrameEntry(number, f"{number}.png", 8, 6) for number in range(3)))
    task = TaskContext(pull, new_folder(pull.run, 5, "x"), frames, {})
    job = JobInfo(11, 5, "completed", "acceptance", "annotation", 0, 2, "2026-01-01T00:00:00Z", project_id=3)
    area = Polygon(label="weed", points=((1.0, 1.0), (4.0, 1.0), (4.0, 4.0)))
    box, dot = Rectangle(label="weed", points=((1, 1), (3, 3))), Points(label="weed", points=((2, 2),))
    found, _ = store_job(
        task, job, JobAnnotations(11, {0: (area, dot, box), 1: (box,), 2: (area,)}), {0, 1, 2}
    )
    assert {n: frame.not_in_mask for n, frame in found.items()} == {
        0: "points, rectangle",
        1: "rectangle",
        2: "",
    }
    stored = PulledTask(5, "x", "http://cvat.test/tasks/5", task.folder, tuple(found.values()))
    write_frame_map(stored)
    assert read_frame_maps(pull.run) == [stored]
