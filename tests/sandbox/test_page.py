"""The page in a real browser: what the hand does there, and what the server has afterwards."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import re
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.sandbox import Fault, Sandbox

from .page_hand import Hand, browser_page, distance_to_way, inside_outline, mask_of, runs_of
from .plain import Plain, picture, rectangle, shapes

pytestmark = pytest.mark.integration

SIZE = (60, 44)
HOSTILE = "<img src=x onerror=window.bad=1>"
JOINTS = {"nose": (20, 20), "neck": (80, 20), "tail": (50, 80)}
DRAWING = (
    '<line data-type="edge" data-node-from="1" data-node-to="2" x1="20" y1="20" x2="80" y2="20"></line>'
    + "".join(
        f'<circle cx="{x}" cy="{y}" data-type="element node" data-element-id="{number}" data-node-id="{number}" '
        f'data-label-name="{name}"></circle>'
        for number, (name, (x, y)) in enumerate(JOINTS.items(), start=1)
    )
)
LABELS: list[dict[str, Any]] = [
    {"name": "crop", "type": "mask", "color": "#2a9d3a"},
    {"name": "weed", "type": "mask", "color": "#d1495b"},
    {"name": "stone", "type": "rectangle"},
    {"name": "eye", "type": "points"},
    {
        "name": "row",
        "type": "polygon",
        "attributes": [
            {"name": "kind", "mutable": False, "input_type": "select", "values": ["wide", "narrow"]}
        ],
    },
    {
        "name": "dog",
        "type": "skeleton",
        "svg": DRAWING,
        "sublabels": [{"name": name, "type": "points"} for name in JOINTS],
    },
]


@pytest.fixture(scope="module")
def hand(shared_sandbox: Sandbox) -> Iterator[Hand]:
    plain = Plain(shared_sandbox.url)
    plain.log_in()
    with browser_page() as page:
        hand = Hand(page, plain)
        page.goto(shared_sandbox.url)
        hand.log_in(password="wrong")
        page.get_by_text("User name or password is wrong.").wait_for()
        hand.log_in()
        page.get_by_text("There is no job yet").wait_for()
        yield hand
        assert hand.errors == []
    plain.close()


@pytest.fixture
def job(hand: Hand) -> Iterator[dict[str, Any]]:
    """A job with three pictures and nothing on them."""
    task = hand.plain.task(
        {f"f{i}.png": picture(i, SIZE) for i in range(3)}, spec={"name": HOSTILE, "labels": LABELS}
    )
    yield hand.plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    hand.page.goto("about:blank")


def _labels(hand: Hand, job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = hand.plain("GET", f"/api/labels?job_id={job['id']}&page_size=100").json["results"]
    return {label["name"]: label for label in found}


def _give(hand: Hand, job: dict[str, Any], *given: dict[str, Any]) -> list[dict[str, Any]]:
    got = hand.plain("PATCH", f"/api/jobs/{job['id']}/annotations/?action=create", shapes(*given))
    assert got.status == 200, got.data
    return hand.shapes(job)


def _mask(label: dict[str, Any], left: int, top: int, right: int, bottom: int, **more: Any) -> dict[str, Any]:
    mask = np.zeros((SIZE[1], SIZE[0]), dtype=np.bool_)
    mask[top : bottom + 1, left : right + 1] = True
    return {"type": "mask", "frame": 0, "label_id": label["id"], "points": runs_of(mask), **more}


def test_masks_are_painted_and_erased_to_the_pixel(hand: Hand, job: dict[str, Any]) -> None:
    labels = _labels(hand, job)
    broken = {"type": "mask", "frame": 0, "label_id": labels["weed"]["id"], "points": [3, 1, 50, 2, 2, 5, 5]}
    holed = _mask(labels["crop"], 3, 3, 12, 12, source="auto", group=7, z_order=1)
    proposal, untouched, nonsense = _give(
        hand, job, _mask(labels["weed"], 20, 8, 40, 30, source="auto"), holed, broken
    )
    hand.open(job)
    hand.pick("weed", 1)  # the list begins with the newest: the broken one stands first of its class
    hand.keys("e", "[", "[", "[", "[")  # from 20 to 8.2 pixels wide, in whole and half steps
    erased = hand.drag((18, 12), (44, 27))
    hand.keys("Escape", "b", "1")
    painted = hand.drag((48, 36), (52, 38), (40, 41))
    width = float(hand.page.locator(".options output").inner_text().split()[0])
    hand.save()
    after = hand.shapes(job)
    assert [shape["id"] for shape in after[:3]] == [proposal["id"], untouched["id"], nonsense["id"]]
    assert after[1:3] == [untouched, nonsense]
    assert after[0]["source"] == "semi-auto"
    _check_stroke(
        mask_of(after[0]["points"], SIZE), mask_of(proposal["points"], SIZE), erased, width, adds=False
    )
    assert (after[3]["label_id"], after[3]["source"], after[3]["frame"]) == (
        labels["crop"]["id"],
        "manual",
        0,
    )
    nothing = np.zeros((SIZE[1], SIZE[0]), dtype=np.bool_)
    _check_stroke(mask_of(after[3]["points"], SIZE), nothing, painted, width, adds=True)
    assert runs_of(mask_of(after[3]["points"], SIZE)) == after[3]["points"]
    assert hand.job(job["id"])["state"] == "in progress"
    hand.keys("Control+z", "Control+z")  # what is saved can be undone as well
    hand.save()
    assert [shape["points"] for shape in hand.shapes(job)] == [
        shape["points"] for shape in (proposal, untouched, nonsense)
    ]


def _check_stroke(
    found: np.ndarray[Any, Any],
    before: np.ndarray[Any, Any],
    way: list[tuple[float, float]],
    width: float,
    *,
    adds: bool,
) -> None:
    distance = distance_to_way(way, SIZE)
    clear = np.abs(distance - width / 2) > 1e-6  # on the brush's very edge a pixel may fall to either side
    touched = distance <= width / 2
    assert touched.any()
    wanted = before | touched if adds else before & ~touched
    assert np.array_equal(found[clear], wanted[clear])


def test_outlines_add_to_masks_take_away_and_make_polygons(hand: Hand, job: dict[str, Any]) -> None:
    labels = _labels(hand, job)
    (given,) = _give(hand, job, _mask(labels["crop"], 10, 10, 20, 20, source="auto"))
    hand.open(job)
    hand.click((15, 15))  # selects the mask under the pointer
    hand.keys("p")
    added = [hand.click(place) for place in ((18, 5), (40, 8), (30, 25))]
    hand.keys("Enter")
    taken = [hand.click(place) for place in ((8, 12), (14, 12), (14, 30), (8, 30))]
    hand.keys("Shift+Enter")
    hand.keys("Escape", "5")
    corners = [hand.click(place) for place in ((45, 5), (55, 6), (52, 20))]
    hand.click((45, 5))  # the first corner closes it
    hand.page.select_option(".attributes select", "narrow")
    hand.save()
    mask, polygon = hand.shapes(job)
    wanted = (mask_of(given["points"], SIZE) | inside_outline(added, SIZE)) & ~inside_outline(taken, SIZE)
    assert np.array_equal(mask_of(mask["points"], SIZE), wanted)
    assert polygon["type"] == "polygon"
    assert np.reshape(polygon["points"], (-1, 2)) == pytest.approx(np.asarray(corners))
    assert [value["value"] for value in polygon["attributes"]] == ["narrow"]


def test_joints_are_dragged_marked_and_placed(hand: Hand, job: dict[str, Any]) -> None:
    dog = _labels(hand, job)["dog"]
    parts = {part["name"]: part["id"] for part in dog["sublabels"]}
    places = {"nose": (10.0, 10.0), "neck": (30.0, 12.0), "tail": (0.0, 0.0)}
    elements = [
        {"type": "points", "frame": 0, "label_id": parts[name], "points": list(place), "source": "auto"}
        | {"outside": name == "tail"}
        for name, place in places.items()
    ]
    skeleton = {"type": "skeleton", "frame": 0, "label_id": dog["id"], "elements": elements, "source": "auto"}
    (given,) = _give(hand, job, skeleton)
    hand.open(job)
    start, end = hand.drag((10, 10), (14, 22))
    grip = (10 - start[0], 10 - start[1])  # the joint is taken hold of beside its middle
    hand.keys("q")
    hand.page.locator("[data-joint=tail] .joint").click()
    tail = hand.click((50, 30))
    hand.page.locator("[data-joint=neck] .states [data-state=absent]").click()
    hand.save()
    (after,) = hand.shapes(job)
    assert (after["id"], after["source"]) == (given["id"], "semi-auto")
    found = {element["label_id"]: element for element in after["elements"]}
    nose, neck, end_of_tail = (found[parts[name]] for name in ("nose", "neck", "tail"))
    assert nose["points"] == pytest.approx([end[0] + grip[0], end[1] + grip[1]])
    assert (nose["occluded"], nose["outside"]) == (True, False)
    assert (neck["points"], neck["outside"]) == (list(places["neck"]), True)
    assert end_of_tail["points"] == pytest.approx(tail)
    assert (end_of_tail["occluded"], end_of_tail["outside"]) == (False, False)
    before = {element["label_id"]: element["id"] for element in given["elements"]}
    assert {key: element["id"] for key, element in found.items()} == before
    hand.keys("s")
    (x1, y1), (x2, y2) = hand.drag((20, 20), (50, 40))
    hand.save()
    drawn = {element["label_id"]: element["points"] for element in hand.shapes(job)[1]["elements"]}
    assert drawn[parts["nose"]] == pytest.approx([x1, y1])
    assert drawn[parts["neck"]] == pytest.approx([x2, y1])
    assert drawn[parts["tail"]] == pytest.approx([(x1 + x2) / 2, y2])


def test_boxes_and_points_are_drawn_on_one_picture_after_the_other_and_the_job_is_completed(
    hand: Hand, job: dict[str, Any]
) -> None:
    labels, begun = _labels(hand, job), time.monotonic()
    hand.open(job)
    hand.keys("r")
    (x1, y1), (x2, y2) = hand.drag((40, 30), (12, 9))
    hand.keys("ArrowRight", "Control+z", "Control+z", "Control+Shift+z")
    hand.keys("f")
    hand.page.wait_for_selector(".canvas[data-ready='1']")
    hand.keys("k")
    point = hand.click((25, 20))
    hand.keys("q")
    hand.page.get_by_role("button", name="Complete").click()
    hand.page.locator("dialog [data-answer=yes]").click()
    hand.page.wait_for_selector(".complete[data-state=completed]")
    box, eye = hand.shapes(job)
    assert (box["type"], box["frame"], box["label_id"]) == ("rectangle", 0, labels["stone"]["id"])
    assert box["points"] == pytest.approx([x2, y2, x1, y1])
    assert (eye["type"], eye["frame"], eye["occluded"]) == ("points", 1, True)
    assert eye["points"] == pytest.approx(point)
    assert (hand.job(job["id"])["state"], hand.job(job["id"])["stage"]) == ("completed", "annotation")
    hand.page.get_by_role("button", name="All jobs").click()
    hand.page.locator(".filter button[data-open='no']").click()
    entry = hand.page.locator(f"[data-job='{job['id']}']")
    assert entry.get_attribute("data-state") == "completed"
    title = hand.page.locator(".task h2", has_text=HOSTILE).first.inner_text()
    assert title == HOSTILE
    assert hand.page.evaluate("() => window.bad") is None
    # The time from opening the job to its completion lies in the event log.
    (worked,) = _worked(hand, job)
    assert 0 < worked < (time.monotonic() - begun) * 1000


def _worked(hand: Hand, job: dict[str, Any]) -> list[float]:
    """Return what each report of the page on a job has added to the time worked, in milliseconds."""
    asked = hand.plain("POST", f"/api/events/export?job_id={job['id']}").json["rq_id"]
    address = hand.plain.wait(asked)["result_url"].removeprefix(hand.plain.url)
    rows = csv.DictReader(io.StringIO(hand.plain("GET", address).data.decode()))
    return [float(row["duration"]) for row in rows if row["scope"] == "send:working_time"]


def test_what_another_person_saved_is_brought_in_and_never_overwritten_silently(
    hand: Hand, job: dict[str, Any]
) -> None:
    labels = _labels(hand, job)
    stone = labels["stone"]["id"]
    first, second, third = _give(
        hand,
        job,
        rectangle(stone, 0, (2, 2, 10, 10)),
        rectangle(stone, 0, (20, 2, 30, 10)),
        rectangle(stone, 0, (40, 2, 50, 10)),
    )
    hand.open(job)
    path = f"/api/jobs/{job['id']}/annotations/?action="
    for key in range(2):  # the two older ones: the list begins with the newest
        hand.pick("stone", 2 - key)
        hand.keys("ArrowDown")
    theirs = [
        first | {"points": [2.0, 2.0, 12.0, 12.0]},
        second | {"points": [20.0, 2.0, 32.0, 12.0]},
        third | {"occluded": True},
    ]
    assert hand.plain("PATCH", path + "update", shapes(*theirs)).status == 200
    assert hand.plain("PATCH", path + "create", shapes(rectangle(stone, 1))).status == 200
    hand.keys("Control+s")
    hand.page.get_by_text("Somebody else has changed the same shapes").wait_for()
    assert hand.shapes(job)[:3] == theirs
    hand.page.locator("dialog [data-answer=mine]").click()
    hand.page.get_by_text("2 shapes were brought in").wait_for()
    hand.page.wait_for_selector(".saving[data-state=saved]")
    after = hand.shapes(job)
    assert [shape["points"] for shape in after[:2]] == [[2, 3, 10, 11], [20, 3, 30, 11]]
    assert after[2]["occluded"]
    assert len(after) == 4


def test_nothing_is_lost_and_nothing_twice_when_the_server_fails_or_the_session_ends(
    hand: Hand, job: dict[str, Any], shared_sandbox: Sandbox
) -> None:
    hand.open(job)
    hand.keys("r")
    hand.drag((5, 5), (15, 15))
    path = f"/api/jobs/{job['id']}/annotations/"
    # The browser sends by itself once more what got no answer on a connection in use: the work is done twice.
    shared_sandbox.add_fault(Fault(path=path, method="PATCH", action="cut_after"))
    hand.save()
    assert len(hand.shapes(job)) == 1
    hand.keys("r")
    hand.drag((5, 25), (15, 35))
    shared_sandbox.add_fault(Fault(path=path, method="PATCH", action="status_after", status=504))
    hand.keys("Control+s")
    hand.page.wait_for_selector(".saving[data-state=failed]")
    assert "kept here" in hand.page.locator(".saving").inner_text()
    hand.page.wait_for_selector(".saving[data-state=saved]")
    assert len(hand.shapes(job)) == 2
    shared_sandbox.refuse()
    hand.keys("r")
    hand.drag((25, 5), (35, 15))
    hand.keys("Control+s")
    hand.page.wait_for_selector(".saving[data-state=failed]")
    shared_sandbox.accept()
    hand.page.wait_for_selector(".saving[data-state=saved]")
    assert len(hand.shapes(job)) == 3
    hand.page.context.clear_cookies()
    hand.keys("r")
    hand.drag((45, 5), (55, 15))
    hand.keys("Control+s")
    hand.page.locator("dialog h2", has_text="Please log in again").wait_for()
    hand.log_in()
    hand.page.wait_for_selector(".saving[data-state=saved]")
    assert len(hand.shapes(job)) == 4


def test_runs_strokes_and_outlines_are_those_of_the_python_side(hand: Hand, job: dict[str, Any]) -> None:
    hand.open(job)
    chance = random.Random(5)
    width, height = SIZE
    cases: list[dict[str, Any]] = []
    for number in range(60):
        noise = np.random.default_rng(number).random((height, width)) < chance.choice([0.02, 0.5, 0.98])
        way = [(chance.uniform(-5, width + 5), chance.uniform(-5, height + 5)) for _ in range(5)]
        cases.append({"runs": runs_of(noise), "way": way, "radius": chance.uniform(0.5, 12)})
    found = hand.page.evaluate(
        """async ([cases, width, height]) => {
          const { decode, encode, stroke, inside, combine } = await import("/page/js/spans.js");
          return cases.map(({ runs, way: [[ax, ay], [bx, by], ...corners], radius }) => {
            const mask = decode(runs, width, height);
            const [drawn, erased, outlined] = [[...mask], [...mask], [...mask]];
            combine(drawn, stroke(ax, ay, bx, by, radius, width, height), true);
            combine(erased, stroke(ax, ay, bx, by, radius, width, height), false);
            combine(outlined, inside(corners.flat(), width, height), true);
            return [mask, drawn, erased, outlined].map(encode);
          });
        }""",
        [cases, width, height],
    )
    for case, (same, drawn, erased, outlined) in zip(cases, found, strict=True):
        assert same == case["runs"]
        noise = mask_of(case["runs"], SIZE)
        touched = distance_to_way(case["way"][:2], SIZE) <= case["radius"]
        assert np.array_equal(mask_of(drawn, SIZE), noise | touched)
        assert np.array_equal(_or_empty(erased), noise & ~touched)
        assert np.array_equal(mask_of(outlined, SIZE), noise | inside_outline(case["way"][2:], SIZE))


def _or_empty(runs: list[int] | None) -> np.ndarray[Any, Any]:
    return np.zeros((SIZE[1], SIZE[0]), dtype=np.bool_) if runs is None else mask_of(runs, SIZE)


def test_the_page_runs_nothing_foreign(shared_sandbox: Sandbox) -> None:
    plain = Plain(shared_sandbox.url)
    for path in ("/", "/tasks/1", "/tasks/1/jobs/1"):
        got = plain("GET", path)
        assert got.status == 200
        assert "script-src 'self'" in got.headers["content-security-policy"]
        assert b"<script>" not in got.data
        assert b"onclick" not in got.data
    script = plain("GET", "/page/js/main.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert plain("GET", "/page/js/main.js", headers={"If-None-Match": script.headers["etag"]}).status == 304
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page/vendor/README.md", "/page/nope.js"):
        assert plain("GET", path).status == 404
    plain.close()


def test_the_drawing_library_is_the_one_that_its_note_names() -> None:
    folder = files("agir_cvtoolkit.sandbox").joinpath("page", "vendor")
    note = folder.joinpath("README.md").read_text()
    body = folder.joinpath("konva.min.js").read_bytes()
    assert hashlib.sha256(body).hexdigest() in note
    version = re.search(r"Konva ([\d.]+)", note)
    assert version is not None
    assert f"Konva JavaScript Framework v{version[1]}".encode() in body
    assert "MIT" in folder.joinpath("konva.LICENSE.txt").read_text()
