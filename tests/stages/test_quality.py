"""``quality`` against a server: gold, proposals, agreement, haste, issues; gold set up; work merged into a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agir_cvtoolkit import Call, why
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cvat import (
    GROUND_TRUTH,
    Credentials,
    CvatSession,
    JobInfo,
    NewLabel,
    PictureToSend,
    Scope,
    TaskRequest,
    UploadOptions,
    create_project,
    create_task_with_pictures,
    find_jobs,
    find_members,
    list_jobs,
    write_new,
)
from agir_cvtoolkit.cvat.upload import send_pictures
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger, PushedFrame, PushedShape, PushedTask, PushKey
from agir_cvtoolkit.pictures import save_png, sha256_of
from agir_cvtoolkit.plain_shapes import pack
from agir_cvtoolkit.progress import Silent
from agir_cvtoolkit.runs import open_run, start_run
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.shapes import Mask, Polygon, Shape
from agir_cvtoolkit.stages._labelled_run import Selection, pulled_set
from agir_cvtoolkit.stages._pulled import read_frame_maps
from agir_cvtoolkit.stages.download_cvat import download_cvat
from agir_cvtoolkit.stages.quality import QualityResult, quality_report, since_of
from agir_cvtoolkit.stages.quality_gold import quality_setup_gold
from agir_cvtoolkit.stages.quality_merge import FIRST_ID, quality_merge
from tests.sandbox.plain import Plain

pytestmark = pytest.mark.integration
W, H, COUNT = 40, 30, 6
RUNS = Path("outputs/runs")


def square(left: float, width: float = 10.0) -> Polygon:
    corners = ((left, 5.0), (left + width, 5.0), (left + width, 15.0), (left, 15.0))
    return Polygon(label="weed", points=corners, source="manual")


class Team:
    """Tasks of the same six pictures, each of somebody."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.session = CvatSession.open(
            Credentials(sandbox.url, sandbox.options.username, sandbox.options.password)
        )
        self.project_id = create_project(self.session, "team", (NewLabel("weed"),)).id
        self.pictures = []
        for number in range(COUNT):
            name = f"p{number}.png"
            save_png(np.full((H, W, 3), number, np.uint8), folder / name)
            self.pictures.append(PictureToSend(name, folder / name, W, H))

    def task(self, name: str, shape: Shape, who: str | None, *, state: str = "completed") -> JobInfo:
        made = create_task_with_pictures(self.session, TaskRequest(name, self.project_id), self.pictures)
        (job,) = find_jobs(self.session, task_ids=[made.task_id], required_status=None)
        write_new(self.session, job, dict.fromkeys(range(COUNT), (shape,)))
        changes: dict[str, object] = {"state": state}
        if who is not None:
            changes["assignee"] = find_members(self.session, [who])[0].id
        self.session.send_json("PATCH", f"/api/jobs/{job.id}", "complete", changes)
        return job


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    users = (("ann", "pass1234"), ("bob", "pass1234"), ("eve", "pass1234"))
    options = SandboxOptions(tmp_path_factory.mktemp("quality") / "box", users=users, anonymous_limit=10_000)
    with Sandbox(options) as started:
        yield started


