"""A person's hand on the page: a real browser, real movements of the mouse, real keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from agir_cvtoolkit.masks import Runs, decode, encode

from .plain import Plain

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, BrowserType, Page

PATIENCE_MS = 180_000
"""Nothing takes that long but on a machine that does other things."""

Place = tuple[float, float]
Chromium: TypeAlias = "tuple[BrowserType, dict[str, Any]]"


@contextmanager
def browser_page(width: int = 1100, height: int = 720, *, touch: bool = False) -> Iterator[Page]:
    """Open a headless Chromium, one with a touch screen where wanted, or skip the test where there is none."""
    with chromium() as (kind, start):
        browser = kind.launch(**start)
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch)
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
        browser.close()


@contextmanager
def kept_browser(found: Chromium, profile: Path) -> Iterator[BrowserContext]:
    """Open a headless Chromium that remembers, in a folder, what pages have kept; it may die meanwhile."""
    kind, start = found
    context = kind.launch_persistent_context(profile, viewport={"width": 1100, "height": 720}, **start)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    with suppress(_error()):
        context.close()


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Find Chromium and what it is started with, or skip the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_api.sync_playwright() as driver:
        yield driver.chromium, {"executable_path": program, "args": arguments, "timeout": PATIENCE_MS}


def _error() -> type[Exception]:
    from playwright.sync_api import Error

    return Error


class Hand:
    """Works on the page, and looks at the result past it, through the interface."""

    def __init__(self, page: Page, plain: Plain) -> None:
        self.page = page
        self.plain = plain
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def log_in(self, username: str = "admin", password: str = "admin123") -> None:
        self.page.fill("#username", username)
        self.page.fill("#password", password)
        self.page.keyboard.press("Enter")

    def open(self, job: dict[str, Any]) -> None:
        self.page.goto(f"{self.plain.url}/tasks/{job['task_id']}/jobs/{job['id']}")
        self.page.wait_for_selector(".canvas[data-ready]")

    def screen(self, place: Place) -> Place:
        """Return the point of the screen, whole numbers, next to a place in the picture."""
        canvas = self.page.locator(".canvas")
        box = canvas.bounding_box()
        assert box is not None
        scale, x, y = self.view()
        return round(box["x"] + x + place[0] * scale), round(box["y"] + y + place[1] * scale)

    def picture(self, point: Place) -> Place:
        """Return the place in the picture under a point of the screen."""
        box = self.page.locator(".canvas").bounding_box()
        assert box is not None
        scale, x, y = self.view()
        return (point[0] - box["x"] - x) / scale, (point[1] - box["y"] - y) / scale

    def view(self) -> tuple[float, float, float]:
        found: Any = self.page.evaluate("() => ({...document.querySelector('.canvas').dataset})")
        return float(found["scale"]), float(found["x"]), float(found["y"])

    def click(self, place: Place, **options: Any) -> Place:
        point = self.screen(place)
        self.page.mouse.click(*point, **options)
        return self.picture(point)

    def drag(self, *places: Place) -> list[Place]:
        """Press at the first place, go over the others, let go at the last; return where that was exactly."""
        points = [self.screen(place) for place in places]
        mouse = self.page.mouse
        mouse.move(*points[0])
        mouse.down()
        for point in points[1:]:
            mouse.move(*point, steps=4)
        mouse.up()
        return [self.picture(point) for point in points]

    def keys(self, *names: str) -> None:
        for name in names:
            self.page.keyboard.press(name)

    def pick(self, text: str, place: int = 0) -> None:
        """Select a shape in the list by its class."""
        self.page.locator(".shapes .row", has_text=text).nth(place).click()

    def save(self) -> None:
        self.keys("Control+s")
        self.page.wait_for_selector(".saving[data-state=saved]")

    def shapes(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what the server has, oldest first."""
        found = self.plain("GET", f"/api/jobs/{job['id']}/annotations/").json["shapes"]
        return sorted(found, key=lambda shape: int(shape["id"]))

    def job(self, number: int) -> dict[str, Any]:
        return dict(self.plain("GET", f"/api/jobs/{number}").json)


def runs_of(mask: NDArray[np.bool_]) -> list[float]:
    """Return a mask as the server keeps it."""
    runs = encode(mask)
    assert runs is not None
    return [float(value) for value in (*runs.lengths, *runs.box)]


def mask_of(points: Sequence[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a mask; `size` is (width, height)."""
    left, top, right, bottom = (int(value) for value in points[-4:])
    return decode(Runs(np.asarray(points[:-4], dtype=np.int32), (left, top, right, bottom)), size)


def distance_to_way(way: Sequence[Place], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return for each pixel how far its centre is from a way of straight pieces."""
    ys, xs = np.mgrid[: size[1], : size[0]] + 0.5
    found = np.full((size[1], size[0]), np.inf)
    for (ax, ay), (bx, by) in zip(way, way[1:] or way, strict=False):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = ((xs - ax) * (bx - ax) + (ys - ay) * (by - ay)) / length if length else np.zeros_like(xs)
        along = np.clip(along, 0, 1)
        found = np.minimum(found, np.hypot(xs - ax - along * (bx - ax), ys - ay - along * (by - ay)))
    return found


def inside_outline(corners: Sequence[Place], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centre lies in an outline, by the even-odd rule."""
    ys, xs = np.mgrid[: size[1], : size[0]] + 0.5
    found = np.zeros((size[1], size[0]), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if ay == by:
            continue
        found ^= ((ay <= ys) != (by <= ys)) & (xs >= ax + (ys - ay) / (by - ay) * (bx - ax))
    return found
