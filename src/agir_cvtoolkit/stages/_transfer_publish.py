"""Captures that lie here: told to the folder's manifest, the other machine, CVAT, the store and the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.errors import DataError, NotFoundError, UsageError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, write_text

from ._call import Call
from ._transfer_delivery import deliver
from ._transfer_fetch import Fetching
from ._transfer_journal import STAGE
from ._transfer_manifest import entry_of, merge_entries

if TYPE_CHECKING:
    from ._push_result import UploadResult

_PUSH_PAUSE_S = 0.5


def publish(work: Fetching, call: Call, settings: Settings, project_name: str) -> None:
    """Bring what was fetched to the annotators, then say so in the store.

    A capture whose claim was lost on the way, since this process was away for longer than its lease, is another's:
    what lies here of it is removed. When the other machine or CVAT fails, the run stays open and the next call
    ends it.

    Raises:
        RemoteError: rsync, CVAT or the store fails.
    """
    _drop_lost(work)
    if work.ready:
        try:
            write_run_manifest(work)
            _tell_folder(work)
            _deliver(work)
        except BaseException:
            # Nothing is in CVAT yet, so others may have them; the next call takes them again from where they lie.
            work.claims.release_all()
            raise
        try:
            _push(work, call, settings, project_name)
        except DataError:
            # What was sent has been taken back, and the next try would end the same: nobody shall wait for that.
            work.claims.release_all()
            raise
        _finish(work, settings)
    record(work, settings)


def _tell_folder(work: Fetching) -> None:
    folder, steps = work.journal.options.output_dir, work.journal.steps
    queued = sorted(work.ready.values(), key=lambda c: (-c.priority, c.timestamp, c.capture_id))
    merge_entries(folder, [entry_of(c, folder / steps[c.capture_id].picture) for c in queued])


def _drop_lost(work: Fetching) -> None:
    work.claims.renew_due()
    held = work.claims.held()
    for capture_id in [capture_id for capture_id in work.ready if capture_id not in held]:
        _lose(work, capture_id)


def _lose(work: Fetching, capture_id: str) -> None:
    work.withdraw(capture_id)
    work.tally.note(capture_id, "lost", "another transfer has taken it, since this one was away for too long")


def take_back(run: Run, settings: Settings, record_ids: Iterable[str]) -> None:
    """Take records out of the tasks that a run made of them: they are another's now, and shall not be there twice.

    Raises:
        RemoteError: CVAT fails; the next call tries it again.
    """
    wanted = list(record_ids)
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        places = [place for record_id in wanted for place in ledger.frames_of_record(record_id)]
    places = [place for place in places if place.run_id == run.run_id and place.task_id is not None]
    if not places:
        return
    from agir_cvtoolkit.cvat import forget_frame

    from ._connect import connect

    session = connect(settings, "cvat_upload", None, writes="firebase transfer").session
    for place in places:
        if place.server == session.url and place.task_id is not None:
            with suppress(NotFoundError):
                forget_frame(session.in_organization(place.organization), place.task_id, place.frame)


def write_run_manifest(work: Fetching) -> None:
    """Write the run's manifest, the worst first."""
    entries = sorted(_entries(work).values(), key=_worst_first)
    write_text(work.journal.run.manifest_path, "".join(f"{entry.to_json()}\n" for entry in entries))
    work.written = len(entries)


def _worst_first(entry: ManifestEntry) -> tuple[float, float, str]:
    priority = entry.label_values.get("priority")
    return -entry.uncertainty, -float(priority or 0), entry.record_id


def _entries(work: Fetching) -> Mapping[str, ManifestEntry]:
    """Return the entries of all captures that are or were ready in this run, by id."""
    steps = work.journal.steps
    return {
        capture_id: step.entry
        for capture_id, step in steps.items()
        if step.entry is not None and (capture_id in work.ready or step.step == "finished")
    }


def _deliver(work: Fetching) -> None:
    options = work.journal.options
    if options.deliver == "rsync":
        steps = work.journal.steps
        deliver(options.output_dir, [steps[i].picture for i in work.ready], options.gpusrv_host)


def _push(work: Fetching, call: Call, settings: Settings, project_name: str) -> None:
    options = work.journal.options
    if not options.create_task:
        return
    result = _pushed(work, call, settings, project_name)
    work.tally.tasks += [task.task_url for task in result.tasks]
    by_stem = {capture.stem: capture_id for capture_id, capture in work.ready.items()}
    # A device that sends one photograph twice is nothing that a query or the name of a task could mend.
    again = {one.record_id: by_stem.get(one.picture_of, one.picture_of) for one in result.other_proposals}
    for item in result.items:
        capture_id = by_stem.get(item.record_id)
        if capture_id is None:
            continue
        reason = (
            f"its picture is that of capture '{again[item.record_id]}', which is being corrected"
            if item.record_id in again
            else f"CVAT: {item.reason}"
        )
        work.claims.fail(capture_id, reason)
        work.withdraw(capture_id)
        work.tally.note(capture_id, "failed", reason)


def _pushed(work: Fetching, call: Call, settings: Settings, project_name: str) -> UploadResult:
    from ._pose_push import push_pose_run

    name = work.journal.options.dataset_name
    while True:
        try:
            return push_pose_run(call, settings, work.journal.run, task_name=name, project_name=project_name)
        except UsageError as error:
            # Another transfer of this minute has the same name for its task; the leases are renewed meanwhile.
            if not error.problem.startswith("another upload-cvat is pushing"):
                raise
        time.sleep(_PUSH_PAUSE_S)


def _finish(work: Fetching, settings: Settings) -> None:
    """Tell the store; what was told before, by a call that was killed, counts too."""
    journal, when = work.journal, datetime.now(UTC)
    journal.advance(work.ready, "finishing")

    told = work.claims.transferred(work.ready, when)
    journal.advance(told, "finished")
    lost = work.ready.keys() - told
    if lost and journal.options.create_task:
        take_back(journal.run, settings, [work.ready[capture_id].stem for capture_id in lost])
    for capture_id in lost:
        _lose(work, capture_id)
    entries = _entries(work)
    work.tally.transferred += sorted(told, key=lambda i: _worst_first(entries[i]))


def record(work: Fetching, settings: Settings) -> None:
    """Write the ledger and the figures of the run, and close its journal."""
    run, options = work.journal.run, work.journal.options
    entries = _entries(work)
    if len(entries) != work.written:
        write_run_manifest(work)
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        ledger.record_predictions(run.run_id, [(entry, None) for entry in entries.values()])
        ledger.record_transfers(
            run.run_id,
            {
                entry.record_id: {"capture": capture_id, "file": entry.source_path, "place": work.store.place}
                for capture_id, entry in entries.items()
            },
        )
    tally = work.tally
    run.write_metrics(
        STAGE,
        {
            "transferred": len(entries),
            "failed": tally.count("failed"),
            "returned": tally.count("returned"),
            "output_dir": str(options.output_dir),
            "dataset_name": options.dataset_name,
            "tasks": tally.tasks,
            "items": [asdict(item) for item in tally.items],
        },
    )
    run.mark_done(STAGE, work.journal.owner)
    work.journal.finish()
