"""The batch on one sheet: what people will see, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agir_cvtoolkit.choosing import Choice
from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.pictures import load_rgb
from agir_cvtoolkit.records import Box, ManifestEntry
from agir_cvtoolkit.reporting.picture_sheet import SheetPicture, picture_sheet
from agir_cvtoolkit.runs import Run

from ._batch import FOLDER
from ._mask_candidates import image_of

SHEET = f"{FOLDER}/contact_sheet.jpg"
_MOST = 300
_LINES = 3
"""What the longest rule of a shipped strategy takes."""


def draw_batch(run: Run, choices: Sequence[Choice], entries: Mapping[str, ManifestEntry]) -> str:
    """Draw the chosen units by rank, each with its rank, score and rule; return the file, relative to the run.

    Args:
        run: of the records.
        choices: by rank; the first 300 are drawn.
        entries: of the records, by id.
    """
    shown = choices[:_MOST]
    more = f", the first {_MOST}" if len(choices) > _MOST else ""
    title = f"{len(choices)} chosen{more}, by rank"
    picture_sheet(_pictures(run, shown, entries), len(shown), run.path(SHEET), title=title, lines=_LINES)
    return SHEET


def _pictures(
    run: Run, choices: Sequence[Choice], entries: Mapping[str, ManifestEntry]
) -> Iterator[SheetPicture]:
    for one in choices:
        score = "" if one.score is None else f" {one.score:.3f}:"
        words = f"{one.rank}.{score} {one.rule}"
        path = image_of(run, entries[one.record_id])
        region = one.region
        box = None if region is None else Box(region.left, region.top, region.width, region.height)
        try:
            picture = None if path is None else load_rgb(path)
        except AgirError:
            picture = None
        yield SheetPicture(one.unit_id, words, picture, box, note="picture not found or damaged")
