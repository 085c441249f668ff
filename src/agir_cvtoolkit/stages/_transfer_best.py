"""A single transfer that looks at more captures than it brings, and brings the best."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import Run, discard

from ._call import Call
from ._capture_look import CaptureLook, remember
from ._transfer_options import TransferOptions
from ._transfer_tally import TransferResult
from ._transferring import Transfer

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore


def transfer_best(
    call: Call, settings: Settings, store: CaptureStore, options: TransferOptions, look_at: int
) -> TransferResult:
    """End what was begun, then look at captures that wait and bring those that the model in service doubts most.

    Raises:
        UsageError: no pose model has been promoted.
        AgirError: as `firebase_transfer`.
    """
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
