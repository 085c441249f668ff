"""The section of a report that shows pictures: what the model got most wrong, and what cost most work."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping

from agir_cvtoolkit.reporting.page_parts import Gallery, Part, Picture, Section, Words
from agir_cvtoolkit.reporting.page_pictures import data_address
from agir_cvtoolkit.runs import Run

from ._overlays import RunPictures
from ._workspace_rows import OUTCOMES, RecordRow

_SPARE = 3
"""So many times as many records are tried, because pictures may be gone."""


Source = Callable[[RecordRow], str | None]
"""Gives the address of a record's overlay; None where it cannot be drawn."""


def pictures_inside(runs: Mapping[str, Run], longest: int) -> Source:
    """Return a source of pictures that lie inside the page.

    Args:
        runs: by id.
        longest: side of a picture, in pixels.
    """
    readers = {run_id: RunPictures(run) for run_id, run in runs.items()}

    def source(row: RecordRow) -> str | None:
        reader = readers.get(row.run_id)
        content = None if reader is None else reader.overlay(row.record_id, row.task_id, longest)
        return None if content is None else data_address(content)

    return source


def pictures_section(
    rows: Iterable[RecordRow], count: int, source: Source, link: Callable[[RecordRow], str] | None = None
) -> Section:
    """Return the worst and the most edited pictures as overlays.

    Args:
        rows: of all records.
        count: of pictures in each of the two galleries.
        source: of the pictures.
        link: where a click on a picture leads; None for nowhere.
    """
    shows = (
        "Proposal and correction laid over the picture, cut to the plants or animals: white lines are what the model and"
        " the person agree on, blue was added by the person, yellow stripes were taken away."
    )
    act = (
        "Look for what these pictures have in common (light, growth stage, a look-alike): label more of that. Where the"
        " correction is wrong, not the proposal, talk to the annotator."
    )
    changed = [row for row in rows if row.agreement is not None and row.state == "changed"]
    least = heapq.nsmallest(
        _SPARE * count, changed, key=lambda row: (row.agreement, -row.edits, row.record_id)
    )
    worst = _drawn(least, count, source, link)
    shown = {picture.title for picture in worst}
    busiest = heapq.nlargest(_SPARE * count, changed, key=lambda row: (row.edits, -(row.agreement or 0)))
    others = [row for row in busiest if row.record_id not in shown]
    edited = _drawn(others, count, source, link)
    named = (("Least agreement", worst), ("Most shapes changed", edited))
    parts: tuple[Part, ...] = tuple(Gallery(caption, pictures) for caption, pictures in named if pictures)
    if not parts:
        why = (
            "No picture was changed."
            if not changed
            else "The files of the changed pictures are not here any more."
        )
        parts = (Words(why, "Nothing to see.") if count else Words("report.pictures is 0.", "Left out."),)
    return Section("pictures", "Which pictures went wrong?", shows, act, parts)


def note_of(row: RecordRow) -> str:
    """Return what happened to a record in a line."""
    counts = ", ".join(f"{n} {name}" for name, n in zip(OUTCOMES, row.counts, strict=True) if n)
    agreement = "" if row.agreement is None else f"agreement {row.agreement:.2f}; "
    by = f"; {', '.join(row.annotators)}" if row.annotators else ""
    return f"{agreement}{counts or row.state}{by}"


def _drawn(
    rows: Iterable[RecordRow], count: int, source: Source, link: Callable[[RecordRow], str] | None
) -> tuple[Picture, ...]:
    pictures: list[Picture] = []
    for row in rows:
        if len(pictures) == count:
            break
        address = source(row)
        if address is not None:
            pictures.append(picture_of(row, address, link(row) if link is not None else None))
    return tuple(pictures)


def picture_of(row: RecordRow, source: str, link: str | None = None) -> Picture:
    """Return a record's overlay with what there is to say of it."""
    labels = ", ".join(row.labels)
    alt = f"{row.record_id}{f' ({labels})' if labels else ''}: proposal and correction; {note_of(row)}"
    return Picture(source, alt, row.record_id, note_of(row), link)
