"""Long stories of pushes, kills, lost answers, new predictions and people: her work stays, ours ends right."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import UploadResult, upload_cvat

from .annotator import LABEL, Person, Wire, contents, predict_anew
from .workspace import Json, Workspace

pytestmark = pytest.mark.integration

RECORDS = ("img_0", "img_1", "img_2")
ACTS = (Person.add, Person.edit, Person.edit_what_stays, Person.tick, Person.delete, Person.complete)


@dataclass
class Story:
    """Three jobs of one record each, and what a person has saved in them."""

    workspace: Workspace
    chance: random.Random
    patches: pytest.MonkeyPatch
    task_id: int = 0
    job_ids: list[int] = field(default_factory=list)
    hers: dict[int, dict[int, Json]] = field(default_factory=dict)
    worked_in: set[int] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    number: int = 0

    def push(self, wire: Wire | None = None) -> UploadResult | None:
        with self.patches.context() as patched:
            if wire is not None:
                wire.tapped(patched)
            try:
                return upload_cvat(Call(overrides=("cvat_upload.segment_size=1",)))
            except KeyboardInterrupt:
                return None

    def begin(self) -> None:
        self.push()
        (task,) = self.workspace.tasks()
        self.task_id = int(task["id"])
        self.job_ids = [int(job["id"]) for job in self.workspace.jobs(self.task_id)]
        self.told.append(f"jobs {self.job_ids}")

    def predict(self) -> None:
        records = self.chance.sample(RECORDS, self.chance.randint(1, 3))
        self.number += 1
        predict_anew(self.workspace, self.number, *records)
        self.told.append(f"prediction {self.number} of {records}")

    def act(self, request: str = "") -> None:
        frame = self.chance.randrange(3)
        job_id = self.job_ids[frame]
        person = Person(self.workspace, self.task_id, job_id, frame=frame).load()
        act = self.chance.choice(ACTS)
        if not person.loaded and act is not Person.add:
            return
        # In the gap a change of an old proposal is lost, and nothing tells of it.
        in_the_gap = f"jobs/{job_id}/" in request and "action=delete" in request
        if in_the_gap and act in {Person.edit, Person.tick, Person.delete}:
            return
        act(person)
        self.told.append(f"{act.__name__} in job {job_id} before {request or 'the next step'}")
        self.worked_in.add(job_id)
        hers = self.hers.setdefault(job_id, {})
        if person.chosen is not None and act is Person.delete:
            hers.pop(person.chosen["id"], None)
        elif person.chosen is not None:
            hers[person.chosen["id"]] = person.chosen

    def step(self) -> None:
        what = self.chance.choice(["push", "kill", "lose", "person", "person meanwhile", "predict"])
        moment = self.chance.randrange(5, 28)
        self.told.append(f"{what} ({moment})")
        if what == "push":
            self.push()
        elif what == "kill":
            self.push(Wire(stop=moment))
        elif what == "lose":
            self.push(Wire(lost=moment))
        elif what == "person":
            self.act()
        elif what == "predict":
            self.predict()
        else:

            def meanwhile(number: int, request: str) -> None:
                if number == moment:
                    self.act(request)

            self.push(Wire(meanwhile))

    def check(self) -> None:
        story = "\n".join(self.told)
        for job_id, hers in self.hers.items():
            now = {s["id"]: s for s in Person(self.workspace, self.task_id, job_id).shapes()}
            assert {id_: now.get(id_) for id_ in hers} == hers, story

    def end(self) -> None:
        result = self.push()
        assert result is not None
        story = "\n".join(self.told)
        self.check()
        last = self.workspace.state()
        self.workspace.sandbox.forget_requests()
        self.push()
        assert self.workspace.writes() == [], story
        assert self.workspace.state() == last, story
        upload_cvat(Call(overrides=("cvat_upload.task_name=undisturbed",)))
        undisturbed = max(int(task["id"]) for task in self.workspace.tasks())
        expected, found = self.workspace.shapes(undisturbed), self.workspace.shapes(self.task_id)
        for frame, job_id in enumerate(self.job_ids):
            if job_id not in self.worked_in:
                ours = contents([shape for shape in found if shape["frame"] == frame])
                assert ours == contents([shape for shape in expected if shape["frame"] == frame]), story


def tell(workspace: Workspace, patches: pytest.MonkeyPatch, seed: int, steps: int) -> None:
    project = workspace.project(LABEL)
    workspace.conf("cvat_upload", {"project_id": project, "per_component": True})
    story = Story(workspace, random.Random(seed), patches)
    story.begin()
    for _ in range(steps):
        story.predict()
        story.step()
        story.check()
    story.end()


@pytest.mark.parametrize("seed", range(2))
def test_a_story(predicted: Workspace, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    tell(predicted, monkeypatch, seed, 8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 114))
def test_a_longer_story(predicted: Workspace, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    tell(predicted, monkeypatch, seed, 20)
