"""The species table: class ids, names and colours of plants, in one file for all databases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import FieldValue

from .csv_table import read_table
from .values import NO_CLASS, class_of, text_of

_CORRECT = "Correct the file, or set io.lts_species_info."
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


@dataclass(frozen=True)
class Species:
    """One species.

    Attributes:
        class_id: 1..255; 255 where it has none.
        common_name: as the table spells it.
        symbol: of the USDA, in upper case; empty where it has none.
        rgb: red, green and blue, 0..255; None where it has no colour.
    """

    class_id: int
    common_name: str
    symbol: str = ""
    rgb: tuple[int, int, int] | None = None


class SpeciesTable:
    """Species by class id, and by any of their names.

    Attributes:
        species: all of them, in the order of the table.
    """

    def __init__(self, species: Iterable[Species]) -> None:
        self._by_class: dict[int, Species] = {}
        self._by_name: dict[str, Species] = {}
        self.species = tuple(species)
        for one in self.species:
            if one.class_id != NO_CLASS:
                self._by_class.setdefault(one.class_id, one)
            for name in (one.common_name, one.symbol):
                if name:
                    self._by_name.setdefault(_plain(name), one)

    @classmethod
    def read(cls, path: Path) -> SpeciesTable:
        """Read AgIR's ``species_info.json``, or a CSV with the same names as columns.

        Columns are ``class_id``, ``common_name``, ``USDA_symbol``, and ``hex`` (``#1f77b4``) or ``rgb`` (``[r, g, b]``,
        0 to 255, or 0 to 1); only one of the first two must be there.

        Raises:
            DataError: it cannot be read, or is no species table.
        """
        rows = _csv_rows(path) if path.suffix.lower() in {".csv", ".tsv"} else _json_rows(path)
        found = [one for row in rows if (one := _species(row)) is not None]
        if not found:
            raise DataError(f"{path} names no species", _CORRECT)
        table = cls(found)
        for one in found:
            other = table._by_class.get(one.class_id, one)
            if _plain(other.common_name) != _plain(one.common_name):
                raise DataError(
                    f"{path}: class {one.class_id} is {other.common_name} and {one.common_name}", _CORRECT
                )
        return table

    def find(self, class_id: int, common_name: str | None) -> Species | None:
        """Return a species by its class id, and where that says nothing by its name or symbol."""
        if class_id in self._by_class:
            return self._by_class[class_id]
        return self._by_name.get(_plain(common_name)) if common_name else None


def _json_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        content: Any = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", _CORRECT) from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", _CORRECT) from error
    listed = content.get("species", content) if isinstance(content, dict) else content
    if isinstance(listed, dict):
        listed = [
            {"USDA_symbol": symbol} | row if isinstance(row, dict) else row for symbol, row in listed.items()
        ]
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise DataError(f"{path} is no species table", _CORRECT)
    return listed


def _csv_rows(path: Path) -> list[Mapping[str, Any]]:
    return list(read_table(path)[1])


def _species(row: Mapping[str, Any]) -> Species | None:
    name = text_of(_field(row.get("common_name")))
    class_id = class_of(_field(row.get("class_id")))
    if name is None and class_id == NO_CLASS:
        return None
    symbol = text_of(_field(row.get("USDA_symbol"))) or ""
    return Species(class_id, name or symbol, symbol.upper(), _rgb(row.get("hex")) or _rgb(row.get("rgb")))


def _field(value: object) -> FieldValue:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _rgb(value: object) -> tuple[int, int, int] | None:
    if isinstance(value, str):
        named = _HEX.fullmatch(value.strip())
        if named is not None:
            red, green, blue = bytes.fromhex(named[1])
            return red, green, blue
        try:
            value = json.loads(value.replace("(", "[").replace(")", "]"))
        except ValueError:
            return None
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(v, int | float) for v in value):
        return None
    shares = all(0 <= v <= 1 for v in value) and any(isinstance(v, float) for v in value)
    sides = [round(v * 255) if shares else round(v) for v in value if 0 <= v <= 255]
    return (sides[0], sides[1], sides[2]) if len(sides) == 3 else None


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
