"""The sections of a report that say where its models come from, and how its batches were chosen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import DatasetVersion, ModelRow
from agir_cvtoolkit.reporting.page_parts import BarChart, BarRow, Cell, Part, Section, Table, Words
from agir_cvtoolkit.runs import Run, read_json_object

from ._interval import counted
from ._report_data import ReportData
from ._report_quality import table_of_tests

SELECTION = ("select", "selection.json")
_MOST = 30


def lineage_section(data: ReportData) -> Section:
    """Return which data set came from which, which model was trained on which, and who beat whom."""
    shows = (
        "Every data set with the one that it grew out of, every model with the data set that it learned from, and every"
        " comparison: enough to make any of them again."
    )
    act = (
        "When a figure surprises you, follow it to its data set here, and compare versions with dataset diff."
    )
    parts: list[Part] = [_models(data), table_of_tests(data), _datasets(data)]
    if not data.models and not data.datasets:
        parts = [Words("Nothing was trained yet.", "Nothing to see yet.")]
    return Section("lineage", "Where do the models come from?", shows, act, tuple(parts))


def choice_section(data: ReportData) -> Section | None:
    """Return what was chosen, what was dropped and why; None where nothing was ever chosen."""
    found = [(one, _selection(data.runs.get(one.chosen_in))) for one in data.rounds]
    rows = [(one.name, counts) for one, counts in found if counts]
    if not rows:
        return None
    totals: Counter[str] = Counter()
    for _, counts in rows:
        totals.update(counts)
    rules = [rule for rule, _ in totals.most_common(_MOST)]
    bars = tuple(BarRow(rule, (totals[rule],), f"{totals[rule]:,}") for rule in rules[:12])
    chart = BarChart(
        "Pictures by the rule that chose or dropped them",
        f"{counted(totals.total(), 'unit')} looked at; the most frequent rule is {rules[0]}, for {totals[rules[0]]:,}.",
        ("pictures",),
        bars,
        as_shares=False,
    )
    table = Table(
        "By round",
        ("rule", *(name for name, _ in rows)),
        tuple((Cell(rule, is_text=True), *(Cell(f"{c.get(rule, 0):,}") for _, c in rows)) for rule in rules),
        folded=True,
    )
    shows = "For every picture that could have been chosen, the rule that put it into a batch or kept it out."
    act = "If many were dropped by one rule that you do not agree with, change it in the group select and choose again."
    return Section("choice", "What was chosen, what was dropped, and why?", shows, act, (chart, table))


def _selection(run: Run | None) -> Mapping[str, int]:
    if run is None:
        return {}
    try:
        content: dict[str, Any] = read_json_object(run.path(*SELECTION))
    except (DataError, json.JSONDecodeError):
        return {}
    rules = content.get("counts")
    if not isinstance(rules, dict):
        return {}
    return {str(rule): int(count) for rule, count in rules.items() if isinstance(count, int)}


def _models(data: ReportData) -> Table:
    rows = []
    for model in data.models[:_MOST]:
        standing = "champion" if model.is_champion else "was champion" if model.champion_since else ""
        rows.append(
            (
                Cell(model.version[:12], is_text=True),
                Cell(model.name, is_text=True),
                Cell(standing, is_text=True),
                Cell(model.created[:16].replace("T", " ")),
                Cell(model.run_id or "", is_text=True),
                Cell(_trained_on(model), is_text=True),
            )
        )
    columns = ("model", "network", "", "trained (UTC)", "in run", "on data set")
    return Table(_of(len(data.models), "Models, the newest first"), columns, tuple(rows))


def _datasets(data: ReportData) -> Table:
    rows = []
    for one in data.datasets[:_MOST]:
        tiles = ", ".join(f"{count} {side}" for side, count in one.tiles.items())
        rows.append(
            (
                Cell(one.version[:12], is_text=True),
                Cell(one.parent[:12] if one.parent else "the first", is_text=True),
                Cell(f"{one.pictures:,}"),
                Cell(f"{one.records:,}"),
                Cell(tiles, is_text=True),
                Cell(_sources(one), is_text=True),
                Cell(one.created[:16].replace("T", " ")),
            )
        )
    columns = ("data set", "grew out of", "pictures", "records", "tiles", "made from", "made (UTC)")
    return Table(_of(len(data.datasets), "Data sets, the newest first"), columns, tuple(rows))


def _of(count: int, caption: str) -> str:
    return caption if count <= _MOST else f"{caption} ({_MOST} of {count})"


def _trained_on(model: ModelRow) -> str:
    part = model.card.get("trained_on")
    return str(part.get("dataset", ""))[:12] if isinstance(part, dict) else ""


def _sources(dataset: DatasetVersion) -> str:
    runs = dataset.made_from.get("runs")
    listed = [str(run) for run in runs] if isinstance(runs, list) else [dataset.run_id]
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