@pytest.fixture
def team(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CVAT_URL", sandbox.url)
    monkeypatch.setenv("CVAT_USERNAME", sandbox.options.username)
    monkeypatch.setenv("CVAT_PASSWORD", sandbox.options.password)
    return Team(sandbox, tmp_path)


def mean_iou(result: QualityResult, who: str, rows: str = "gold") -> float:
    (row,) = [r for r in getattr(result, rows) if (r.annotator, r.label, r.week) == (who, "", "")]
    assert row.iou is not None
    return float(row.iou.mean)


def test_people_against_a_gold_task_and_each_other(team: Team, tmp_path: Path) -> None:
    gold = team.task("gold", square(5), None)
    ann, bob = team.task("a", square(5), "ann"), team.task("b", square(10), "bob")
    team.task("open", square(0), "eve", state="in progress")
    found = quality_report(project_id=team.project_id, gold_task=gold.task_id, page=tmp_path / "page.html")
    assert (found.jobs, found.frames, found.gold_frames) == (2, 12, 12)
    assert mean_iou(found, "ann") == 1.0
    assert mean_iou(found, "bob") == pytest.approx(1 / 3, abs=0.01)
    assert mean_iou(found, "ann / bob", "agreement") == pytest.approx(1 / 3, abs=0.01)
    assert found.changed == ()
    assert all("too few frames" in drift.verdict for drift in found.drifts)
    assert "ann / bob" in (tmp_path / "page.html").read_text(encoding="utf-8")
    later = quality_report(task_ids=[ann.task_id, bob.task_id], since=since_of("2999-01-01"))
    assert later.jobs == 0
    with pytest.raises(UsageError, match="no date"):
        since_of("soon")


def test_gold_is_set_up_once_and_compared_with(team: Team) -> None:
    gold, ann = team.task("gold", square(5), None), team.task("a", square(10), "ann")
    rehearsed = quality_setup_gold(Call(dry_run=True), task_ids=[ann.task_id], gold_task=gold.task_id)
    assert rehearsed.tasks[0].job_id is None
    made = quality_setup_gold(task_ids=[ann.task_id], gold_task=gold.task_id).tasks[0]
    again = quality_setup_gold(task_ids=[ann.task_id], gold_task=gold.task_id).tasks[0]
    assert (made.frames, made.shapes, made.was_there) == (COUNT, COUNT, False)
    assert (again.job_id, again.was_there) == (made.job_id, True)
    (job,) = [
        j for j in list_jobs(team.session, Scope(task_ids=(ann.task_id,))).items if j.kind == GROUND_TRUTH
    ]
    assert (job.id, job.state, job.stage) == (made.job_id, "completed", "acceptance")
    assert mean_iou(quality_report(task_ids=[ann.task_id]), "ann") == pytest.approx(1 / 3, abs=0.01)
    other = team.task("other", square(20), None)
    with pytest.raises(UsageError, match="holds 6 other shapes"):
        quality_setup_gold(task_ids=[ann.task_id], gold_task=other.task_id)
    with pytest.raises(UsageError, match="name one gold set"):
        quality_setup_gold(task_ids=[ann.task_id])


def test_three_peoples_work_is_merged_into_the_run_and_nothing_is_overwritten(team: Team) -> None:
    run = start_run(RUNS, "m")
    jobs = [team.task(who, square(left), who) for who, left in (("ann", 4), ("bob", 5), ("eve", 6))]
    ids = [job.task_id for job in jobs]
    download_cvat(Call(overrides=(f"cvat_download.task_ids={ids}",)))
    before = {p: p.read_bytes() for p in run.path("cvat_downloads").rglob("*") if p.is_file()}
    assert quality_merge(Call(dry_run=True), task_ids=ids).folder is None
    done = quality_merge(task_ids=ids)
    assert (done.pictures, done.people, done.shapes, done.exit_code) == (COUNT, 3, COUNT, 0)
    assert all(path.read_bytes() == content for path, content in before.items())
    newest = read_frame_maps(open_run(RUNS, "m"))[-1]
    assert newest.task_id == done.task_id == FIRST_ID + 1
    assert {frame.shapes for frame in newest.frames} == {1}
    content = json.loads(next((newest.folder / "annotations").iterdir()).read_text(encoding="utf-8"))
    assert content["0"][0]["box"] == [5, 5, 14, 14]
    assert quality_merge(task_ids=ids).task_id == FIRST_ID + 2
    best = quality_merge(task_ids=ids, by="best", gold_task=team.task("gold", square(6), None).task_id)
    assert best.undecided == ()
    kept = json.loads(next((best.folder / "annotations").iterdir()).read_text("utf-8")) if best.folder else {}
    assert kept["0"][0]["points"][0] == [6.0, 5.0]


def as_pushed(team: Team, job: JobInfo, shape: Shape, run_id: str) -> None:
    """Let the ledger say that this tool has made the job's task, with one proposal on each picture."""
    with Ledger.open(None, RUNS) as ledger:
        key = PushKey(team.session.url, team.project_id, None, f"push {job.task_id}", "masks")
        push = ledger.open_push(key, run_id)
        task = PushedTask(push, 0, f"t{job.task_id}", run_id, "planned", None, None)
        ledger.plan_task(task)
        ledger.task_created(task, job.task_id, team.session.task_url(job.task_id))
        frames = [
            PushedFrame(push, 0, n, f"p{n}", p.name, sha256_of(Path(p.path)), W, H, "x")
            for n, p in enumerate(team.pictures)
        ]
        ledger.task_filled(task, frames)
        hash_ = shape.geometry_hash()
        shapes = [PushedShape(n, 0, shape.label, shape.kind, hash_, pack(shape)) for n in range(COUNT)]
        ledger.task_done(task, dict.fromkeys(range(COUNT), 1), shapes)


def test_proposals_left_as_they_were_within_seconds_raise_an_alarm(team: Team) -> None:
    start_run(RUNS, "p")
    hasty, careful = team.task("a", square(5), "ann"), team.task("b", square(6), "bob")
    for job in (hasty, careful):
        as_pushed(team, job, square(5), "p")
    found = quality_report(task_ids=[hasty.task_id, careful.task_id])
    assert mean_iou(found, "ann", "changed") == 1.0
    assert mean_iou(found, "bob", "changed") == pytest.approx(9 / 11, abs=0.01)
    counts = {r.annotator: (r.untouched, r.proposals) for r in found.changed if (r.label, r.week) == ("", "")}
    assert counts == {"ann": (COUNT, COUNT), "bob": (0, COUNT)}
    (alarm,) = found.alarms
    assert (alarm.annotator, alarm.job_id, alarm.untouched, alarm.pictures) == ("ann", hasty.id, COUNT, COUNT)
    assert alarm.seconds < 60
    assert {time.job_id: time.measured for time in found.times}[hasty.id] == "elapsed"
    assert quality_report(task_ids=[hasty.task_id], within_s=0).alarms == ()


def test_merged_pictures_that_this_tool_sent_take_the_place_of_their_sources(team: Team) -> None:
    run = start_run(RUNS, "s")
    jobs = [team.task(who, square(left), who) for who, left in (("ann", 5), ("bob", 7))]
    for job in jobs:
        as_pushed(team, job, square(5), "s")
    done = quality_merge(task_ids=[job.task_id for job in jobs], tie="keep")
    assert done.replaces
    found = list(pulled_set(run, Selection(tuple(read_frame_maps(run)), pictures=False)))
    assert sorted(one.record_id for one in found) == [f"p{n}" for n in range(COUNT)]
    assert {one.provenance.task_id for one in found} == {done.task_id}
    assert {one.shapes[0].box for one in found if isinstance(one.shapes[0], Mask)} == {(5, 5, 16, 14)}


def test_honeypots_are_held_against_the_frame_that_they_repeat(team: Team) -> None:
    pool = {
        "mode": "gt_pool",
        "frame_selection_method": "manual",
        "frames": ["p0.png", "p1.png"],
        "frames_per_job_count": 1,
    }
    plain = Plain(team.session.url)
    plain.log_in()
    files = {picture.name: Path(picture.path).read_bytes() for picture in team.pictures}
    made = plain.task(files, project_id=team.project_id, sorting_method="random", validation_params=pool)
    plain.close()
    gold = team.task("gold", square(5), None)
    (done,) = quality_setup_gold(task_ids=[made["id"]], gold_task=gold.task_id).tasks
    assert (done.was_there, done.frames) == (True, 2)
    (job,) = find_jobs(team.session, task_ids=[made["id"]], required_status=None)
    write_new(team.session, job, {n: (square(10),) for n in job.frames})
    team.session.send_json("PATCH", f"/api/jobs/{job.id}", "complete", {"state": "completed"})
    found = quality_report(task_ids=[made["id"]])
    assert found.gold_frames == 1
    assert mean_iou(found, "nobody assigned") == pytest.approx(1 / 3, abs=0.01)


def test_replicas_are_compared_and_merged(team: Team) -> None:
    spec = {"name": "replicas", "project_id": team.project_id, "consensus_replicas": 2}
    made = team.session.send_json("POST", "/api/tasks", "make", spec)
    with Silent().bar("sending", COUNT) as bar:
        send_pictures(team.session, made["id"], team.pictures, UploadOptions(), bar)
    jobs = list_jobs(team.session, Scope(task_ids=(made["id"],))).items
    assert sorted(job.kind for job in jobs) == ["annotation", "replica", "replica"]
    for job, left in zip(sorted(jobs, key=lambda j: j.id), (4, 5, 6), strict=True):
        write_new(team.session, job, {0: (square(left),)})
        team.session.send_json("PATCH", f"/api/jobs/{job.id}", "complete", {"state": "completed"})
    found = quality_report(task_ids=[made["id"]])
    assert {row.annotator for row in found.agreement} == {"nobody assigned / nobody assigned"}
    start_run(RUNS, "c")
    done = quality_merge(task_ids=[made["id"]])
    assert (done.pictures, done.people, done.shapes) == (COUNT, 3, 1)


def test_merging_needs_several_people(team: Team) -> None:
    start_run(RUNS, "m")
    with pytest.raises(UsageError, match="no picture was completed by several"):
        quality_merge(task_ids=[team.task("a", square(5), "ann").task_id])


def test_what_reviewers_say_comes_with_the_pull_and_is_told(team: Team) -> None:
    run = start_run(RUNS, "r")
    job = team.task("a", square(5), "ann")
    spec = {"frame": 1, "position": [1, 2, 9, 9], "job": job.id, "message": "tip is missing"}
    team.session.send_json("POST", "/api/issues", "say", spec)
    call = Call(overrides=(f"cvat_download.task_ids=[{job.task_id}]",))
    assert download_cvat(call).open_issues == 1
    (path,) = run.path("cvat_downloads").glob("*/reviews.json")
    assert json.loads(path.read_text("utf-8"))["frames"]["1"][0]["comments"][0]["text"] == "tip is missing"
    said = [event for event in why("p1").events if event.kind == "review"]
    assert [event.detail["state"] for event in said] == ["open"]
    assert not [event for event in why("p0").events if event.kind == "review"]
    issue = team.session.get("/api/issues", "list", {"job_id": job.id})["results"][0]
    team.session.send_json("PATCH", f"/api/issues/{issue['id']}", "resolve", {"resolved": True})
    assert download_cvat(call).open_issues == 0
    assert quality_report(task_ids=[job.task_id]).open_issues == 0


def test_the_commands_say_it(team: Team) -> None:
    gold, ann = team.task("gold", square(5), None), team.task("a", square(5), "ann")
    run = CliRunner().invoke
    told = run(main, ["quality", "--task-id", str(ann.task_id), "--gold-task", str(gold.task_id)])
    assert told.exit_code == 0, told.output
    assert "1 completed job, 6 frames, 6 of them held against gold" in told.output
    asked = run(main, ["quality", "--task-id", str(ann.task_id), "--json", "--quiet"])
    assert json.loads(asked.stdout)["gold_frames"] == 0
    made = run(
        main, ["quality", "setup-gold", "--task-id", str(ann.task_id), "--gold-task", str(gold.task_id)]
    )
    assert "made; 6 shapes" in made.output
    start_run(RUNS, "c")
    none = run(main, ["quality", "merge", "--task-id", str(ann.task_id)])
    assert none.exit_code == 2
