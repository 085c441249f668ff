"""``fetch``: stage the pictures of a run that lie in a storage, so that they are read from this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, PictureError, UsageError
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, try_lock

from ._ahead import ahead
from ._call import Call
from ._queried import queried_db

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Fetch, Settings
    from agir_cvtoolkit.progress import Progress
    from agir_cvtoolkit.records import Record
    from agir_cvtoolkit.sources.remote import Description, Remote
    from agir_cvtoolkit.sources.staging import Cache, Staged

STAGE = "fetch"
_LOCK = "fetch.lock"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchResult:
    """What ``fetch`` did, or in a dry run would do.

    Attributes:
        total: pictures of the run that lie in a storage.
        fetched: that were brought.
        kept: that were staged already.
        failed: that cannot be brought.
        bytes_fetched: of those that were brought.
        removed: pictures that made room.
        cache: the folder.
        items: why pictures failed, by record.
    """

    run_id: str
    total: int
    fetched: int
    kept: int
    failed: int
    bytes_fetched: int
    removed: int
    cache: Path
    items: tuple[Item, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where pictures failed."""
        return AgirError.exit_code if self.failed else 0


def fetch(call: Call | None = None, *, verify: bool = False) -> FetchResult:
    """Stage the pictures of a run that lie in a storage (`io.roots`), several at a time.

    What is staged already and has not changed in the storage is kept; a picture that was cut off goes on where it
    stopped. Each is compared with the size, and where the storage knows it the checksum, of the original; its
    SHA-256 is remembered. What no run used for the longest time makes room, never what this run needs.

    Args:
        call: options; in a dry run the storage is asked and nothing is brought.
        verify: read what is staged and compare it with its SHA-256; what is damaged is brought anew.

    Raises:
        NoRunError: there is no query result.
        UsageError: the pictures do not fit the cache, or another fetch uses it.
        DataError: the disk is full.
        MissingExtraError: the library for a storage is not installed.
    """
    from agir_cvtoolkit.sources.staging import Cache

    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    wanted = _addresses(_records(run, settings))
    cache = Cache(settings.fetch.folder(Path(settings.io.out_root)))
    work = _Fetching(cache, settings.fetch, wanted, call.progress, verify=verify)
    if call.dry_run or not wanted:
        return work.result(run, dry_run=call.dry_run)
    with call.work(run, STAGE), try_lock(cache.folder / _LOCK) as mine:
        if not mine:
            raise UsageError(f"another fetch uses the cache {cache.folder}", "Wait until it has ended.")
        call.record_config(run, STAGE, settings, settings.dump("fetch", "io", "data", "project"))
        work.bring_all()
        result = work.result(run)
        run.write_metrics(STAGE, _metrics(result))
    return result


class _Fetching:
    """The pictures of one call: what is known of each, and what became of it."""

    def __init__(
        self, cache: Cache, group: Fetch, wanted: Mapping[str, str], progress: Progress, *, verify: bool
    ) -> None:
        self._cache, self._group, self._wanted, self._progress = cache, group, wanted, progress
        self._verify = verify
        self._storages = _storages(wanted)
        self._failed: list[Item] = []
        self._brought: list[Staged] = []
        self._removed = 0
        self._missing = self._survey()

    def bring_all(self) -> None:
        from agir_cvtoolkit.sources.fetching import bring

        cache, bound = self._cache, self._group.cache_bytes
        coming = sum(found.size for found in self._missing.values())
        needed = [cache.path_of(address) for address in self._wanted if address not in self._missing]
        there = sum(path.stat().st_size for path in needed if path.is_file())
        if coming + there > bound:
            raise UsageError(
                f"the pictures take {_gb(coming + there)}, and the cache {cache.folder} holds {_gb(bound)}",
                "Raise fetch.cache_gb, or query fewer records.",
            )
        self._removed = cache.make_room(coming, bound, needed)
        attempts = self._group.attempts
        work = (
            (address, partial(bring, self._storages[address], cache, address, found, attempts))
            for address, found in self._missing.items()
        )
        with self._progress.bar("Fetching", len(self._missing)) as bar:
            for address, future in ahead(work, self._group.workers):
                self._note(address, future.exception() if future is not None else None)
                if future is not None and future.exception() is None:
                    self._brought.append(future.result())
                bar.advance()
        for address in self._wanted:
            if cache.known(address) is not None:
                cache.use(address)

    def result(self, run: Run, *, dry_run: bool = False) -> FetchResult:
        failed, coming = len(self._failed), self._missing.values() if dry_run else self._brought
        return FetchResult(
            run.run_id,
            len(self._wanted),
            len(coming),
            len(self._wanted) - failed - len(coming),
            failed,
            sum(found.size for found in coming),
            self._removed,
            self._cache.folder,
            tuple(self._failed),
            dry_run=dry_run,
        )

    def _survey(self) -> dict[str, Description]:
        """Ask the storages for every picture; return those that are not staged as they are there."""
        from agir_cvtoolkit.sources.fetching import described

        attempts = self._group.attempts
        work = (
            (address, partial(described, self._storages[address], address, attempts))
            for address in self._wanted
        )
        missing = {}
        with self._progress.bar("Looking", len(self._wanted)) as bar:
            for address, future in ahead(work, self._group.workers):
                error = future.exception() if future is not None else None
                self._note(address, error)
                if future is not None and error is None and not self._is_staged(address, future.result()):
                    missing[address] = future.result()
                bar.advance()
        return missing

    def _is_staged(self, address: str, found: Description) -> bool:
        known = self._cache.known(address)
        if known is None or (known.size, known.version) != (found.size, found.version):
            return False
        return not self._verify or self._cache.is_intact(known)

    def _note(self, address: str, error: BaseException | None) -> None:
        if error is None:
            return
        if not isinstance(error, PictureError):
            raise error
        _log.warning("%s", error)
        self._failed.append(Item(self._wanted[address], "failed", str(error)))


def _storages(addresses: Mapping[str, str]) -> dict[str, Remote]:
    from agir_cvtoolkit.sources.remote import Remote, protocol_of

    opened: dict[str, Remote] = {}
    found = {}
    for address in addresses:
        protocol = protocol_of(address)
        if protocol not in opened:
            opened[protocol] = Remote(protocol)
        found[address] = opened[protocol]
    return found


def _records(run: Run, settings: Settings) -> Sequence[Record]:
    from agir_cvtoolkit.sources.records import read_records

    source = settings.seg_inference.source
    db = queried_db(run, settings, "seg_inference", source.db)
    return read_records(run.path("query"), db, source.image_mode, settings).records


def _addresses(records: Sequence[Record]) -> dict[str, str]:
    """Return the first record of each picture that lies in a storage, by address."""
    found: dict[str, str] = {}
    for record in records:
        if record.address is not None:
            found.setdefault(record.address, record.record_id)
    return found


def _metrics(result: FetchResult) -> dict[str, object]:
    names = ("total", "fetched", "kept", "failed", "bytes_fetched", "removed")
    items = [
        {"record_id": item.record_id, "outcome": item.outcome, "reason": item.reason} for item in result.items
    ]
    return {name: getattr(result, name) for name in names} | {"cache": str(result.cache), "items": items}


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
