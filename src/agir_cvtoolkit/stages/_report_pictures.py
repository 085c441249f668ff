"""The section of a report that shows pictures: what the model got most wrong, and what cost most work."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from agir_cvtoolkit.reporting.page_parts import Gallery, Part, Picture, Section, Words
from agir_cvtoolkit.reporting.page_pictures import data_address
from agir_cvtoolkit.runs import Run

from ._overlays import RunPictures
from ._workspace_rows import OUTCOMES, RecordRow

_SPARE = 3
"""So many times as many records are tried, because pictures may be gone."""


def pictures_section(rows: Iterable[RecordRow], runs: Mapping[str, Run], count: int, longest: int) -> Section:
    """Return the worst and the most edited pictures as overlays, inside the page.

    Args:
        rows: of all records.
        runs: by id.
        count: of pictures in each of the two galleries.
        longest: side of a picture, in pixels.
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
    readers = {run_id: RunPictures(run) for run_id, run in runs.items()}
    worst = _gallery(
        "Least agreement",
        heapq.nsmallest(_SPARE * count, changed, key=lambda row: (row.agreement, -row.edits, row.record_id)),
        readers,
        count,
        longest,
        frozenset(),
    )
    shown = frozenset(picture.title for picture in worst.pictures)
    busiest = heapq.nlargest(_SPARE * count, changed, key=lambda row: (row.edits, -(row.agreement or 0)))
    edited = _gallery("Most shapes changed", busiest, readers, count, longest, shown)
    parts: tuple[Part, ...] = tuple(gallery for gallery in (worst, edited) if gallery.pictures)
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


def _gallery(
    caption: str,
    rows: Iterable[RecordRow],
    readers: Mapping[str, RunPictures],
    count: int,
    longest: int,
    left_out: frozenset[str],
) -> Gallery:
    pictures = []
    for row in rows:
        if len(pictures) == count:
            break
        reader = readers.get(row.run_id)
        if row.record_id in left_out or reader is None:
            continue
        content = reader.overlay(row.record_id, row.task_id, longest)
        if content is not None:
            pictures.append(picture_of(row, data_address(content)))
    return Gallery(caption, tuple(pictures))


def picture_of(row: RecordRow, source: str, link: str | None = None) -> Picture:
    """Return a record's overlay with what there is to say of it."""
    labels = ", ".join(row.labels)
    alt = f"{row.record_id}{f' ({labels})' if labels else ''}: proposal and correction; {note_of(row)}"
    return Picture(source, alt, row.record_id, note_of(row), link)
