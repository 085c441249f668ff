"""A choice written into its run: the batch, what became of each unit, and what it went by."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agir_cvtoolkit.choosing import Choice, Region
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.ledger import SelectionRow
from agir_cvtoolkit.records import Item, ManifestEntry
from agir_cvtoolkit.runs import Run, atomic_path, write_text
from agir_cvtoolkit.selection import Decisions

from ._batch import BATCH, CHOICES, FOLDER
from ._select_regions import cut

_COLUMNS = ("unit_id", "record_id", "region", "chosen", "control", "rank", "score", "rule")


def lines_of(
    run: Run, chosen: Sequence[Choice], entries: dict[str, ManifestEntry]
) -> tuple[list[ManifestEntry], list[Item]]:
    """Return a manifest line for each chosen unit, by rank; regions are cut out on the way.

    Args:
        run: of the records.
        chosen: by rank.
        entries: of the records, by id.

    Returns:
        The lines, and the units that could not be cut out.
    """
    by_record: dict[str, list[Choice]] = defaultdict(list)
    for one in chosen:
        by_record[one.record_id].append(one)
    lines: dict[str, ManifestEntry] = {}
    items: list[Item] = []
    for record_id, own in by_record.items():
        regions = [one.region for one in own if one.region is not None]
        if not regions:
            lines[own[0].unit_id] = entries[record_id]
            continue
        try:
            for one, line in zip(own, cut(run, entries[record_id], regions), strict=True):
                doubt = line.uncertainty if one.score is None else one.score
                lines[one.unit_id] = replace(line, uncertainty=min(1.0, max(0.0, doubt)))
        except DataError as error:
            items += [Item(one.unit_id, "failed", str(error)) for one in own]
    return [lines[one.unit_id] for one in chosen if one.unit_id in lines], items


def write_batch(run: Run, lines: Sequence[ManifestEntry]) -> None:
    """Write ``select/batch.jsonl``: from then on ``upload-cvat`` sends the batch and nothing else."""
    write_text(run.path(FOLDER, BATCH), "".join(f"{line.to_json()}\n" for line in lines))


def write_choices(run: Run, found: Decisions) -> None:
    """Write ``select/choices.csv``: every unit, the chosen ones by rank, then the others by id."""
    with (
        atomic_path(run.path(FOLDER, CHOICES)) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream,
    ):
        table = csv.writer(stream)
        table.writerow(_COLUMNS)
        table.writerows(_row(found.choice(int(index))) for index in found.chosen)
        table.writerows(_row(choice) for choice in found if not choice.chosen)


def read_choices(path: Path) -> list[Choice]:
    """Read ``select/choices.csv``.

    Raises:
        DataError: it is damaged.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogatepass", newline="") as stream:
            rows = csv.DictReader(stream)
            if "unit_id" not in (rows.fieldnames or ()):
                raise ValueError("it has no column unit_id")
            return [_choice(row) for row in rows]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", "Select again.") from error


def rows_of(
    run: Run, number: int, chosen: Sequence[Choice], lines: Sequence[ManifestEntry], strategy: str, seed: int
) -> list[SelectionRow]:
    """Return the rows of the ledger for a batch."""
    models = {line.record_id: line.model for line in lines}
    return [
        SelectionRow(
            run_id=run.run_id,
            batch=number,
            unit_id=one.unit_id,
            record_id=one.record_id,
            region=None if one.region is None else str(one.region),
            control=one.control,
            rank=one.rank or 0,
            score=one.score,
            strategy=strategy,
            rule=one.rule,
            seed=seed,
            model=models[one.unit_id],
        )
        for one in chosen
        if one.unit_id in models
    ]


def _row(one: Choice) -> tuple[object, ...]:
    return (
        one.unit_id,
        one.record_id,
        "" if one.region is None else str(one.region),
        int(one.chosen),
        int(one.control),
        one.rank or "",
        "" if one.score is None else f"{one.score:.6g}",
        one.rule,
    )


def _choice(row: dict[str, str]) -> Choice:
    left, top, side = row["region"].split(",") if row["region"] else ("", "", "")
    wide, _, high = side.partition("x")
    return Choice(
        row["unit_id"],
        row["record_id"],
        Region(int(left), int(top), int(wide), int(high)) if side else None,
        row["chosen"] == "1",
        row["control"] == "1",
        int(row["rank"]) if row["rank"] else None,
        float(row["score"]) if row["score"] else None,
        row["rule"],
    )
