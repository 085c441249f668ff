"""``forget``: remove a capture everywhere it went."""

from __future__ import annotations

import logging
import secrets
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, NotFoundError, UsageError
from agir_cvtoolkit.ledger import Ledger, RecordInTask
from agir_cvtoolkit.records import file_stem

from ._call import Call
from ._forget_files import (
    delivered_to,
    folders_of,
    forget_in_folder,
    forget_in_run,
    mentions,
    redact,
    runs_of,
)
from ._retrain_pictures import cached_picture
from ._retrain_split import SPLIT
from ._transfer_options import with_given

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.cvat import CvatSession
    from agir_cvtoolkit.firebase import CaptureStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ForgetResult:
    """What ``forget`` removed, or in a dry run would remove.

    Attributes:
        removed: in words.
        left: what could not be removed, and how it can be.
    """

    capture_id: str
    removed: tuple[str, ...]
    left: tuple[str, ...]
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 1 where something is left."""
        return 1 if self.left else 0


def forget(
    capture: str,
    call: Call | None = None,
    *,
    output_dir: Path | str | None = None,
    service_account: Path | str | None = None,
) -> ForgetResult:
    """Remove a capture everywhere it went: CVAT, the folders, the runs, the ledger, the store.

    CVAT keeps the picture of a frame that was taken out of a task until the task is deleted; a task that shows
    nothing else is deleted. What has learned from the capture stays, and is listed. Called again after it was
    stopped it removes the rest: the store goes last.

    Args:
        capture: its id.
        call: with ``dry_run`` nothing is removed.
        output_dir: a further folder that it was transferred to; the known ones are looked through anyway.
        service_account: as for `firebase_transfer`.

    Raises:
        UsageError: nothing is known of it.
        RemoteError: the store fails; what was removed until then is removed.
    """
    call = call or Call()
    settings = call.settings()
    group = with_given(settings.firebase, output_dir=None if output_dir is None else str(output_dir))
    from agir_cvtoolkit.firebase import open_store

    key = None if service_account is None else Path(service_account).expanduser()
    with closing(open_store(group, service_account=key)) as store:
        work = _Forgetting(capture, settings, store, dry_run=call.dry_run)
        work.in_cvat()
        work.in_files(Path(group.output_dir).expanduser())
        work.in_ledger()
        work.in_store()
    if not work.removed and not work.left:
        raise UsageError(
            f"nothing is known of capture '{capture}'", "Check its id: firebase status lists devices."
        )
    return ForgetResult(capture, tuple(work.removed), tuple(work.left), call.dry_run)


class _Forgetting:
    def __init__(self, capture_id: str, settings: Settings, store: CaptureStore, *, dry_run: bool) -> None:
        self.capture_id, self.settings, self.store, self.dry_run = capture_id, settings, store, dry_run
        self.record_id = file_stem(capture_id)
        self.out_root = Path(settings.io.out_root)
        self.stand_in = f"forgotten-{secrets.token_hex(4)}"
        self.removed: list[str] = []
        self.left: list[str] = []
        self.in_reach = True

    def in_cvat(self) -> None:
        """Take the frames out of their tasks."""
        with Ledger.open_to_read(self.settings.io.ledger_url, self.out_root) as ledger:
            places = ledger.frames_of_record(self.record_id)
        for place in places:
            if place.task_id is None:
                continue
            where = place.url or f"task {place.task_id} on {place.server}"
            if self.dry_run:
                self.removed.append(f"frame {place.frame} of {where}")
                continue
            try:
                self._in_task(place, place.task_id, where)
            except NotFoundError:
                _log.info("%s is gone already", where)
            except AgirError as error:
                self.in_reach = False
                self.left.append(
                    f"frame {place.frame} of {where}, until the same command is run again: {error}"
                )

    def _in_task(self, place: RecordInTask, task_id: int, where: str) -> None:
        from agir_cvtoolkit.cvat import forget_frame

        gone = forget_frame(self._session(place), task_id, place.frame)
        if gone.with_task:
            self.removed.append(f"{where}, which showed nothing else")
            with Ledger.open(self.settings.io.ledger_url, self.out_root) as ledger:
                task = ledger.task_by_id(place.server, task_id)
                if task is not None:
                    ledger.undo_task(task)
            return
        self.removed.append(f"frame {place.frame} of {where}, with {gone.annotations} annotations")
        self.left.append(
            f"the picture itself among the data of {where}: CVAT removes it with the task only; when the work there"
            f" is done, delete it in CVAT, or with: agir-cvtoolkit undo {place.push_id}"
        )
        if gone.tracks:
            self.left.append(
                f"{gone.tracks} tracks through frame {place.frame} of {where}: delete them in CVAT"
            )

    def _session(self, place: RecordInTask) -> CvatSession:
        from agir_cvtoolkit.config import load_credentials

        from ._connect import connect

        address = load_credentials(self.settings.io.keys_file).base_url
        if address != place.server:
            raise UsageError(
                f"it lies on {place.server}", f"Set CVAT_URL={place.server}, with an account there."
            )
        return connect(self.settings, "cvat_upload", None, writes="forget").session.in_organization(
            place.organization
        )

    def in_files(self, folder: Path) -> None:
        """Remove pictures and whatever else lies in folders and runs."""
        cached = cached_picture(self.out_root, self.capture_id)
        if cached.is_file():
            self.removed.append(f"picture {cached}")
            if not self.dry_run:
                cached.unlink()
        runs = runs_of(self.out_root)
        for one in folders_of(runs, folder):
            self.removed += forget_in_folder(one, self.capture_id, dry_run=self.dry_run)
        for run in runs:
            copy = delivered_to(run, self.capture_id)
            if copy is not None:
                self.left.append(
                    f"the copy in {copy}: remove it there, with its entry in transfer_manifest.json"
                )
            self.removed += forget_in_run(run, self.capture_id, dry_run=self.dry_run)
            for path in mentions(run, self.capture_id):
                if path.suffix == ".jsonl" and self.dry_run:
                    continue
                self.removed.append(f"its name in {path}")
                if not self.dry_run:
                    redact(path, self.capture_id, self.stand_in)

    def in_ledger(self) -> None:
        """Forget its history."""
        if not self.in_reach:
            return  # where it lies in CVAT is known nowhere else
        if not Ledger.is_there(self.settings.io.ledger_url, self.out_root):
            return
        if self.dry_run:
            with Ledger.open_to_read(self.settings.io.ledger_url, self.out_root) as ledger:
                events = len(ledger.events_of_record(self.record_id))
            self.removed += [f"{events} events in the ledger"] if events else []
            return
        with Ledger.open(self.settings.io.ledger_url, self.out_root) as ledger:
            rows = ledger.forget_record(self.record_id, self.stand_in)
            rows += ledger.forget_split_member(SPLIT, self.record_id)
        self.removed += [f"{rows} rows in the ledger"] if rows else []

    def in_store(self) -> None:
        """Remove the capture, its picture and its corrections."""
        corrections = self.store.labeled([self.capture_id]).get(self.capture_id, ())
        if any(pose.used for pose in corrections):
            self.left.append(
                "models that were trained with its corrections keep what they learned:"
                " train anew without it (agir-cvtoolkit retrain), then remove the older ones"
            )
        if self.dry_run:
            self.removed += [f"capture {self.capture_id}"] if self.store.get([self.capture_id]) else []
            self.removed += [f"correction {pose.document_id}" for pose in corrections]
            return
        self.removed += self.store.forget(self.capture_id)
