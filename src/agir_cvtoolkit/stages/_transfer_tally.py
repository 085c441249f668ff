"""What became of the captures of a transfer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, RemoteError
from agir_cvtoolkit.records import Item

from ._transfer_manifest import MANIFEST
from ._transfer_options import TransferOptions

if TYPE_CHECKING:
    from agir_cvtoolkit.firebase import CaptureStore
    from agir_cvtoolkit.runs import Run


@dataclass(frozen=True)
class TransferResult:
    """What ``firebase transfer`` did, or in a dry run would do.

    Attributes:
        place: of the store.
        run_id: of the newest run that this call worked on; None where nothing was waiting.
        transferred: captures that now lie in the folder, and in CVAT where a task was wanted.
        resumed: of these, those that an earlier call, which was killed, had begun.
        failed: captures whose picture is missing or broken; `firebase_requeue` offers them again.
        returned: captures that went back to the queue, since the store or the storage failed.
        items: one entry for each that was not transferred (outcome ``waits`` where it was not taken, since no picture
            at all was found, ``late`` where it came just now and its picture not yet), and for each of which something
            was not understood (outcome ``noted``).
        captures: ids of the transferred ones, the worst first.
        tasks: addresses of the CVAT tasks.
        delivered_to: the host that the files were sent to; None where they stay.
        gpusrv_host: where CVAT answers.
        passed_over: captures that were looked at and not chosen; they wait as before.
        with_people: captures of the batch that was chosen last, on which people are: a watch chooses no other
            meanwhile.
    """

    place: str
    run_id: str | None
    run_root: Path | None
    transferred: int
    resumed: int
    failed: int
    returned: int
    items: tuple[Item, ...]
    captures: tuple[str, ...]
    output_dir: Path
    manifest_path: Path
    dataset_name: str
    tasks: tuple[str, ...]
    delivered_to: str | None
    gpusrv_host: str
    dry_run: bool = False
    passed_over: int = 0
    with_people: int = 0

    @property
    def worked(self) -> bool:
        """Whether anything in the store is other than before."""
        return bool(self.transferred or self.failed)

    @property
    def waiting(self) -> int:
        """How many captures were not taken, since no picture at all was found."""
        return sum(item.outcome == "waits" for item in self.items)

    @property
    def late(self) -> int:
        """How many captures wait in the queue for their pictures."""
        return sum(item.outcome == "late" for item in self.items)

    @property
    def exit_code(self) -> int:
        """0, or 1 where a capture was not transferred whose picture should be there."""
        return 1 if any(item.outcome not in {"noted", "late"} for item in self.items) else 0


@dataclass
class Tally:
    """Counts on the way to a `TransferResult`."""

    transferred: list[str] = field(default_factory=list)
    resumed: int = 0
    items: list[Item] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    error: AgirError | OSError | None = None
    remote_errors: int = 0

    def note(self, capture_id: str, outcome: str, reason: str) -> None:
        """List a capture."""
        self.items.append(Item(capture_id, outcome, reason))

    def count(self, outcome: str) -> int:
        """Count the listed captures of an outcome."""
        return sum(item.outcome == outcome for item in self.items)

    def remote_failed(self, error: RemoteError) -> None:
        """Keep the first failure of the other side."""
        self.remote_errors += 1
        self.error = self.error or error


def result_of(
    store: CaptureStore, options: TransferOptions, tally: Tally, run: Run | None, *, dry_run: bool = False
) -> TransferResult:
    """Return what a call that brought captures from a store tells.

    Args:
        store: where they were.
        options: of the call.
        tally: of what became of them.
        run: that they are in; None where there is none.
        dry_run: nothing was done.
    """
    return TransferResult(
        place=store.place,
        run_id=run.run_id if run else None,
        run_root=run.root if run else None,
        transferred=len(tally.transferred),
        resumed=tally.resumed,
        failed=tally.count("failed"),
        returned=tally.count("returned"),
        items=tuple(tally.items),
        captures=tuple(tally.transferred),
        output_dir=options.output_dir,
        manifest_path=options.output_dir / MANIFEST,
        dataset_name=options.dataset_name,
        tasks=tuple(tally.tasks),
        delivered_to=options.gpusrv_host if options.deliver == "rsync" else None,
        gpusrv_host=options.gpusrv_host,
        dry_run=dry_run,
    )
