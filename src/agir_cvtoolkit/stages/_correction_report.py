"""The corrections of a run as people read them: a table and a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from itertools import chain, groupby
from operator import attrgetter
from typing import Any

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import CorrectionRow, Ledger
from agir_cvtoolkit.reporting.bars import Bar, write_bars
from agir_cvtoolkit.runs import Run, atomic_path, fingerprint, read_json_object, write_json

from ._correction_figures import Figures
from ._pulled import FRAME_MAP, folders, read_frame_map_file

TABLE = "cvat_downloads/corrections.csv"
PLOT = "cvat_downloads/corrections.svg"
FIGURES = "cvat_downloads/corrections.json"
_COLOURS = {
    "accepted": "#2b8a3e",
    "edited": "#1c6fb8",
    "relabelled": "#7048a8",
    "deleted": "#c0392b",
    "added": "#d9822b",
    "unknown": "#868e96",
}


def report_corrections(run: Run, ledger: Ledger, server: str) -> dict[str, object] | None:
    """Write the table and the picture of what became of the proposals that lie corrected in a run.

    Frames that have left the run's frame maps (deleted on the server) do not count. Where nothing has changed
    since it was last written, nothing is read or written but what tells that.

    Returns:
        The figures; None where nothing was pushed that came back.

    Raises:
        DataError: a frame map is damaged.
        LedgerError: the ledger cannot be used.
    """
    state = _state(run, ledger, server)
    known = _known(run, state)
    if known is not None:
        return known
    rows = _present(run, ledger, server)
    first = next(rows, None)
    if first is None:
        return None
    figures = Figures()
    names = [field.name for field in fields(CorrectionRow) if field.name not in {"server", "run_id"}]
    with (
        atomic_path(run.path(TABLE)) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in chain([first], rows):
            figures.add(row)
            writer.writerow(_line(row))
    told = figures.told()
    write_bars(run.path(PLOT), "What people did with the proposals", _bars(told), _COLOURS)
    # Last: killed in between, all is written again.
    write_json(run.path(FIGURES), {"state": state, "figures": told})
    return told


def _state(run: Run, ledger: Ledger, server: str) -> str:
    """Return what differs as soon as the rows, the frame maps, or the way they are told differ."""
    maps = []
    for task_id, folder in sorted(folders(run).items()):
        path = folder / FRAME_MAP
        if path.is_file():
            found = path.stat()
            maps.append((task_id, found.st_size, found.st_mtime_ns))
    recorded = ledger.state_of_corrections(run.run_id, server)
    return fingerprint(__version__, server, repr(recorded), repr(maps))


def _known(run: Run, state: str) -> dict[str, object] | None:
    """Return the figures of that state, if they and what goes with them lie there."""
    try:
        content = read_json_object(run.path(FIGURES))
    except DataError:
        return None
    there = run.path(TABLE).is_file() and run.path(PLOT).is_file()
    figures = content.get("figures")
    return figures if there and content.get("state") == state and isinstance(figures, dict) else None


def _present(run: Run, ledger: Ledger, server: str) -> Iterator[CorrectionRow]:
    """Yield the rows of frames that are there; of one task after the other its frame map is held."""
    places = folders(run)
    for task_id, rows in groupby(ledger.corrections_of_run(run.run_id, server), attrgetter("task_id")):
        path = places[task_id] / FRAME_MAP if task_id in places else None
        if path is not None and path.is_file():
            frames = {(frame.job_id, frame.frame) for frame in read_frame_map_file(path).frames}
            yield from (row for row in rows if (row.job_id, row.frame) in frames)


def _line(row: CorrectionRow) -> dict[str, Any]:
    values = asdict(row)
    for name in ("iou", "boundary_px", "moved_px"):
        values[name] = None if values[name] is None else f"{values[name]:.4f}"
    return values


def _bars(figures: Mapping[str, Any]) -> list[Bar]:
    groups = [("all", figures)]
    groups += [(f"label {name}", found) for name, found in figures["by_label"].items()]
    groups += [(f"by {name}", found) for name, found in figures["by_annotator"].items()]
    return [Bar(name, {part: found[part] for part in _COLOURS}, _note(found)) for name, found in groups]


def _note(figures: Mapping[str, Any]) -> str:
    parts = []
    if figures["share_accepted"] is not None:
        parts.append(f"{figures['share_accepted']:.0%} accepted")
    if figures["mean_iou"] is not None:
        parts.append(f"edited IoU {figures['mean_iou']:.2f}")
    return ", ".join(parts)
