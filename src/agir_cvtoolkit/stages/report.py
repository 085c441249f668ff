"""``report``: where the loop stands, as one HTML file that opens anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.reporting.page_html import page_html
from agir_cvtoolkit.reporting.page_parts import Page, Section
from agir_cvtoolkit.runs import write_text

from ._call import Call
from ._report_benefit import benefit_section
from ._report_control import control_section
from ._report_data import ReportData, Scope, gather
from ._report_lineage import choice_section, lineage_section
from ._report_people import annotators_section, effort_section
from ._report_pictures import pictures_inside, pictures_section
from ._report_plan import plan_section
from ._report_quality import calibration_section, model_section
from ._report_state import facts_of, state_section, summary_of


@dataclass(frozen=True)
class ReportResult:
    """What was written.

    Attributes:
        path: of the file; where it would lie, in a dry run.
        scope: what it is about, in words.
        sections: their titles.
        records: that it tells of.
        size: of the file, in bytes; 0 in a dry run.
    """

    path: Path
    scope: str
    sections: tuple[str, ...]
    records: int
    size: int
    dry_run: bool = False


def report(
    out: Path = Path("report.html"), loop: str | None = None, call: Call | None = None
) -> ReportResult:
    """Write a report of the whole workspace, of one loop, or of one run as one HTML file.

    It holds everything that it shows: no script, nothing from the network.

    Args:
        out: the file; an earlier one is replaced.
        loop: only this loop.
        call: options of every command; with a run, only that run.

    Raises:
        UsageError: there is no such loop, both a loop and a run are named, or `out` is a folder.
        NoRunError: there is no such run.
        LedgerError: the ledger cannot be read.
    """
    call = call or Call()
    if loop is not None and call.run is not None:
        raise UsageError("--loop and --run exclude each other", "Name one of them.")
    if out.is_dir():
        raise UsageError(f"{out} is a folder", f"Name a file: --out {out / 'report.html'}")
    settings = call.settings()
    with call.progress.bar("report", 3) as bar:
        data = gather(settings, Scope(loop, call.run))
        bar.advance()
        page = page_of(data, settings, (_pictures(data, settings),))
        bar.advance()
        html = page_html(page)
        bar.advance()
    if not call.dry_run:
        write_text(out, html)
    titles = tuple(section.title for section in page.sections)
    size = 0 if call.dry_run else len(html.encode())
    return ReportResult(out, data.scope.words, titles, len(data.rows), size, dry_run=call.dry_run)


def page_of(data: ReportData, settings: Settings, pictures: tuple[Section, ...]) -> Page:
    """Return the report as a page.

    Args:
        data: what it is made of.
        settings: with the group ``report``.
        pictures: the sections with pictures.
    """
    found = (
        state_section(data),
        model_section(data),
        benefit_section(data),
        control_section(data),
        effort_section(data),
        annotators_section(data),
        *pictures,
        calibration_section(data),
        plan_section(data),
        choice_section(data),
        lineage_section(data),
    )
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    subject = data.loop.name if data.loop is not None else data.scope.words
    return Page(
        title="Annotation report",
        subtitle=f"{subject[:1].upper()}{subject[1:]} · {at}",
        summary=summary_of(data),
        facts=facts_of(data),
        sections=tuple(section for section in found if section is not None),
        made=f"Made by agir-cvtoolkit {__version__} at {at} from {data.out_root}. Intervals are 95 %.",
    )


def _pictures(data: ReportData, settings: Settings) -> Section:
    source = pictures_inside(data.runs, settings.report.thumbnail)
    return pictures_section(data.rows, settings.report.pictures, source)
