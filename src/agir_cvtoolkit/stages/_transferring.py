"""One call of a transfer: what was interrupted is ended first, then new captures are taken."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, DataError, RemoteError, UsageError
from agir_cvtoolkit.runs import CURRENT, Run, current_run_id, discard, list_runs, make_current, start_run

from ._call import Call
from ._run_joints import keep_schema, kept_joints
from ._transfer_claims import Claims
from ._transfer_fetch import Fetching
from ._transfer_journal import PLAN, STAGE, Journal, Progressed
from ._transfer_options import TransferOptions, made_folder
from ._transfer_picture import Fetcher
from ._transfer_probe import PictureProbe
from ._transfer_publish import publish, record, take_back
from ._transfer_queue import waiting_for
from ._transfer_tally import Tally, TransferResult, result_of

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Capture
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.firebase import CaptureStore
    from agir_cvtoolkit.joints import JointSchema

_log = logging.getLogger(__name__)


class Transfer:
    """One call: ends what was begun, then brings what is still wanted.

    Args:
        call: the common options.
        settings: of the call; their group ``firebase`` has what the call gave.
        store: where the captures are.
        options: of this transfer.
        choose: says which captures to bring, by how many are wanted; None for those first in the queue.
    """

    def __init__(
        self,
        call: Call,
        settings: Settings,
        store: CaptureStore,
        options: TransferOptions,
        choose: Callable[[int], TransferOptions | None] | None = None,
    ) -> None:
        from agir_cvtoolkit.joints import load_schema

        self.call, self.settings, self.store, self.options = call, settings, store, options
        self._choose = choose
        self.group = settings.firebase
        self.schema = load_schema(options.joints)
        self.tally = Tally()
        self.newest: Run | None = None
        self.out_root = Path(settings.io.out_root)
        self.probe = PictureProbe(store, self.out_root, self.group.picture_grace_s)

    def run(self) -> TransferResult:
        """End what was begun, then bring what is still wanted."""
        self.end_interrupted(self._unfinished())
        adopted = self.store.adopt()
        self.store.release_expired(datetime.now(UTC))
        if adopted:
            _log.info(
                "%d captures were mended: their status, priority, time or lease could not be read",
                len(adopted),
            )
        # What was chosen is brought whole, whatever else was ended on the way.
        wanted = self.options.limit - (0 if self.options.only else len(self.tally.transferred))
        if wanted > 0 and self.tally.error is None and waiting_for(self.store, self.options, 1):
            if self.options.create_task:
                # Before any capture is taken; where none waits nobody has to log in, however often a watch looks.
                self._check_cvat()
            chosen = self.options if self._choose is None else self._choose(wanted)
            if chosen is not None:
                self.options = chosen
                self._begin(wanted)
        self.probe.tell(self.tally)
        error = self.tally.error
        if error is not None and not self.tally.transferred:
            raise error
        return result_of(self.store, self.options, self.tally, self.newest)

    def end_interrupted(self, runs: Sequence[Run]) -> None:
        """End transfers of this workspace that were killed, but those that another process is at."""
        for run in runs:
            self._resume(run)

    def _check_cvat(self) -> None:
        from ._pose_push import check_pose_target

        check_pose_target(self.settings, self.group.cvat_project, "firebase transfer")

    def _unfinished(self) -> list[Run]:
        runs = [Run(run_id, self.out_root / run_id) for run_id in list_runs(self.out_root)]
        return [run for run in runs if run.path(*PLAN).is_file()]

    def _begin(self, wanted: int) -> None:
        before = current_run_id(self.out_root)
        stamp = datetime.now().astimezone()
        name = f"transfer-{stamp:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        run = start_run(self.out_root, name)
        owner = f"{socket.gethostname()}/{name}"
        with self.call.work(run, STAGE):
            journal = Journal.begin(run, owner, self.store.place, self.options)
            self.call.record_config(run, STAGE, self.settings, self.settings.dump("firebase", "io"))
            keep_schema(run, self.schema)
            work = self._fetching(journal, self.schema)
            self._do(work, self.settings, wanted)
            nothing = all(s.step == "taking" or i in work.late for i, s in journal.steps.items())
            if nothing:
                journal.finish()
        if nothing:
            # Others were quicker, or the pictures are to come: a run without anything would only be in the way.
            with suppress(
                OSError
            ):  # another transfer looks into it in this moment, and finds nothing to be ended
                discard(run.root)
            self._back_to(before)
            return
        self.newest = run

    def _back_to(self, run_id: str | None) -> None:
        if run_id is None:
            (self.out_root / CURRENT).unlink(missing_ok=True)
        else:
            make_current(Run(run_id, self.out_root / run_id), self.out_root)

    def _resume(self, run: Run) -> None:
        before = len(self.tally.transferred)
        with ExitStack() as held:
            try:
                journal = Journal.read(run)
                if journal is None or journal.place != self.store.place:
                    return
                if not _entered(held, self.call, run):
                    return  # another transfer is at it
                journal = Journal.read(run)
                if journal is None:
                    return  # another transfer has ended it in the meantime
                _log.warning("going on with run %s, which was interrupted", run.run_id)
                self._end(journal)
            except (RemoteError, DataError, UsageError, OSError) as error:
                # A disk that is full there is none for who transfers to another one now.
                self.tally.note(run.run_id, "interrupted", f"this run could not be ended: {error}")
                if isinstance(error, RemoteError):
                    self.tally.error = self.tally.error or error
                return
        self.newest = run
        self.tally.resumed += len(self.tally.transferred) - before

    def _end(self, journal: Journal) -> None:
        from agir_cvtoolkit.joints import load_schema

        options = journal.options
        made_folder(options.output_dir)
        # As it was begun, whatever is configured today: half of it may be in CVAT.
        joints = kept_joints(journal.run, options.joints)
        work = self._fetching(journal, load_schema(joints))
        settled = any(s.step in {"finishing", "finished"} for s in journal.steps.values())
        with self._held(work):
            self._take_up(work)
        more = options.has_aim_of(self.options) and not settled
        self._do(work, options.within(self.settings, joints), self.options.limit if more else 0)
        if not journal.steps:
            journal.finish()  # it was killed before it took anything, and nothing is left to be taken

    def _take_up(self, work: Fetching) -> None:
        """Find out what became of the captures of a run that was interrupted, and hold those that are ours."""
        journal, claims = work.journal, work.claims
        open_steps = {i: s for i, s in journal.steps.items() if s.step != "dropped"}
        known = self.store.get(open_steps)
        brought = {i for i, step in open_steps.items() if step.step in {"fetched", "finishing"}}
        free = [c for i, c in known.items() if c.status == "pending" and i in brought]
        held = claims.take(free) | claims.adopt([c for c in known.values() if claims.is_mine(c)])
        todo: list[Capture] = []
        others: list[str] = []
        for capture_id, step in open_steps.items():
            found = known.get(capture_id)
            if capture_id in held:
                if step.entry is not None and self._files_are_here(journal, capture_id):
                    work.ready[capture_id] = held[capture_id]
                else:
                    todo.append(held[capture_id])
            elif found is not None and _was_told(step, found) and claims.is_finished(found):
                self.tally.transferred.append(capture_id)
                journal.advance([capture_id], "finished")
            elif step.entry is not None:
                others.append(capture_id)
        if others and journal.options.create_task:
            stems = [entry.record_id for i in others if (entry := journal.steps[i].entry) is not None]
            take_back(journal.run, self.settings, stems)
        for capture_id in others:
            work.withdraw(capture_id)
        work.go_on(todo)

    @staticmethod
    def _files_are_here(journal: Journal, capture_id: str) -> bool:
        step = journal.steps[capture_id]
        entry = step.entry
        if entry is None or entry.image_path is None or entry.pose_path is None:
            return False
        paths = [journal.run.inside(entry.image_path), journal.run.inside(entry.pose_path)]
        return all(path.is_file() for path in [*paths, journal.options.output_dir / step.picture])

    def _do(self, work: Fetching, settings: Settings, wanted: int) -> None:
        with self._held(work):
            work.fill(wanted)
        if work.ready:
            with work.claims.renewing():
                publish(work, self.call, settings, work.journal.options.cvat_project)
        elif work.journal.steps:
            record(work, settings)

    @contextmanager
    def _held(self, work: Fetching) -> Iterator[None]:
        """Renew the leases; give everything back where this process is stopped before it could finish."""
        try:
            with work.claims.renewing():
                yield
        except BaseException as error:
            if not isinstance(error, AgirError):
                _log.warning("giving %d captures back", len(work.claims.held()))
            work.claims.release_all()
            raise

    def _fetching(self, journal: Journal, schema: JointSchema) -> Fetching:
        options = journal.options
        fetcher = Fetcher(
            store=self.store,
            run=journal.run,
            folder=options.output_dir,
            schema=schema,
            max_pixels=self.group.max_megapixels * 1e6,
            strip=options.strip_metadata,
        )
        claims = Claims(self.store, journal.owner, self.group.lease_s)
        return Fetching(
            store=self.store,
            claims=claims,
            journal=journal,
            fetcher=fetcher,
            tally=self.tally,
            progress=self.call.progress,
            parallel=self.group.parallel_requests,
            probe=self.probe,
        )


def _was_told(step: Progressed, capture: Capture) -> bool:
    """Whether the store, as far as one can see, was told of a capture before the interruption."""
    return step.step == "finished" or (step.step == "finishing" and capture.status != "pending")


def _entered(held: ExitStack, call: Call, run: Run) -> bool:
    try:
        held.enter_context(call.work(run, STAGE))
    except UsageError:
        return False
    return True
