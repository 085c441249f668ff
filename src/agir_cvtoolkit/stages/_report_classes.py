"""The tables of a report that say what each class costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agir_cvtoolkit.reporting.page_parts import Cell, Table

from ._interval import number
from ._workspace_rows import ClassWork

_MOST_ROWS = 14
_MOST_COLUMNS = 8


def classes_table(work: Mapping[str, ClassWork]) -> Table:
    """Return what people did with each class, the one that costs most first."""
    ordered = sorted(work, key=lambda label: (-work[label].changed, label))
    changes = sum(one.changed for one in work.values())
    rows = [_class_row(label, work[label], changes) for label in ordered[:_MOST_ROWS]]
    more = len(ordered) - len(rows)
    columns = (
        "class",
        "pictures changed",
        "shapes changed",
        "changes a picture",
        "agreement",
        "of all changes",
    )
    rest = f"; {more} classes with fewer changes are not shown" if more else ""
    return Table(f"Effort by class, the one that costs most first{rest}", columns, tuple(rows))


def people_and_classes_table(work: Mapping[tuple[str, str], ClassWork], people: Iterable[str]) -> Table:
    """Return how far each annotator agreed with the proposals of each class, and what was changed."""
    totals: dict[str, int] = {}
    for (_, label), one in work.items():
        totals[label] = totals.get(label, 0) + one.shapes
    labels = sorted(totals, key=lambda label: (-totals[label], label))
    shown = labels[:_MOST_COLUMNS]
    rows = tuple(
        (Cell(name, is_text=True), *(_person_cell(work.get((name, label))) for label in shown))
        for name in people
    )
    more = f" (the {len(shown)} most frequent of {len(labels)} classes)" if len(labels) > len(shown) else ""
    caption = f"Agreement with the proposals by class, and how many of its shapes were changed{more}"
    return Table(caption, ("annotator", *shown), rows)


def _class_row(label: str, one: ClassWork, changes: int) -> tuple[Cell, ...]:
    return (
        Cell(label, is_text=True),
        _share(one.changed_pictures, one.pictures),
        _share(one.changed, one.shapes),
        Cell(number(one.changed / one.pictures, 1)),
        Cell(number(one.agreement / one.shapes)),
        Cell(number(one.changed / changes, percent=True) if changes else "–"),
    )


def _share(hits: int, count: int) -> Cell:
    return Cell(number(hits / count, percent=True), f"{hits:,} of {count:,}")


def _person_cell(one: ClassWork | None) -> Cell:
    if one is None:
        return Cell("–")
    return Cell(number(one.agreement / one.shapes), f"{one.changed:,} of {one.shapes:,}")
