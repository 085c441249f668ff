"""How soon the page shows a large picture with many masks, and how it keeps up with the hand while drawing."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from agir_cvtoolkit.masks import encode

from ._field_masks import field_masks
from ._sandbox import PASSWORD, USERNAME, sandbox_process
from ._table import Row, finish, median, parser, seconds

if TYPE_CHECKING:
    from playwright.sync_api import Page

TITLE = "Annotation page: a 24-megapixel picture with many masks"
SHOWN_GATE_S = 2.0
FRAME_GATE_MS = 50.0
"""A stroke that is drawn twenty times a second still follows the hand."""

_FRAMES = """() => {
  window.frameTimes = [];
  let last = performance.now();
  const note = (now) => { window.frameTimes.push(now - last); last = now; window.noting = requestAnimationFrame(note); };
  window.noting = requestAnimationFrame(note);
}"""

_SIZE = """(size) => {
  const slider = document.querySelector("#brush-size");
  slider.value = 100 * Math.log(size) / Math.log(500);
  slider.dispatchEvent(new Event("input"));
}"""


def measure(options: argparse.Namespace) -> list[Row]:
    """Open the picture several times, then paint, pan and zoom on it."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        return [Row("no Chromium here: apt-get install chromium", "", "not measured")]
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as temporary, sandbox_process(Path(temporary)) as url:
        address, area = _job(url, options)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=program, args=arguments)
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(url)
            page.fill("#username", USERNAME)
            page.fill("#password", PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_selector(".job")
            shown = [_shown(page, address) for _ in range(options.rounds)]
            strokes = {width: _stroke(page, width) for width in (20, 200)}
            moves = _moves(page)
            browser.close()
    rows = [
        Row(
            f"picture and {options.count} masks ({area:.1f} megapixels of foreground) shown",
            "",
            seconds(median(shown)),
            "",
            f"<= {SHOWN_GATE_S} s",
            median(shown) <= SHOWN_GATE_S,
        )
    ]
    for name, times in (
        *((f"brush of {width} pixels, frames of a stroke", times) for width, times in strokes.items()),
        ("wheel and drag, frames", moves),
    ):
        slow = float(np.percentile(times, 95))
        text = f"median {median(times):.0f} ms, 95 % {slow:.0f} ms"
        rows.append(Row(name, "", text, "", f"95 % <= {FRAME_GATE_MS:.0f} ms", slow <= FRAME_GATE_MS))
    return rows


def _job(url: str, options: argparse.Namespace) -> tuple[str, float]:
    """Make a task of one picture with the largest plants of a field scene as masks."""
    from tests.sandbox.plain import Plain, shapes

    plain = Plain(url)
    plain.log_in(USERNAME, PASSWORD)
    whole = field_masks(options.masks, 1, options.megapixels)[0].unpacked()
    height, width = whole.shape
    noise = np.random.default_rng(0).integers(0, 60, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    ground = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)).copy()
    ground[whole] += np.array([10, 90, 10], dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(ground).save(buffer, "JPEG", quality=92)
    task = plain.task({"large.jpg": buffer.getvalue()}, spec={"labels": [{"name": "plant", "type": "mask"}]})
    label = plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"]
    rows = max(1, round(options.count**0.5))
    columns = -(-options.count // rows)
    made: list[dict[str, Any]] = []
    for number in range(options.count):
        part = np.zeros_like(whole)
        top, left = number // columns * height // rows, number % columns * width // columns
        bottom, right = top + height // rows + height // 40, left + width // columns + width // 40
        part[top:bottom, left:right] = whole[top:bottom, left:right]
        runs = encode(part)
        if runs is not None:
            points = [*map(int, runs.lengths), *runs.box]
            made.append({"type": "mask", "frame": 0, "label_id": label, "points": points, "source": "auto"})
    got = plain("PATCH", f"/api/tasks/{task['id']}/annotations/?action=create", shapes(*made))
    if got.status != 200:
        raise SystemExit(f"the masks were refused: {got.data[:200]!r}")
    job = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]["id"]
    plain.close()
    return f"{url}/tasks/{task['id']}/jobs/{job}", float(whole.sum()) / 1e6


def _shown(page: Page, address: str) -> float:
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(".canvas[data-ready]")
    return time.perf_counter() - started


def _stroke(page: Page, width: int) -> list[float]:
    page.keyboard.press("b")
    page.evaluate(_SIZE, width)
    box = page.locator(".canvas").bounding_box()
    if box is None:
        raise SystemExit("the page shows no picture")
    page.mouse.move(box["x"] + 80, box["y"] + 120)
    page.mouse.down()
    page.evaluate(_FRAMES)
    for turn in range(6):
        far = turn % 2 == 0
        page.mouse.move(box["x"] + (box["width"] - 80 if far else 80), box["y"] + 150 + 80 * turn, steps=40)
    times = _noted(page)
    page.mouse.up()
    page.keyboard.press("Control+z")
    return times


def _moves(page: Page) -> list[float]:
    box = page.locator(".canvas").bounding_box()
    if box is None:
        raise SystemExit("the page shows no picture")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.evaluate(_FRAMES)
    for delta in [-120] * 12 + [120] * 12:
        page.mouse.wheel(0, delta)
        page.wait_for_timeout(20)
    page.mouse.down(button="middle")
    page.mouse.move(box["x"] + 100, box["y"] + 100, steps=40)
    page.mouse.up(button="middle")
    return _noted(page)


def _noted(page: Page) -> list[float]:
    found: list[float] = page.evaluate(
        "() => { cancelAnimationFrame(window.noting); return window.frameTimes.slice(1); }"
    )
    return found


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument(
        "--masks", type=Path, default=None, help="folder with field masks; without it they are drawn"
    )
    made.add_argument("--megapixels", type=float, default=24.0)
    made.add_argument("--count", type=int, default=50, help="masks on the picture")
    made.add_argument("--rounds", type=int, default=3)
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    raise SystemExit(main())
