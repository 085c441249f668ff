"""Which records a run's predictions are of: those of its query, or the pictures of a folder in the place of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agir_cvtoolkit.errors import ConfigError, NoRunError, UsageError
from agir_cvtoolkit.records import Record
from agir_cvtoolkit.runs import (
    Run,
    list_runs,
    make_current,
    open_run,
    read_json_object,
    start_run,
    write_json,
)

from ._call import Call
from ._queried import queried_db

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

_PLACE = (".state", "pictures.json")
_QUERY_FILES = ("query.json", "query.csv", "query.parquet")


@dataclass(frozen=True)
class Asked:
    """What a stage asks of a query.

    Attributes:
        group: of its settings.
        db: the database that the query must have asked.
        image_mode: ``full_image`` or ``cutout``.
    """

    group: Literal["seg_inference", "pose_inference"]
    db: str
    image_mode: str


@dataclass(frozen=True)
class ToPredict:
    """Records and the run that their predictions go to.

    Attributes:
        records: in the order in which they are predicted.
        run: None where a new one is to be started.
        folder: of the pictures, where one was named.
    """

    records: Sequence[Record]
    run: Run | None
    folder: Path | None

    def opened(self, settings: Settings, call: Call) -> Run:
        """Return the run, started where there is none; one of a folder becomes the current one.

        Raises:
            ConfigError: the name of a new run is no name.
        """
        run = self.run or _started(settings, call)
        if self.folder is not None:
            keep_folder(run, self.folder)
            make_current(run, Path(settings.io.out_root))
        return run


def records_to_predict(folder: Path | None, asked: Asked, settings: Settings, call: Call) -> ToPredict:
    """Return the records of a folder, else of the call's run.

    Args:
        folder: of pictures; None takes the run's query, or the folder that the run was started with.
        asked: what the stage wants of a query.
        settings: of the call.
        call: names the run.

    Raises:
        NoRunError: there is no run, or neither query nor folder in it.
        UsageError: there are no records, or the named run is of other pictures.
    """
    from agir_cvtoolkit.sources.folder import folder_records

    if folder is not None:
        return ToPredict(folder_records(folder), _run_of_folder(folder, settings, call), folder)
    run = call.open_run(settings)
    kept = kept_folder(run)
    records = folder_records(kept) if kept is not None else _queried(run, asked, settings)
    return ToPredict(records, run, None)


def kept_folder(run: Run) -> Path | None:
    """Return the folder of a run's pictures, None where it has a query or nothing."""
    folder = read_json_object(run.path(*_PLACE)).get("folder")
    return Path(folder) if isinstance(folder, str) else None


def keep_folder(run: Run, folder: Path) -> None:
    """Remember the folder of a run's pictures."""
    write_json(run.path(*_PLACE), {"folder": str(folder.resolve())})


def _queried(run: Run, asked: Asked, settings: Settings) -> Sequence[Record]:
    query_dir = run.path("query")
    if not _has_query(run):
        raise NoRunError(
            f"run {run.run_id} has no query result",
            "Name a folder of pictures, or choose records first:"
            f' agir-cvtoolkit query --db {asked.db} --filters "state=NC" --limit 100',
        )
    from agir_cvtoolkit.sources import records_of

    db = queried_db(run, settings, asked.group, asked.db)
    records: Sequence[Record] = records_of(query_dir, db, asked.image_mode, settings)
    if not records:
        raise UsageError(
            f"the query of run {run.run_id} holds no records",
            f"Widen it: agir-cvtoolkit query --db {asked.db} --limit 100",
        )
    return records


def _has_query(run: Run) -> bool:
    return any(run.path("query", name).is_file() for name in _QUERY_FILES)


def _run_of_folder(folder: Path, settings: Settings, call: Call) -> Run | None:
    """Return the run that a folder's predictions go to; None where a new one is to be started.

    Raises:
        UsageError: the named run is of other pictures.
    """
    out_root = Path(settings.io.out_root)
    named = call.run or "/".join(part for part in (settings.project.name, settings.project.subname) if part)
    if named and named not in list_runs(out_root):
        return None
    try:
        run = open_run(out_root, named or None)
    except NoRunError:
        return None
    known = kept_folder(run)
    if known == folder.resolve():
        return run
    if not named:
        return None
    if known is None and not _has_query(run):
        return run
    raise UsageError(
        f"run {run.run_id} is of other pictures: {known or 'those of its query'}",
        "Name another run, or leave out --run to start one.",
    )


def _started(settings: Settings, call: Call) -> Run:
    out_root = Path(settings.io.out_root)
    if call.run is None:
        return start_run(out_root, settings.project.name, settings.project.subname)
    parts = call.run.split("/")
    if len(parts) > 2 or not all(parts):
        raise ConfigError(f"run '{call.run}' cannot be started", "Name it like name or name/subname.")
    return start_run(out_root, *parts)
