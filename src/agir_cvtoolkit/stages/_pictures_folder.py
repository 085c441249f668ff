"""The folder of pictures that a run was started with, in the place of a query."""

from __future__ import annotations

from pathlib import Path

from agir_cvtoolkit.runs import Run, read_json_object, write_json

_PLACE = (".state", "pictures.json")


def kept_folder(run: Run) -> Path | None:
    """Return the folder of a run's pictures, None where it has a query or nothing."""
    folder = read_json_object(run.path(*_PLACE)).get("folder")
    return Path(folder) if isinstance(folder, str) else None


def keep_folder(run: Run, folder: Path) -> None:
    """Remember the folder of a run's pictures."""
    write_json(run.path(*_PLACE), {"folder": str(folder.resolve())})
