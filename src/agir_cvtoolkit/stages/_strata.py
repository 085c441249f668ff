"""Which groups records belong to: by species, and by any other column of the source that names a few groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import orjson

from agir_cvtoolkit.choosing import parted_id
from agir_cvtoolkit.runs import Run

from ._workspace_rows import RecordRow

MOST_VALUES = 30
"""A column with more different values names no groups but single records."""
_SPECIES = "common_name"
_Seen = tuple[str, str, str, Mapping[str, object]]


def with_strata(rows: Iterable[RecordRow], runs: Mapping[str, Run]) -> list[RecordRow]:
    """Return rows with the species and strata that manifests name; regions have those of their picture."""
    columns = _columns(runs)
    kept: dict[tuple[str, ...], tuple[str, ...]] = {}  # many records share few combinations
    found: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {}
    for run_id, record_id, species, values in _seen(runs):
        own = tuple(stratum(name, values[name]) for name in columns if values.get(name) is not None)
        found[run_id, record_id] = species, kept.setdefault(own, own)
    given = []
    for row in rows:
        species, strata = found.get((row.run_id, parted_id(row.record_id)[0]), ("", ()))
        given.append(replace(row, species=species, strata=strata))
    return given


def stratum(column: str, value: object) -> str:
    """Return the name of a group."""
    return f"{column}={value}"


def _columns(runs: Mapping[str, Run]) -> list[str]:
    """Return the columns that part records into a few groups."""
    values: dict[str, set[object]] = {}
    for _, _, _, own in _seen(runs):
        for name, value in own.items():
            seen = values.setdefault(name, set())
            if value is not None and len(seen) <= MOST_VALUES:
                seen.add(str(value))
    return sorted(name for name, seen in values.items() if 1 < len(seen) <= MOST_VALUES and name != _SPECIES)


def _seen(runs: Mapping[str, Run]) -> Iterator[_Seen]:
    """Yield run, record, species and columns of each sound line of the manifests."""
    for run_id, run in runs.items():
        if run.manifest_path.is_file():
            with run.manifest_path.open("rb") as lines:
                for line in lines:
                    with suppress(orjson.JSONDecodeError, TypeError, KeyError):
                        found = orjson.loads(line)
                        record_id, values = str(found["record_id"]), found.get("label_values")
                        own = values if isinstance(values, dict) else {}
                        yield run_id, record_id, str(found.get(_SPECIES) or ""), own
