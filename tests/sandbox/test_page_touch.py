"""Fingers on the page: one works, two move and zoom, and what the first had begun is not left behind."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .page_hand import Hand, Place, browser_page, mask_of
from .plain import Plain, picture, rectangle, shapes

pytestmark = pytest.mark.integration

SIZE = (60, 44)
LABELS = [
    {"name": "crop", "type": "mask"},
    {"name": "stone", "type": "rectangle"},
    {"name": "row", "type": "polygon"},
]


class Fingers:
    """Touches of the browser's own kind: those that scripts make are not trusted as a person's."""

    def __init__(self, hand: Hand) -> None:
        self.session = hand.page.context.new_cdp_session(hand.page)

    def put(self, *points: Place) -> None:
        self._send("touchStart", points)

    def move(self, *points: Place) -> None:
        self._send("touchMove", points)

    def lift(self, *left: Place) -> None:
        self._send("touchEnd", left)

    def _send(self, kind: str, points: tuple[Place, ...]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def drag(self, *points: Place) -> None:
        self.put(points[0])
        for (ax, ay), (bx, by) in pairwise(points):
            for step in range(1, 6):
                self.move((ax + (bx - ax) * step / 5, ay + (by - ay) * step / 5))
        self.lift()

    def tap(self, point: Place) -> None:
        self.put(point)
        self.lift()


@pytest.fixture(scope="module")
def hand(shared_sandbox: Sandbox) -> Iterator[Hand]:
    plain = Plain(shared_sandbox.url)
    plain.log_in()
    with browser_page(800, 700, touch=True) as page:
        hand = Hand(page, plain)
        page.goto(shared_sandbox.url)
        hand.log_in()
        page.wait_for_selector(".list")
        yield hand
        assert hand.errors == []
    plain.close()


@pytest.fixture
def job(hand: Hand) -> dict[str, Any]:
    task = hand.plain.task({"f.png": picture(0, SIZE)}, spec={"name": "touch", "labels": LABELS})
    found: dict[str, Any] = hand.plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    return found


def test_two_fingers_zoom_and_move_and_leave_no_stroke(hand: Hand, job: dict[str, Any]) -> None:
    label = hand.plain("GET", f"/api/labels?job_id={job['id']}").json["results"][1]
    given = shapes(rectangle(label["id"], 0, (20, 10, 40, 30)))
    path = f"/api/jobs/{job['id']}/annotations/"
    assert hand.plain("PATCH", path + "?action=create", given).status == 200
    hand.open(job)
    hand.pick("stone")
    fingers = Fingers(hand)
    one, two = hand.screen((20, 22)), hand.screen((40, 22))
    middle = ((one[0] + two[0]) / 2, one[1])
    held = hand.picture(middle)
    scale = hand.view()[0]
    for tool in ("v", "b"):
        hand.keys(tool)
        fingers.put(one)
        fingers.move((one[0] - 20, one[1]))  # begins a stroke, or moves the box
        one_moved = (one[0] - 20, one[1])
        fingers.put(one_moved, two)
        for step in (10, 30, 60):
            fingers.move((one_moved[0] - step, one[1] + step), (two[0] + step + 20, two[1] + step))
        fingers.lift((one_moved[0] - 60, one[1] + 60))
        fingers.lift()
        assert hand.view()[0] > 1.4 * scale
        hand.keys("Home")
    assert hand.view()[0] == pytest.approx(scale)
    assert hand.picture(middle) == pytest.approx(held)
    hand.page.wait_for_timeout(200)
    assert hand.page.locator(".saving").get_attribute("data-state") == "saved"
    (box,) = hand.shapes(job)
    assert box["points"] == [20, 10, 40, 30]


def test_one_finger_paints_taps_corners_and_moves_the_picture(hand: Hand, job: dict[str, Any]) -> None:
    hand.open(job)
    fingers = Fingers(hand)
    hand.keys("b")
    fingers.drag(hand.screen((10, 10)), hand.screen((30, 10)))
    hand.keys("Escape", "p", "3")
    x, y = hand.view()[1:]
    ground = hand.screen((45, 40))
    fingers.drag(ground, (ground[0] + 40, ground[1] - 30))
    assert (hand.view()[1] - x, hand.view()[2] - y) == pytest.approx((40, -30))
    corners = [hand.screen(place) for place in ((10, 20), (30, 22), (20, 35))]
    for point in corners:
        fingers.tap(point)
    wanted = [hand.picture(point) for point in corners]
    fingers.tap(
        (corners[0][0] + 12, corners[0][1])
    )  # near the first corner: a finger is not as fine as a mouse
    hand.save()
    mask, polygon = hand.shapes(job)
    painted = mask_of(mask["points"], SIZE)
    assert painted[10, 10:30].all()
    assert not painted[25:].any()
    assert np.reshape(polygon["points"], (-1, 2)) == pytest.approx(np.asarray(wanted))
