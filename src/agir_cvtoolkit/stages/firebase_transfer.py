"""``firebase transfer``: bring the most uncertain captures to the people who correct them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.runs import Run, list_runs

from ._call import Call
from ._transfer_delivery import check_rsync
from ._transfer_journal import STAGE, Journal
from ._transfer_manifest import MANIFEST, read_transfer_manifest
from ._transfer_options import (
    LIMIT,
    PRIORITY,
    TransferOptions,
    check_look_at,
    made_folder,
    transfer_options,
    with_given,
)
from ._transfer_probe import LOOKED_AT, PictureProbe
from ._transfer_tally import Tally, TransferResult, result_of
from ._transferring import Transfer

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore

__all__ = [
    "LIMIT",
    "PRIORITY",
    "STAGE",
    "TransferOptions",
    "TransferResult",
    "end_interrupted",
    "firebase_transfer",
    "transfer_chosen",
]


def firebase_transfer(
    call: Call | None = None,
    *,
    service_account: Path | str | None = None,
    limit: int = LIMIT,
    priority: int = PRIORITY,
    look_at: int | None = None,
    output_dir: Path | str | None = None,
    gpusrv_host: str | None = None,
    dataset_name: str | None = None,
    create_task: bool | None = None,
    deliver: str | None = None,
    strip_metadata: bool | None = None,
    bucket: str | None = None,
    image_path: str | None = None,
    database: str | None = None,
    patient: bool = False,
) -> TransferResult:
    """Bring waiting captures into a folder, and into CVAT with the device's key points as pre-annotations.

    Captures are taken with a lease, highest priority first, oldest first at equal priority, so that of several
    transfers each brings others. A picture that is missing or broken makes its capture ``failed``, with the
    reason, and the next one takes its place; where no picture at all is found, nothing is taken. A call that was
    killed is ended by the next one in this workspace: its captures count for the limit; what is not ended goes back
    to the queue when its lease ends.

    Args:
        call: the common options.
        service_account: key file of Google Cloud; None takes the setting, then GOOGLE_APPLICATION_CREDENTIALS.
        limit: pictures to bring, at most.
        priority: lowest priority that is taken, 1 to 10.
        look_at: so many that wait are looked at and those are brought that ``select`` chooses by what the model in
            service says of them; None brings those that are first in the queue.
        output_dir: where pictures and ``transfer_manifest.json`` go; like all that follows None takes the setting.
        gpusrv_host: where CVAT answers, and where the files are delivered to.
        dataset_name: name of the CVAT task; None is ``pose_estimation_<YYYYMMDD_HHMM>``.
        create_task: make a CVAT task; None does so where credentials for CVAT are configured.
        deliver: ``rsync`` sends the files to `gpusrv_host`; ``none`` leaves them here.
        strip_metadata: remove place, owner and serial numbers from the pictures.
        bucket: of Cloud Storage.
        image_path: of a capture's picture in the bucket, with ``{pose_id}``.
        database: of Firestore.
        patient: with `look_at`, as a watch wants it: nothing is chosen while people are at the batch that was chosen
            before, else the watch would bring what it has just passed over; and while no model is in service the
            first in the queue are brought, since there will be none without labels.

    Raises:
        UsageError: the folder cannot be written to, an option is out of its range, rsync is missing, no picture is
            where many are looked for, or with `look_at` no pose model has been promoted, unless `patient`.
        ConfigError: no credentials, or wrong settings.
        RemoteError: the store, the other machine or CVAT fails before anything could be brought.
        DataError: the folder's manifest is damaged.
    """
    call = call or Call()
    if call.run is not None:
        raise UsageError("firebase transfer starts a run of its own", "Leave --run out.")
    settings = call.settings()
    group = with_given(
        settings.firebase,
        output_dir=None if output_dir is None else str(output_dir),
        gpusrv_host=gpusrv_host,
        deliver=deliver,
        strip_metadata=strip_metadata,
        storage_bucket=bucket,
        image_path=image_path,
        database=database,
    )
    options = transfer_options(
        settings, group, limit=limit, priority=priority, dataset_name=dataset_name, create_task=create_task
    )
    check_look_at(look_at, limit)
    if not call.dry_run:
        _check_ways(options)
    from agir_cvtoolkit.firebase import open_store

    key = None if service_account is None else Path(service_account).expanduser()
    with closing(open_store(group, service_account=key)) as store:
        if call.dry_run:
            shown = options if look_at is None else replace(options, limit=look_at)
            return _planned(store, shown, Path(settings.io.out_root), group.picture_grace_s, limit)
        given = settings.model_copy(update={"firebase": group})
        if look_at is not None:
            from ._transfer_best import transfer_best

            return transfer_best(call, given, store, options, look_at, patient=patient)
        return Transfer(call, given, store, options).run()


def transfer_chosen(call: Call, capture_ids: Sequence[str], chosen_in: str) -> TransferResult:
    """Bring captures that were chosen, as far as they still wait, as `firebase_transfer` brings those first in the queue.

    Args:
        call: the common options.
        capture_ids: in the order in which they are taken.
        chosen_in: the run in which they were chosen; the transfer's own run remembers it.

    Raises:
        AgirError: as `firebase_transfer`.
    """
    from agir_cvtoolkit.firebase import open_store

    settings = call.settings()
    options = _chosen_options(settings, capture_ids, chosen_in)
    _check_ways(options)
    with closing(open_store(settings.firebase)) as store:
        return Transfer(call, settings, store, options).run()


def end_interrupted(call: Call, chosen_in: str) -> None:
    """End the transfers that were killed of captures that were chosen in a run.

    Raises:
        UsageError: another process is at one of them.
        AgirError: as `firebase_transfer`.
    """
    settings = call.settings()
    out_root = Path(settings.io.out_root)

    def left() -> list[Journal]:
        runs = [Run(run_id, out_root / run_id) for run_id in list_runs(out_root)]
        journals = [journal for run in runs if (journal := Journal.read(run)) is not None]
        return [journal for journal in journals if journal.options.chosen_in == chosen_in]

    if not (interrupted := left()):
        return
    from agir_cvtoolkit.firebase import open_store

    tally = Tally()
    with closing(open_store(settings.firebase)) as store:
        for journal in interrupted:
            options = _chosen_options(settings, journal.options.only, chosen_in)
            transfer = Transfer(call, settings, store, options)
            transfer.end_interrupted([journal.run])
            tally = transfer.tally
            if tally.error is not None:
                raise tally.error
    if still := left():
        said = [item.reason for item in tally.items if item.outcome == "interrupted"]
        raise UsageError(
            f"the transfer of run {still[0].run.run_id} was interrupted and could not be ended"
            + (f": {said[0]}" if said else ", since another process is at it, or it is of another store"),
            "Start the same command again when that is over.",
        )


def _chosen_options(settings: Settings, capture_ids: Sequence[str], chosen_in: str) -> TransferOptions:
    """Return the options of a transfer of captures that were chosen."""
    options = transfer_options(
        settings,
        settings.firebase,
        limit=max(1, len(capture_ids)),
        priority=1,
        dataset_name=None,
        create_task=None,
    )
    return replace(options, only=tuple(capture_ids), chosen_in=chosen_in)


def _check_ways(options: TransferOptions) -> None:
    """Find out what would fail before any capture is taken."""
    made_folder(options.output_dir)
    read_transfer_manifest(options.output_dir / MANIFEST)
    if options.deliver == "rsync":
        check_rsync()


def _planned(
    store: CaptureStore, options: TransferOptions, out_root: Path, grace_s: float, limit: int
) -> TransferResult:
    """Return what would be transferred: of more than `limit` that would be looked at nobody knows which yet."""
    waiting = store.pending(options.priority, options.limit)
    tally = Tally()
    probe = PictureProbe(store, out_root, grace_s)
    if probe.finds_any(waiting[:LOOKED_AT]):
        tally.transferred = [capture.capture_id for capture in waiting]
    probe.tell(tally)
    if tally.error is not None:
        raise tally.error
    for capture in waiting:
        for problem in capture.problems:
            tally.note(capture.capture_id, "noted", problem)
    result = result_of(store, options, tally, None, dry_run=True)
    brought = min(limit, result.transferred)
    return replace(result, transferred=brought, passed_over=result.transferred - brought)
