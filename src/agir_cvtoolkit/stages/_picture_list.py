"""The list of pictures that the dashboard shows: narrowed, ordered, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from agir_cvtoolkit.reporting.dashboard_pages import Choice, PicturesPage
from agir_cvtoolkit.reporting.page_parts import Gallery

from ._report_data import ReportData
from ._report_pictures import picture_of
from ._workspace_rows import CHANGED, OUTCOMES, SENT, UNCHANGED, WAITING, RecordRow

PER_PAGE = 24
_STATES = (
    (WAITING, "only predicted"),
    (SENT, "with the annotators"),
    (UNCHANGED, "back, unchanged"),
    (CHANGED, "back, changed"),
)
_SLICES = (("control", "control slice"), ("chosen", "chosen, not control"), ("other", "not by select"))
_ORDERS: Mapping[str, tuple[str, Callable[[RecordRow], Any]]] = {
    "agreement": ("least agreement first", lambda row: (row.agreement is None, row.agreement or 0.0)),
    "edits": ("most shapes changed first", lambda row: -row.edits),
    "uncertainty": ("least sure first", lambda row: -row.uncertainty if row.uncertainty >= 0 else 1.0),
    "rank": ("as they were chosen", lambda row: (row.chosen is None, (row.chosen and row.chosen.rank) or 0)),
    "name": ("by name", lambda row: row.record_id),
}


def address_of(row: RecordRow, where: str = "/picture", **more: str) -> str:
    """Return the address of a record's page or picture."""
    return (
        f"{where}?{urlencode({'run': row.run_id, 'record': row.record_id, **more}, errors='surrogatepass')}"
    )


def picture_list(data: ReportData, wanted: Mapping[str, str], page: int) -> PicturesPage:
    """Return one page of the list.

    Args:
        data: with all rows.
        wanted: values by name of a choice, ``search`` and ``order``; values that do not exist find nothing.
        page: from 1; beyond the last one it is the last one.
    """
    kept = {name: value for name, value in wanted.items() if name in _TESTS and value}
    tests = [(_TESTS[name], value) for name, value in kept.items()]
    found = [row for row in data.rows if all(test(row, value) for test, value in tests)]
    order = wanted.get("order", "")
    order = order if order in _ORDERS else "agreement"
    found.sort(key=_ORDERS[order][1])
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, page), pages)
    shown = found[(page - 1) * PER_PAGE : page * PER_PAGE]
    pictures = tuple(
        picture_of(row, address_of(row, "/thumb", of="overlay"), address_of(row)) for row in shown
    )
    return PicturesPage(
        choices=(
            *_choices(data, kept),
            _choice("order", "Order", [(n, w) for n, (w, _) in _ORDERS.items()], order),
        ),
        search=kept.get("search", ""),
        gallery=Gallery(_ORDERS[order][0].capitalize(), pictures),
        total=len(found),
        page=page,
        pages=pages,
        wanted={**kept, "order": order},
    )


def _choices(data: ReportData, kept: Mapping[str, str]) -> Iterable[Choice]:
    runs = [(one.run_id, one.name) for one in data.rounds]
    listed = {run_id for run_id, _ in runs}
    runs += [(run_id, run_id) for run_id in data.rows_by_run if run_id not in listed]
    outcomes = [*_STATES, *((name, f"shapes {name}") for name in OUTCOMES)]
    labels = sorted({label for label, _, _ in data.shapes_by_class})
    people = sorted({person for person, _ in data.work_by_person})
    for name, label, options in (
        ("run", "Round", runs),
        ("label", "Class", [(one, one) for one in labels]),
        ("annotator", "Annotator", [(one, one) for one in people]),
        ("outcome", "Outcome", outcomes),
        ("slice", "Chosen how", list(_SLICES)),
        ("species", "Species", [(one, one) for one in data.species]),
        ("stratum", "Stratum", [(one, one.replace("=", ": ", 1)) for one in data.strata]),
    ):
        if options:
            yield _choice(name, label, [("", "all"), *options], kept.get(name, ""))


def _choice(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> Choice:
    return Choice(name, label, tuple(options), chosen)


def _has_outcome(row: RecordRow, value: str) -> bool:
    return row.counts[OUTCOMES.index(value)] > 0 if value in OUTCOMES else row.state == value


def _in_slice(row: RecordRow, value: str) -> bool:
    if row.chosen is None:
        return value == "other"
    return value == ("control" if row.chosen.control else "chosen")


_TESTS: Mapping[str, Callable[[RecordRow, str], bool]] = {
    "run": lambda row, value: row.run_id == value,
    "label": lambda row, value: value in row.labels,
    "annotator": lambda row, value: value in row.annotators,
    "outcome": _has_outcome,
    "slice": _in_slice,
    "species": lambda row, value: row.species == value,
    "stratum": lambda row, value: value in row.strata,
    "search": lambda row, value: value.casefold() in row.record_id.casefold(),
}
