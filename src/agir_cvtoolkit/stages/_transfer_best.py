"""A single transfer that looks at more captures than it brings, and brings the best."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import Run, discard, list_runs

from ._call import Call
from ._capture_look import CaptureLook, remember
from ._transfer_journal import finished_journals
from ._transfer_options import TransferOptions
from ._transfer_tally import TransferResult
from ._transferring import Transfer
from .infer_pose import CHAMPION

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore


def transfer_best(
    call: Call,
    settings: Settings,
    store: CaptureStore,
    options: TransferOptions,
    look_at: int,
    *,
    patient: bool,
) -> TransferResult:
    """End what was begun, then look at captures that wait and bring those that the model in service doubts most.

    Args:
        call, settings, store, options: of the transfer.
        look_at: so many captures are looked at.
        patient: wait for people and for a model, see `firebase_transfer`.

    Raises:
        UsageError: no pose model has been promoted, and not `patient`.
        AgirError: as `firebase_transfer`.
    """
    if patient and not _has_model(settings):
        return Transfer(call, settings, store, options).run()
    if patient and (busy := _with_people(settings, store)):
        return replace(Transfer(call, settings, store, options, lambda wanted: None).run(), with_people=busy)
    out_root = Path(settings.io.out_root)
    run_id = f"look-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    run = Run(run_id, out_root / run_id)
    chosen: list[str] = []

    def choose(wanted: int) -> TransferOptions | None:
        look = CaptureLook(call, settings, run, store, f"'{settings.pose_inference.model}'")
        window = look.window(look_at, options.priority)
        chosen[:] = look.choose(window, wanted) if window.is_worth_a_look else ()
        return replace(options, only=tuple(chosen), chosen_in=run.run_id) if chosen else None

    passed_over = 0
    try:
        result = Transfer(call, settings, store, options, choose).run()
        if run.manifest_path.is_file():
            with Ledger.open(settings.io.ledger_url, out_root) as ledger:
                passed_over = remember(run, store, ledger, {})
    finally:
        if not chosen:
            discard(run.root)  # what was looked at, if anything, the ledger knows
    return replace(result, passed_over=passed_over)


def _has_model(settings: Settings) -> bool:
    if settings.pose_inference.model != CHAMPION:
        return True
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        return ledger.champion("pose") is not None


def _with_people(settings: Settings, store: CaptureStore) -> int:
    """Return how many captures of the batch that was chosen last people have not finished."""
    out_root = Path(settings.io.out_root)
    for journal in finished_journals(out_root, reversed(list_runs(out_root))):
        if journal.options.chosen_in and journal.place == store.place:
            return sum(one.status == "in_progress" for one in store.get(journal.options.only).values())
    return 0
