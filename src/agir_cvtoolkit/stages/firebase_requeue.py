"""``firebase requeue``: captures that failed by mistake wait again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.records import Item

from ._call import Call
from ._transfer_withdrawal import EarlierTransfers

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.firebase import CaptureStore

_AT_ONCE = 300


@dataclass(frozen=True)
class RequeueResult:
    """What ``firebase requeue`` did, or in a dry run would do.

    Attributes:
        place: of the store.
        captures: ids of those that wait again.
        reasons: why they had failed, by id.
        items: those that were named and stay as they are, with the reason.
    """

    place: str
    captures: tuple[str, ...]
    reasons: Mapping[str, str] = field(hash=False)
    items: tuple[Item, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 where some stay as they are, 4 where all do."""
        if not self.items:
            return 0
        return 1 if self.captures else DataError.exit_code


def firebase_requeue(
    call: Call | None = None,
    *,
    captures: Sequence[str] = (),
    failed: bool = False,
    foreign: bool = False,
    again: bool = False,
    service_account: Path | str | None = None,
) -> RequeueResult:
    """Put captures back into the queue, as if they had come just now.

    A capture fails where its picture is missing or broken, and stays so that it blocks no queue. Once its picture is
    there (or ``firebase.image_path`` is right) this makes it wait again; so it does with a capture whose status is a
    foreign word. What a transfer holds is left to it, and what is corrected stays corrected.

    Args:
        call: the common options.
        captures: their ids.
        failed: all that failed, in place of `captures`.
        foreign: all whose status is a foreign word, in place of `captures`; or with `failed`.
        again: also those of `captures` that were transferred: their task is gone, and nobody will correct them.
            They leave the run and the folder that they were brought into, as they do with `undo`.
        service_account: as for `firebase_transfer`.

    Raises:
        UsageError: captures are neither named nor described, or both, or `again` without `captures`.
        DataError: the journal of a run is damaged (with `again`).
        RemoteError: the store fails; what it did before that is done.
    """
    call = call or Call()
    if bool(captures) == (failed or foreign):
        raise UsageError(
            "which captures shall wait again?",
            "Name them, or say --failed for all that failed, --foreign for all whose status is a foreign word.",
        )
    if again and not captures:
        raise UsageError("--again is about captures that are named", "Name them in place of --failed.")
    settings = call.settings()
    from agir_cvtoolkit.firebase import open_store

    key = None if service_account is None else Path(service_account).expanduser()
    with closing(open_store(settings.firebase, service_account=key)) as store:
        earlier = EarlierTransfers(Path(settings.io.out_root), store.place) if again else None
        items: list[Item] = []
        described = chain(store.failed() if failed else (), store.foreign() if foreign else ())
        chosen = _named(store, captures, items, again=again) if captures else described
        done: dict[str, str] = {}
        left = iter(chosen)
        while some := list(islice(left, _AT_ONCE)):
            ids = [one.capture_id for one in some] if call.dry_run else store.requeue(some)
            reasons = {one.capture_id: one.reason or _foreign_word(one) for one in some}
            done |= {capture_id: reasons[capture_id] for capture_id in ids}
            items += [
                Item(one, "failed", "it changed in the same moment; try again")
                for one in reasons
                if one not in done
            ]
        if earlier is not None and not call.dry_run:
            # Of those that waited already too: an earlier call may have been stopped before it came to this.
            waiting = [i for i, found in store.get(captures).items() if found.status == "pending"]
            earlier.take_out(waiting)
        return RequeueResult(store.place, tuple(done), done, tuple(items), dry_run=call.dry_run)


def _foreign_word(capture: Capture) -> str:
    return next((said for said in capture.problems if said.startswith("status ")), "")


def _named(
    store: CaptureStore, wanted: Iterable[str], items: list[Item], *, again: bool
) -> Iterator[Capture]:
    left = iter(dict.fromkeys(wanted))
    while some := list(islice(left, _AT_ONCE)):
        known = store.get(some)
        for capture_id in some:
            reason = _unfit(known.get(capture_id), again=again)
            if reason is None:
                yield known[capture_id]
            else:
                items.append(Item(capture_id, "skipped", reason))


def _unfit(capture: Capture | None, *, again: bool) -> str | None:
    """Return why a capture cannot wait again; None where it can."""
    if capture is None:
        return "there is no such capture"
    if capture.status == "pending" and not any(p.startswith("status ") for p in capture.problems):
        return "it waits already"
    if capture.status == "completed":
        return "it is corrected"
    if capture.claimed_until is not None and capture.claimed_until > datetime.now(UTC):
        return f"{capture.claimed_by} has it until {capture.claimed_until:%Y-%m-%d %H:%M:%S} UTC"
    if capture.status == "in_progress" and not again:
        return "it was transferred and waits for its correction; where its task is gone say --again"
    return None
