"""A look at captures that wait: their pictures fetched, their poses predicted, a batch chosen. Nothing is taken.

Whoever looks holds no capture, so that a killed look leaves none behind, and other transfers go on beside it. What was
chosen is taken by the transfer that follows; what was not stays in the queue as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import PictureError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.records import FieldValue, Record
from agir_cvtoolkit.runs import Run, discard, start_run, write_bytes

from ._batch import CHOICES, FOLDER, entries_to_push, has_batch
from ._call import Call
from ._capture_window import Window, window_of
from ._retrain_pictures import MISSING, FetchedPicture, fetch_pictures, no_room
from ._select_write import read_choices
from ._transfer_options import PRIORITY
from ._transfer_picture import prepared
from ._transfer_probe import PictureProbe
from ._transfer_tally import Tally
from .infer_pose import infer_records, open_pose_predictor
from .select import select

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore

_PICTURES = "captures"
_log = logging.getLogger(__name__)


class CaptureLook:
    """Looks at captures that wait.

    Args:
        call: of the stages.
        settings: of the call; their group ``firebase`` has what the call gave.
        run: where what is looked at goes; started when there is something.
        store: where the captures wait.
        model: as ``pose_inference.model`` takes it.
        rules: overrides of ``select``.
    """

    def __init__(
        self,
        call: Call,
        settings: Settings,
        run: Run,
        store: CaptureStore,
        model: str,
        rules: tuple[str, ...] = (),
    ) -> None:
        self._call, self._settings, self._run, self._store = call, settings, run, store
        self._model, self._rules = model, rules

    def window(self, size: int, priority: int = PRIORITY) -> Window:
        """Return the captures that a look would be about; what nobody could take is mended before."""
        self._store.adopt()
        self._store.release_expired(datetime.now(UTC))
        io = self._settings.io
        with Ledger.open_to_read(io.ledger_url, io.out_root) as ledger:
            seen = ledger.looked_at(self._store.place)
        return window_of(self._store, seen, priority, size)

    def choose(self, window: Window, wanted: int) -> tuple[str, ...]:
        """Predict what is in a window and choose of it; called again with the same one it chooses the same.

        Returns:
            The ids of what was chosen, the first choice first.

        Raises:
            RemoteError: the store fails.
            UsageError: no picture is where many are looked for.
            AgirError: whatever prediction and choice raise.
        """
        captures = {one.capture_id: one for one in window.captures}
        found, reasons = fetch_pictures(self._store, list(captures), self._settings, self._call.progress)
        name, _, part = self._run.run_id.partition("/")
        start_run(self._settings.io.out_root, name, part or None, current=False)
        records, broken = self._laid(captures, found)
        self._refuse(
            captures, {i: why for i, why in reasons.items() if why != no_room(self._settings)} | broken
        )
        if not records:
            return ()
        predicting = self._calling(
            f"pose_inference.model={self._model}", "pose_inference.output.save_images=true"
        )
        predictor = open_pose_predictor(predicting.settings())
        infer_records(self._run, records, predictor, predicting)
        discard(self._run.path(_PICTURES))
        select(wanted, call=self._calling("select.unit=picture", *self._rules))
        return chosen_captures(self._run)

    def _calling(self, *overrides: str) -> Call:
        call = self._call
        return replace(call, run=self._run.run_id, overrides=(*call.overrides, *overrides))

    def _laid(
        self, captures: Mapping[str, Capture], found: Mapping[str, FetchedPicture]
    ) -> tuple[list[Record], dict[str, str]]:
        """Lay pictures into the run as a transfer would; return their records, and what is wrong with the others."""
        group = self._settings.firebase
        records, broken = [], {}
        for capture_id in sorted(found):
            capture = captures[capture_id]
            try:
                picture = prepared(
                    found[capture_id].path.read_bytes(),
                    strip=group.strip_metadata,
                    max_pixels=group.max_megapixels * 1e6,
                )
            except PictureError as error:
                broken[capture_id] = error.problem
                continue
            path = self._run.path(_PICTURES, f"{capture.stem}{picture.original_suffix}")
            write_bytes(path, picture.original)
            values: dict[str, FieldValue] = {
                "capture_id": capture_id,
                "priority": capture.priority,
                "confidence": capture.confidence,
                "device": capture.device_id,
                "joint_group": capture.joint_group,
            }
            records.append(Record(capture.stem, path, values=values))
        return records, broken

    def _refuse(self, captures: Mapping[str, Capture], reasons: Mapping[str, str]) -> None:
        """Let captures fail whose pictures are broken, or missing for too long, so that they hold up nobody."""
        group = self._settings.firebase
        probe = PictureProbe(self._store, self._settings.io.out_root, group.picture_grace_s)
        wrong = {
            capture_id: why
            for capture_id, why in reasons.items()
            if why != MISSING or probe.late_until(captures[capture_id]) is None
        }
        if not wrong:
            return
        if not probe.finds_any(captures.values()):
            tally = Tally()
            probe.tell(tally)
            if tally.error is not None:
                raise tally.error
            return
        for capture_id, why in wrong.items():
            # As it was read: what another has taken meanwhile is that one's.
            if self._store.fail(captures[capture_id], why) is not None:
                _log.warning("capture %s failed: %s", capture_id, why)


def chosen_captures(run: Run) -> tuple[str, ...]:
    """Return the ids of the captures that were chosen in a run, the first choice first."""
    if not has_batch(run):
        return ()
    return tuple(str(entry.label_values["capture_id"]) for entry in entries_to_push(run))


def remember(run: Run, store: CaptureStore, ledger: Ledger, told: Mapping[str, object]) -> int:
    """Tell the ledger which captures were looked at in a run and not chosen; return how many those are.

    Args:
        run: in which they were looked at.
        store: where they wait.
        ledger: of the workspace.
        told: of each, such as the round.
    """
    path = run.path(FOLDER, CHOICES)
    if not path.is_file():
        return 0
    ids = {entry.record_id: str(entry.label_values["capture_id"]) for entry in run.read_manifest()}
    details: dict[str, Mapping[str, object]] = {}
    for choice in read_choices(path):
        if not choice.chosen and choice.record_id in ids:
            details[choice.record_id] = {
                **told,
                "chosen": False,
                "rule": choice.rule,
                "score": choice.score,
                "capture": ids[choice.record_id],
                "place": store.place,
            }
    ledger.record_looks(run.run_id, details)
    return len(details)


def control_of(run: Run, chosen: Sequence[str]) -> list[str]:
    """Return the records of those captures that were drawn at random."""
    found = [one for one in read_choices(run.path(FOLDER, CHOICES)) if one.chosen and one.control]
    return sorted(one.record_id for one in found if one.record_id in set(chosen))
