"""``query_spec.json``: how a query result came about and how to get it again."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from agir_cvtoolkit._version import __version__
from agir_cvtoolkit.runs import read_json_object

from .plan import Plan
from .results import SPEC_NAME
from .table import Kind

_KINDS = {"integer", "number", "text", "any"}


@dataclass(frozen=True)
class StoredSpec:
    """What reading a result back needs of its specification.

    Attributes:
        database: type of the database, ``semif`` or ``field``; None where it is not told.
        database_path: the database's file or folder; None for one on a server.
        pictures_root: the folder that the database was built from, or lies in.
        output_format: of the result.
        kinds: kind of values of each column.
    """

    database: str | None = None
    database_path: Path | None = None
    pictures_root: Path | None = None
    output_format: str | None = None
    kinds: Mapping[str, Kind] = field(default_factory=lambda: MappingProxyType({}))


def spec_of(
    plan: Plan,
    *,
    run_id: str,
    db: str,
    database_path: str,
    pictures_root: Path | None,
    out: str,
    count: int,
    ids_sha256: str,
) -> dict[str, object]:
    """Return the content of ``query_spec.json``."""
    return {
        "query_metadata": {
            "run_id": run_id,
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "user": _user(),
            "host": socket.gethostname(),
            "version": __version__,
        },
        "database": {
            "type": db,
            "db_path": database_path,
            "table": plan.source.name,
            "id_column": plan.source.id_column,
            "pictures_root": str(pictures_root) if pictures_root else None,
            "columns": dict(plan.kinds),
        },
        "query_parameters": plan.parameters,
        "execution": {
            "preview_mode": False,
            "preview_count": 0,
            "output_format": out,
            "count": count,
            "ids_sha256": ids_sha256,
        },
    }


def read_spec(query_dir: Path) -> StoredSpec:
    """Read ``query_spec.json``; a missing one tells nothing, and so does a missing key.

    Raises:
        DataError: the file is damaged.
    """
    content = read_json_object(query_dir / SPEC_NAME)
    database, execution = _object(content, "database"), _object(content, "execution")
    columns = _object(database, "columns")
    kinds = {str(name): cast("Kind", kind) for name, kind in columns.items() if kind in _KINDS}
    return StoredSpec(
        _text(database.get("type")),
        _path(database.get("db_path")),
        _path(database.get("pictures_root")),
        _text(execution.get("output_format")),
        MappingProxyType(kinds),
    )


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _text(content: object) -> str | None:
    return content if isinstance(content, str) and content else None


def _path(content: object) -> Path | None:
    return Path(content) if isinstance(content, str) and content and "://" not in content else None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without an entry for its user
        return None
