"""Report and dashboard in a real browser: light, dark, narrow, on paper; and what a click does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from benchmarks._finished_workspace import HOSTILE, make_workspace

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.serving.dashboard import dashboard_app
from agir_cvtoolkit.serving.listening import listen
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.dashboard import open_dashboard
from agir_cvtoolkit.stages.report import report
from tests.sandbox.page_hand import PATIENCE_MS, browser_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    make_workspace(folder, 80, 4)
    return folder


def _call(workspace: Path) -> Call:
    quick = ("report.pictures=3", "report.thumbnail=96", "report.refresh_s=1")
    return Call(overrides=quick, config=str(workspace / "conf"))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser_page(1280, 900) as found:
        errors: list[str] = []
        found.on("pageerror", lambda error: errors.append(str(error)))
        found.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        found.on("dialog", lambda dialog: errors.append(dialog.message))
        yield found
        assert errors == []


@pytest.fixture(scope="module")
def address(workspace: Path) -> Iterator[str]:
    app = dashboard_app(open_dashboard(call=_call(workspace)))
    with listen("127.0.0.1", 0) as (listener, url):
        server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield url
        server.should_exit = True
        thread.join(10)


def test_the_report_reads_by_day_by_night_on_a_telephone_and_on_paper(workspace: Path, page: Page) -> None:
    report(workspace / "report.html", call=_call(workspace))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((workspace / "report.html").as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    paper = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        paper[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        stroke = "getComputedStyle(document.querySelector('figure svg text')).fill"
        assert page.evaluate(stroke) != paper[scheme]
    assert paper["light"] != paper["dark"]
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.emulate_media(media="screen", color_scheme="light")
    page.locator("#model summary").first.click()
    assert page.locator("#model details[open] td").count() > 3


def test_filters_lead_to_a_picture_and_its_life(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="Pictures", exact=True).click()
    page.get_by_label("Outcome").select_option(label="shapes deleted")
    page.get_by_label("Class").select_option("barley")
    page.get_by_role("button", name="Show").click()
    assert "outcome=deleted" in page.url
    picture = page.locator(".gallery img").first
    page.wait_for_function("document.querySelector('.gallery img').naturalWidth > 0")
    name = page.locator(".gallery .title").first.inner_text()
    picture.click()
    page.get_by_role("heading", name=name).wait_for()
    assert page.locator("td", has_text="predicted").count() == 1


def test_a_hostile_name_does_nothing_in_the_list(page: Page, address: str) -> None:
    page.goto(f"{address}pictures?search=onerror")
    assert page.locator(".gallery .title").inner_text() == f"R1_{HOSTILE}"
    page.locator(".gallery img").click()
    page.get_by_role("heading", name=f"R1_{HOSTILE}").wait_for()


def test_news_are_shown_without_a_reload(workspace: Path, page: Page, address: str) -> None:
    page.goto(address)
    page.evaluate("window.kept = true")
    with Ledger.open(None, workspace / "outputs" / "runs") as ledger:
        ledger.record_model("abcdabcdabcd", "nowhere", "unet-news", "field/003", {"kind": "segmentation"})
    page.locator("td", has_text="unet-news").first.wait_for(timeout=PATIENCE_MS)
    assert page.evaluate("window.kept")
