"""Captures that transfers brought into a push: when its tasks are undone they go back to the queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import UsageError

from ._transfer_journal import Journal, finished_journals
from ._transfer_withdrawal import take_out_of_run

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.firebase import CaptureStore

_AGAIN = 3
"""So often a capture is tried anew that something harmless has changed meanwhile, such as the device's own write."""


@dataclass(frozen=True)
class _Brought:
    journal: Journal
    capture_id: str


@dataclass
class BroughtCaptures:
    """Captures in the tasks of a push whose transfers made these tasks themselves.

    Attributes:
        store: where they are; None where there are none.
        given_back: ids of those that wait again, or in a dry run would.
    """

    store: CaptureStore | None = None
    given_back: list[str] = field(default_factory=list)
    _by_record: Mapping[str, _Brought] = field(default_factory=dict)

    @classmethod
    def of_runs(
        cls, settings: Settings, run_ids: Iterable[str], service_account: Path | None
    ) -> BroughtCaptures:
        """Find the captures of runs, and connect to their store.

        Raises:
            UsageError: they are in another store than the configured one.
            DataError: the journal of a run is damaged.
            RemoteError: the store cannot be reached.
        """
        by_record = _finished(Path(settings.io.out_root), run_ids)
        if not by_record:
            return cls()
        from agir_cvtoolkit.firebase import open_store

        store = open_store(settings.firebase, service_account=service_account)
        for place in {brought.journal.place for brought in by_record.values()} - {store.place}:
            where = store.place
            store.close()
            raise UsageError(
                f"its captures are in {place}, and the configured store is {where}",
                "Configure that store, or leave its captures as they are: --keep-captures",
            )
        store.get(
            [next(iter(by_record.values())).capture_id]
        )  # a store that is away is told before anything is gone
        return cls(store, [], by_record)

    def give_back(self, record_ids: Iterable[str], *, dry_run: bool) -> None:
        """Let captures wait again that are as their transfer has left them; what lies here of them goes.

        Called again it ends what was begun: who waits, or is another's by now, stays so.

        Raises:
            RemoteError: the store fails.
        """
        brought = {b.capture_id: b.journal for i in record_ids if (b := self._by_record.get(i)) is not None}
        if self.store is None or not brought:
            return
        for _ in range(_AGAIN):
            mine = [c for c in self.store.get(brought).values() if _is_as_left(c, brought[c.capture_id])]
            done = [capture.capture_id for capture in mine] if dry_run else self.store.requeue(mine)
            self.given_back += done
            if len(done) == len(mine):
                break
        if dry_run:
            return
        corrected = {i for i, found in self.store.get(brought).items() if found.status == "completed"}
        for journal in {id(journal): journal for journal in brought.values()}.values():
            take_out_of_run(
                journal, [i for i, own in brought.items() if own is journal and i not in corrected]
            )

    def close(self) -> None:
        """Let go of connections."""
        if self.store is not None:
            self.store.close()


def _finished(out_root: Path, run_ids: Iterable[str]) -> dict[str, _Brought]:
    found = {}
    for journal in finished_journals(out_root, run_ids):
        if not journal.options.create_task:
            continue  # who transfers into a folder alone pushes by hand, and can do so again
        for capture_id, step in journal.steps.items():
            if step.entry is not None and step.step == "finished":
                found[step.entry.record_id] = _Brought(journal, capture_id)
    return found


def _is_as_left(capture: Capture, journal: Journal) -> bool:
    """Whether nothing has become of a capture since its transfer."""
    return (
        capture.status == "in_progress"
        and capture.claimed_by is None
        and capture.transferred_by in {None, journal.owner}
    )
