"""``dashboard``: what its pages show, kept up to date while the ledger changes."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import AgirError, UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.reporting.dashboard_pages import (
    LifePage,
    life_html,
    overview_html,
    pictures_html,
)
from agir_cvtoolkit.reporting.page_parts import Cell, Fact, Facts, Part, Section, Table, Words

from ._call import Call
from ._overlays import RunPictures
from ._picture_list import address_of, picture_list
from ._report_data import ReportData, Scope, gather
from ._report_pictures import note_of, pictures_section
from ._thumbnails import Thumbnails
from ._workspace_rows import RecordRow
from .report import page_of
from .why import why

_log = logging.getLogger(__name__)
_LARGE = 1400


class _Shown:
    """What is shown until something changes."""

    def __init__(self, data: ReportData, state: str, overview: str) -> None:
        self.data = data
        self.state = state
        self.overview = overview
        self.rows = {(row.run_id, row.record_id): row for row in data.rows}
        self.pictures = {run_id: RunPictures(run) for run_id, run in data.runs.items()}


class Dashboard:
    """The dashboard's content; its methods may be called from any thread.

    Pages come from what was gathered last; when the ledger has changed, all is gathered anew in the background.

    Attributes:
        refresh_s: how often a page should ask whether there is something new.
    """

    def __init__(self, call: Call, loop: str | None = None) -> None:
        self._call = call
        self._settings: Settings = call.settings()
        self._scope = Scope(loop, call.run)
        self.refresh_s = self._settings.report.refresh_s
        out_root = Path(self._settings.io.out_root)
        room = self._settings.report.cache_mb * 1_000_000
        self._thumbnails = Thumbnails(out_root.parent / "cache" / "thumbnails", room)
        self._lock = threading.Lock()
        self._gathering = False
        self._shown = self._gathered(self._state_of_ledger())

    def state(self) -> str:
        """Return what differs once there is something new to see; newly gathered content follows a little later."""
        newest = self._state_of_ledger()
        with self._lock:
            if newest != self._shown.state and not self._gathering:
                self._gathering = True
                threading.Thread(target=self._gather, args=(newest,), name="dashboard", daemon=True).start()
            return self._shown.state

    def overview(self) -> str:
        """Return the report as a page."""
        return self._shown.overview

    def pictures(self, wanted: Mapping[str, str], page: int) -> str:
        """Return one page of the list of pictures; see `picture_list`."""
        shown = self._shown
        return pictures_html(picture_list(shown.data, wanted, page), self.refresh_s, shown.state)

    def life(self, run_id: str, record_id: str) -> str | None:
        """Return the life of a record as a page; None where it is not known."""
        shown = self._shown
        row = shown.rows.get((run_id, record_id))
        if row is None:
            return None
        pictures = [(address_of(row, "/thumb", of="large"), f"{record_id}: proposal and correction")]
        if row.agreement is None:
            pictures = [(address_of(row, "/thumb", of="plain"), f"{record_id}: the picture")]
        page = LifePage(record_id, f"Run {run_id} · {note_of(row)}", tuple(pictures), self._life_parts(row))
        return life_html(page, self.refresh_s, shown.state)

    def thumbnail(self, run_id: str, record_id: str, of: str) -> bytes | None:
        """Return a small picture as JPEG.

        Args:
            run_id, record_id: that are known; of others nothing is read.
            of: ``overlay``, ``large`` (the overlay of all of the picture) or ``plain``.

        Returns:
            None where the record is not known, or its files are gone.
        """
        shown = self._shown
        row = shown.rows.get((run_id, record_id))
        pictures = shown.pictures.get(run_id)
        if row is None or pictures is None or of not in {"overlay", "large", "plain"}:
            return None
        longest = self._settings.report.thumbnail if of == "overlay" else _LARGE

        def make() -> bytes | None:
            found = None
            if of != "plain":
                found = pictures.overlay(record_id, row.task_id, longest, whole=of == "large")
            return found if found is not None else pictures.plain(record_id, longest)

        what = (row.sha256, run_id, record_id, row.model, row.counts, row.agreement, row.task_id, of, longest)
        return self._thumbnails.get(hashlib.sha256(repr(what).encode()).hexdigest(), make)

    def _gathered(self, state: str) -> _Shown:
        data = gather(self._settings, self._scope, strata=True)
        page = page_of(data, self._settings, (self._gallery(data),))
        return _Shown(data, state, overview_html(page, self.refresh_s, state))

    def _gather(self, state: str) -> None:
        try:
            self._shown = self._gathered(state)
        except AgirError as error:
            _log.warning("the dashboard shows what it knew before: %s", error)
        finally:
            self._gathering = False

    def _state_of_ledger(self) -> str:
        with Ledger.open_to_read(self._settings.io.ledger_url, self._settings.io.out_root) as ledger:
            return hashlib.sha256(repr(ledger.newest_change()).encode()).hexdigest()[:16]

    def _gallery(self, data: ReportData) -> Section:
        def address(row: RecordRow) -> str:
            return address_of(row, "/thumb", of="overlay")

        return pictures_section(data.rows, self._settings.report.pictures, address, address_of)

    def _life_parts(self, row: RecordRow) -> tuple[Part, ...]:
        facts = [Fact(row.state, "state")]
        if row.agreement is not None:
            facts.append(Fact(f"{row.agreement:.2f}", "agreement with the proposal"))
        if row.uncertainty >= 0:
            facts.append(Fact(f"{row.uncertainty:.3f}", "uncertainty", row.model))
        if row.chosen is not None:
            facts.append(Fact(f"{row.chosen.rank}", "rank in its batch", row.chosen.rule))
        try:
            events = why(row.record_id, self._call).events
        except UsageError:
            return (Facts(tuple(facts)), Words("Nothing is written down of it."))
        rows = tuple(
            (
                Cell(event.at[:19].replace("T", " ")),
                Cell(event.kind, is_text=True),
                Cell(", ".join(f"{k} {v}" for k, v in event.detail.items() if v is not None), is_text=True),
                Cell(event.run_id or "", is_text=True),
            )
            for event in events
        )
        return (Facts(tuple(facts)), Table("Its life", ("when (UTC)", "what", "details", "run"), rows))


def open_dashboard(loop: str | None = None, call: Call | None = None) -> Dashboard:
    """Gather what a dashboard shows; serve it with `serve_dashboard`.

    Args:
        loop: only this loop.
        call: options of every command; with a run, only that run.

    Raises:
        UsageError: there is no such loop, or both a loop and a run are named.
        LedgerError: the ledger cannot be read.
    """
    call = call or Call()
    if loop is not None and call.run is not None:
        raise UsageError("--loop and --run exclude each other", "Name one of them.")
    return Dashboard(call, loop)
