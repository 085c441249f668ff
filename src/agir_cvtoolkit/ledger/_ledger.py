"""The ledger: one database of all that happened to every picture, across runs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from agir_cvtoolkit.errors import LedgerError

from ._captures import Captures
from ._care import Care
from ._check import Check
from ._copying import keep_copy
from ._dataset_versions import DatasetVersions
from ._failures import failed
from ._frozen_splits import FrozenSplits
from ._holding import Holding
from ._in_work import InWork
from ._job_work import WorkOnJobs
from ._loops import Loops
from ._migrations import is_current, migrate
from ._models import Models
from ._opening import Place
from ._overview import Overview
from ._picture_hashes import PictureHashes
from ._places import Workspace
from ._pulls import Pulls
from ._pushes import Pushes
from ._records import Records
from ._replacements import Replacements
from ._round_evidence import RoundEvidence
from ._rounds import Rounds
from ._selections import Selections


class Ledger(
    Records,
    Care,
    Pushes,
    Replacements,
    Pulls,
    WorkOnJobs,
    Models,
    FrozenSplits,
    Captures,
    Check,
    Holding,
    DatasetVersions,
    PictureHashes,
    InWork,
    Overview,
    Rounds,
    RoundEvidence,
    Loops,
    Selections,
):
    """An open ledger; use it in a ``with`` block. A state change and its event commit together."""

    @classmethod
    def open(cls, url: str | None, out_root: Path) -> Self:
        """Open a ledger, making or migrating it when needed.

        Args:
            url: of a database, in SQLAlchemy's form; None is the SQLite file ``ledger.db`` beside `out_root`.
            out_root: the folder of all runs.

        Raises:
            ConfigError: the URL cannot be understood.
            LedgerError: it cannot be opened, is damaged, or was written by a newer version.
        """
        place = Place.find(url, out_root)
        place.make_folder()
        return cls._at(place, url, out_root)

    @classmethod
    def open_to_read(cls, url: str | None, out_root: Path) -> Self:
        """Open a ledger without waiting for those who write; where there is none, an empty one in memory.

        A ledger of an earlier version is migrated first, as `open` does.

        Raises:
            ConfigError: the URL cannot be understood.
            LedgerError: it cannot be opened, is damaged, or was written by a newer version.
        """
        place = Place.find(url, out_root, to_read=True)
        if not place.is_taken():
            return cls._at(Place.find("sqlite://", out_root), "sqlite://", out_root)
        try:
            current = is_current(place.engine)
        except SQLAlchemyError as error:
            place.engine.dispose()
            raise failed(place.name, error) from error
        if current:
            return cls(place.engine, place.name, Workspace.here(out_root))
        place.engine.dispose()
        return cls._at(Place.find(url, out_root), url, out_root)

    @classmethod
    def is_there(cls, url: str | None, out_root: Path) -> bool:
        """Whether a ledger was made before.

        Raises:
            ConfigError: the URL cannot be understood.
            LedgerError: the database cannot be reached.
        """
        place = Place.find(url, out_root, to_read=True)
        try:
            return place.is_taken()
        finally:
            place.engine.dispose()

    @classmethod
    def _at(cls, place: Place, url: str | None, out_root: Path) -> Self:
        try:
            migrate(place.engine, lambda name: keep_copy(url, out_root, name))
        except SQLAlchemyError as error:
            place.engine.dispose()
            raise failed(place.name, error) from error
        except LedgerError:
            place.engine.dispose()
            raise
        return cls(place.engine, place.name, Workspace.here(out_root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()
