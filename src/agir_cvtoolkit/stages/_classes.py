"""``dataset/classes.json``: which label is which mask value, one table for all pulls of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.runs import Run, read_json_object, write_json

BACKGROUND = "background"
_SINGLE = 255
_MOST = 255


def class_table(run: Run) -> Path:
    """Return the path of the table."""
    return run.path("dataset", "classes.json")


def read_classes(path: Path) -> dict[str, int]:
    """Read mask values by label, the background left out.

    Raises:
        DataError: the table is damaged, or two labels share a value.
    """
    content = read_json_object(path)
    try:
        table = {str(c["name"]): int(c["id"]) for c in content.get("classes", []) if int(c["id"]) != 0}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is damaged: {error}", 'Write {"classes": [{"id": 0, "name": "background"}, ...]}.'
        ) from error
    if len(set(table.values())) != len(table) or not all(0 < value <= _MOST for value in table.values()):
        raise DataError(f"{path}: ids must differ and lie in 1..255", "Correct the table.")
    return table


def extend_classes(run: Run, labels: Iterable[str], known_ids: Mapping[str, set[int]]) -> dict[str, int]:
    """Give every label a mask value and write the table; values once given stay.

    A label takes the class id that all records with it share, where that is free. A single label without one is 255.

    Args:
        run: whose table it is.
        labels: names as the server spells them.
        known_ids: class ids that the records of a label have in the database.

    Raises:
        DataError: more labels than mask values.
    """
    path = class_table(run)
    table = read_classes(path) if path.is_file() else {}
    missing = sorted(set(labels) - set(table))
    if not missing:
        return table
    used = set(table.values())
    for name in missing:
        shared = known_ids.get(name, set())
        value = next(iter(shared)) if len(shared) == 1 else None
        if value is None or value in used or not 0 < value < _SINGLE:
            alone = len(missing) == 1 and not table
            value = _SINGLE if alone else next((v for v in range(1, _MOST + 1) if v not in used), None)
        if value is None:
            raise DataError(f"{len(table)} labels leave no mask value for '{name}'", "Use fewer labels.")
        table[name] = value
        used.add(value)
    listing = [{"id": 0, "name": BACKGROUND}] + [
        {"id": value, "name": name} for name, value in sorted(table.items(), key=lambda pair: pair[1])
    ]
    write_json(path, read_json_object(path) | {"classes": listing})
    return table


def merged(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Make one table of several; a label keeps the first value that it has, unless that is taken.

    Raises:
        DataError: more labels than mask values.
    """
    found: dict[str, int] = {}
    for table in tables:
        for name, value in table.items():
            if name in found:
                continue
            used = set(found.values())
            free = (
                value if value not in used else next((v for v in range(1, _MOST + 1) if v not in used), None)
            )
            if free is None:
                raise DataError(f"{len(found)} labels leave no mask value for '{name}'", "Use fewer labels.")
            found[name] = free
    return found


def ids_by_label(pairs: Iterable[tuple[str, int]]) -> dict[str, set[int]]:
    """Collect the class ids that occur with each label; 255 says nothing and is left out."""
    found: dict[str, set[int]] = defaultdict(set)
    for label, value in pairs:
        if 0 < value < _SINGLE:
            found[label].add(value)
    return dict(found)
