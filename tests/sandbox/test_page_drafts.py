"""Work that was not saved: kept when the browser dies, offered again, and never laid over what others have saved."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agir_cvtoolkit.sandbox import Fault, Sandbox

from .page_hand import Chromium, Hand, chromium, kept_browser
from .plain import Plain, picture, rectangle, shapes

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.integration

TITLE = "There is unsaved work"


@pytest.fixture(scope="module")
def plain(shared_sandbox: Sandbox) -> Iterator[Plain]:
    client = Plain(shared_sandbox.url)
    client.log_in()
    yield client
    client.close()


@pytest.fixture
def job(plain: Plain) -> dict[str, Any]:
    spec = {"name": "drafts", "labels": [{"name": "stone", "type": "rectangle"}]}
    task = plain.task({f"f{i}.png": picture(i, (60, 44)) for i in range(2)}, spec=spec)
    found: dict[str, Any] = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    return found


@pytest.fixture(scope="module")
def found_chromium() -> Iterator[Chromium]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def context(found_chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with kept_browser(found_chromium, tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def hand(context: BrowserContext, plain: Plain) -> Iterator[Hand]:
    hand = _window(context, plain)
    if hand.page.locator("#username").count():
        hand.log_in()
        hand.page.wait_for_selector(".list")
    yield hand
    assert hand.errors == []
    hand.page.close()


def _window(context: BrowserContext, plain: Plain) -> Hand:
    hand = Hand(context.new_page(), plain)
    hand.page.goto(plain.url)
    hand.page.wait_for_selector("#username, .list")
    return hand


def _given(plain: Plain, job: dict[str, Any], *corners: tuple[float, ...]) -> list[dict[str, Any]]:
    label = plain("GET", f"/api/labels?job_id={job['id']}").json["results"][0]["id"]
    given = shapes(*(rectangle(label, 0, box) for box in corners))
    assert plain("PATCH", f"/api/jobs/{job['id']}/annotations/?action=create", given).status == 200
    found: list[dict[str, Any]] = plain("GET", f"/api/jobs/{job['id']}/annotations/").json["shapes"]
    return sorted(found, key=lambda shape: int(shape["id"]))


def _writes_fail(sandbox: Sandbox, job: dict[str, Any]) -> None:
    path = f"/api/jobs/{job['id']}/annotations/"
    sandbox.add_fault(Fault(path=path, method="PATCH", status=503, times=0))


def _draft_is_kept(page: Page, job: dict[str, Any], changes: int) -> None:
    """Wait until the browser has put that many changes of the job away."""
    counted = """async (created) => {
      const opening = indexedDB.open("agir-cvtoolkit.drafts", 1);
      const db = await new Promise((resolve) => { opening.onsuccess = () => resolve(opening.result); });
      const asked = db.transaction("drafts").objectStore("drafts").getAll();
      const all = await new Promise((resolve) => { asked.onsuccess = () => resolve(asked.result); });
      db.close();
      return all.filter(({ of }) => of.endsWith(created)).reduce((sum, draft) => sum + draft.changes.length, 0);
    }"""
    for _ in range(600):
        if page.evaluate(counted, f"{job['id']} {job['created_date']}") == changes:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"there never were {changes} changes")


def _close_without_a_word(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.close(run_before_unload=True)
    page.wait_for_event("close") if not page.is_closed() else None


def _open_with_offer(hand: Hand, job: dict[str, Any]) -> None:
    """Open a job whose earlier page has just gone, once the browser has noticed that."""
    held = """async () => {
      const { held } = await navigator.locks.query();
      return held.some(({ name }) => name.startsWith("agir-cvtoolkit.drafts"));
    }"""
    for _ in range(1800):
        if not hand.page.evaluate(held):
            break
        hand.page.wait_for_timeout(100)
    hand.open(job)
    hand.page.get_by_text(TITLE).wait_for()


def test_a_killed_browser_loses_nothing(
    plain: Plain,
    job: dict[str, Any],
    shared_sandbox: Sandbox,
    found_chromium: Chromium,
    tmp_path: Path,
) -> None:
    moved, removed = _given(plain, job, (2, 2, 10, 10), (20, 2, 30, 10))
    with kept_browser(found_chromium, tmp_path) as first:
        hand = _window(first, plain)
        hand.log_in()
        hand.page.wait_for_selector(".list")
        hand.open(job)
        _writes_fail(shared_sandbox, job)
        hand.pick("stone", 1)
        hand.keys("ArrowDown")
        hand.pick("stone", 0)
        hand.keys("Delete", "r")
        (x1, y1), (x2, y2) = hand.drag((40, 20), (50, 30))
        _draft_is_kept(hand.page, job, 3)
        os.kill(_browser_of(tmp_path), signal.SIGKILL)
    shared_sandbox.faults.replace([])
    assert hand.shapes(job) == [moved, removed]
    with kept_browser(found_chromium, tmp_path) as second:
        hand = _window(second, plain)
        if hand.page.locator("#username").count():  # the session's cookie may not have been written yet
            hand.log_in()
            hand.page.wait_for_selector(".list")
        hand.open(job)
        hand.page.get_by_text(TITLE).wait_for()
        assert "3 changes (picture 1)" in hand.page.locator("dialog").inner_text()
        assert hand.shapes(job) == [moved, removed]
        hand.page.locator("dialog [data-answer=take]").click()
        hand.page.wait_for_selector(".saving[data-state=unsaved]")
        hand.save()
        after = hand.shapes(job)
        assert [shape["points"] for shape in after] == [[2, 3, 10, 11], pytest.approx([x1, y1, x2, y2])]
        assert after[0]["id"] == moved["id"]
        _draft_is_kept(hand.page, job, 0)


def _browser_of(profile: Path) -> int:
    """Return the number of the process that holds a profile: Chromium notes it in a link."""
    return int(str((profile / "SingletonLock").readlink()).rsplit("-", 1)[1])


def test_what_others_saved_since_is_kept_or_asked_about(
    hand: Hand, context: BrowserContext, plain: Plain, job: dict[str, Any], shared_sandbox: Sandbox
) -> None:
    first, _, third = _given(plain, job, (2, 2, 10, 10), (20, 2, 30, 10), (40, 2, 50, 10))
    hand.open(job)
    _writes_fail(shared_sandbox, job)
    for place in (2, 1):
        hand.pick("stone", place)
        hand.keys("ArrowDown")
    _draft_is_kept(hand.page, job, 2)
    _close_without_a_word(hand.page)
    shared_sandbox.faults.replace([])
    theirs = [first | {"points": [2.0, 2.0, 12.0, 12.0]}, third | {"points": [41.0, 2.0, 51.0, 10.0]}]
    path = f"/api/jobs/{job['id']}/annotations/?action=update"
    assert plain("PATCH", path, shapes(*theirs)).status == 200
    again = _window(context, plain)
    _open_with_offer(again, job)
    again.page.locator("dialog [data-answer=take]").click()
    again.page.get_by_text("Somebody else has changed the same shapes").wait_for()
    assert "1 shape (stone)" in again.page.locator("dialog").inner_text()
    again.page.locator("dialog [data-answer=theirs]").click()
    again.page.wait_for_selector("dialog", state="detached")
    again.save()
    assert [shape["points"] for shape in again.shapes(job)] == [
        theirs[0]["points"],
        [20, 3, 30, 11],
        theirs[1]["points"],
    ]
    assert again.errors == []
    again.page.close()


def test_what_arrived_without_an_answer_is_not_made_twice(
    hand: Hand, context: BrowserContext, plain: Plain, job: dict[str, Any], shared_sandbox: Sandbox
) -> None:
    hand.open(job)
    path = f"/api/jobs/{job['id']}/annotations/"
    shared_sandbox.add_fault(Fault(path=path, method="PATCH", action="status_after", status=504, times=1))
    # The page looks by itself, seconds later, whether it has arrived: it is closed before it can know.
    shared_sandbox.add_fault(Fault(path=path, method="GET", status=503, times=0))
    hand.keys("r")
    hand.drag((5, 5), (15, 15))
    hand.keys("Control+s")
    hand.page.wait_for_selector(".saving[data-state=failed]")
    _draft_is_kept(hand.page, job, 1)
    _close_without_a_word(hand.page)
    shared_sandbox.faults.replace([])
    assert len(hand.shapes(job)) == 1
    again = _window(context, plain)
    _open_with_offer(again, job)
    again.page.locator("dialog [data-answer=take]").click()
    again.page.wait_for_selector("dialog", state="detached")
    again.save()
    assert len(again.shapes(job)) == 1
    again.page.close()


def test_closing_asks_first_and_other_windows_keep_their_drafts(
    hand: Hand, context: BrowserContext, plain: Plain, job: dict[str, Any], shared_sandbox: Sandbox
) -> None:
    (given,) = _given(plain, job, (2, 2, 10, 10))
    hand.open(job)
    _writes_fail(shared_sandbox, job)
    hand.pick("stone")
    hand.keys("Delete")
    _draft_is_kept(hand.page, job, 1)
    other = _window(context, plain)
    other.open(job)
    other.page.wait_for_timeout(500)
    assert not other.page.get_by_text(
        TITLE
    ).is_visible()  # the other window is still open: its work is its own
    other.page.close()
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    hand.page.once("dialog", stay)
    with hand.page.expect_event("dialog"):
        hand.page.close(run_before_unload=True)
    hand.page.wait_for_timeout(500)
    assert asked == ["beforeunload"]
    assert hand.page.locator(".canvas").is_visible()
    _close_without_a_word(hand.page)
    shared_sandbox.faults.replace([])
    again = _window(context, plain)
    _open_with_offer(again, job)
    again.page.locator("dialog [data-answer=drop]").click()
    again.page.wait_for_selector("dialog", state="detached")
    _draft_is_kept(again.page, job, 0)
    assert again.shapes(job) == [given]
    again.open(job)
    again.page.wait_for_timeout(500)
    assert not again.page.get_by_text(TITLE).is_visible()
    again.page.close()


def test_a_busy_server_is_asked_again_for_a_picture(
    hand: Hand, job: dict[str, Any], shared_sandbox: Sandbox
) -> None:
    for status, wait in ((429, 1), (503, None), (500, None)):
        fault = Fault(path=f"/api/jobs/{job['id']}/data.type=frame", status=status, retry_after=wait, times=1)
        shared_sandbox.add_fault(fault)
    shared_sandbox.add_fault(Fault(path=f"/api/jobs/{job['id']}/data/meta", status=429, times=1))
    hand.page.goto(f"{hand.plain.url}/tasks/{job['task_id']}/jobs/{job['id']}")
    hand.page.get_by_text("The server is busy. Trying again").wait_for()
    hand.page.wait_for_selector(".canvas[data-ready='0']")
    shared_sandbox.faults.replace([])
