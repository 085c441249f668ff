"""``undo``: delete what was pushed and nobody has touched, so that the same push can be made again."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.config import Settings, load_credentials
from agir_cvtoolkit.cvat import CvatSession, TaskInfo, delete_task, find_tasks, get_task
from agir_cvtoolkit.errors import FrameMapError, NotFoundError, ServerFaultError, UsageError, did_you_mean
from agir_cvtoolkit.ledger import Ledger, PushedTask, PushKey

from ._call import Call
from ._connect import connect
from ._push_alone import hold_push
from ._tidy_runs import tidy_runs
from ._undo_captures import BroughtCaptures
from ._untouched import why_left

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UndoneTask:
    """What became of one task of the push.

    Attributes:
        task_id: None where the server never had it.
        records: that were pushed into it.
        outcome: ``deleted`` (in a dry run: would be), ``gone`` (somebody had deleted it before) or ``left``.
        reason: why it was left.
    """

    task_id: int | None
    name: str
    url: str | None
    records: int
    outcome: Literal["deleted", "gone", "left"]
    reason: str = ""


@dataclass(frozen=True)
class UndoResult:
    """What ``undo`` did, or in a dry run would do.

    Attributes:
        captures: ids of devices' captures that wait in the queue again.
        place: of the store that they are in; None where no transfer made the push.
    """

    push_id: str
    name: str
    server: str
    tasks: tuple[UndoneTask, ...]
    captures: tuple[str, ...] = ()
    place: str | None = None
    dry_run: bool = False

    @property
    def left(self) -> tuple[UndoneTask, ...]:
        """The tasks that were left alone."""
        return tuple(task for task in self.tasks if task.outcome == "left")

    @property
    def exit_code(self) -> int:
        """0, or 1 where a task was left."""
        return 1 if self.left else 0


def undo(
    push: str,
    call: Call | None = None,
    *,
    keep_captures: bool = False,
    service_account: Path | str | None = None,
) -> UndoResult:
    """Delete the tasks of a push that nobody has touched, and forget them.

    Each task is read again just before it is deleted; one in which anybody has worked is left and listed. The
    pushed records are then new to ``upload-cvat``. What was predicted and pulled stays. A person who opens a
    task and saves between the last look and the deletion, which is one request long, loses that work.

    Captures that ``firebase transfer`` brought into deleted tasks wait in the queue again, and leave their run and
    folder; those that are corrected, or another's by now, stay. Called again it ends what a call that broke off began.

    Args:
        push: id of a push, or its name where only one has it.
        call: with ``dry_run`` nothing is deleted.
        keep_captures: leave captures as they are, and their store alone.
        service_account: as for `firebase_transfer`.

    Raises:
        UsageError: there is no such push, it lies on another server, its captures in another store, or an upload is
            under way.
        RemoteError: the server or the store fails; what was deleted until then is forgotten.
    """
    call = call or Call()
    settings = call.settings()
    ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
    with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger:
        push_id, key = _find(ledger, push)
        address = load_credentials(settings.io.keys_file).base_url
        if address != key.server:
            raise UsageError(
                f"push {push_id} lies on {key.server}, and the configured server is {address}",
                f"Set CVAT_URL={key.server}, with an account there.",
            )
        with _alone(call, settings, key, ledger):
            writes = None if call.dry_run else "undo"
            target = connect(settings, "cvat_upload", None, writes=writes)
            session = target.session.in_organization(key.organization)
            runs = ledger.runs_of_push(push_id)
            key_file = None if service_account is None else Path(service_account).expanduser()
            brought = BroughtCaptures.of_runs(settings, () if keep_captures else runs, key_file)
            done: list[UndoneTask] = []
            try:
                for task in ledger.tasks_of_push(push_id):
                    done.append(_undo_task(session, ledger, task, brought, dry_run=call.dry_run))
            finally:
                brought.close()
                # Also of a call that breaks off: the next one no longer knows what this one has forgotten.
                if not call.dry_run:
                    tidy_runs(settings.io.out_root, ledger, key, runs)
    return UndoResult(
        push_id,
        key.name,
        key.server,
        tuple(done),
        captures=tuple(brought.given_back),
        place=brought.store.place if brought.store is not None else None,
        dry_run=call.dry_run,
    )


def check_push(push: str, call: Call | None = None) -> None:
    """Find a push by its id or name, and do nothing with it.

    Raises:
        UsageError: there is no such push, or several have that name.
    """
    settings = (call or Call()).settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        _find(ledger, push)


def _find(ledger: Ledger, push: str) -> tuple[str, PushKey]:
    known = {push_id: key for push_id, key, _ in ledger.pushes()}
    if push in known:
        return push, known[push]
    named = [push_id for push_id, key in known.items() if key.name == push]
    if len(named) == 1:
        return named[0], known[named[0]]
    if named:
        listed = ", ".join(f"{i} ({known[i].kind}, {known[i].server})" for i in named)
        raise UsageError(f"{len(named)} pushes are named '{push}'", f"Give the id of one: {listed}")
    names = [*known, *(key.name for key in known.values())]
    listed = ", ".join(f"{push_id} '{key.name}'" for push_id, key in list(known.items())[-5:])
    hint = f"{did_you_mean(push, names)} Known: {listed or 'none'}".strip()
    raise UsageError(f"there is no push '{push}'", hint)


def _alone(call: Call, settings: Settings, key: PushKey, ledger: Ledger) -> AbstractContextManager[None]:
    if call.dry_run:
        return nullcontext()
    refusal = UsageError(f"upload-cvat is pushing '{key.name}'", "Wait until it has ended.")
    return hold_push(ledger, Path(settings.io.out_root), key, refusal)


def _undo_task(
    session: CvatSession, ledger: Ledger, pushed: PushedTask, brought: BroughtCaptures, *, dry_run: bool
) -> UndoneTask:
    record_ids = [frame.record_id for frame in ledger.frames_of_task(pushed)]

    def told(
        outcome: Literal["deleted", "gone", "left"], task_id: int | None, reason: str = ""
    ) -> UndoneTask:
        url = session.task_url(task_id) if task_id is not None else None
        return UndoneTask(task_id, pushed.name, url, len(record_ids), outcome, reason)

    tasks = _on_server(session, pushed)
    for task in tasks:
        try:
            reason = why_left(session, ledger, pushed, task)
        except (FrameMapError, ServerFaultError) as error:
            reason = f"it cannot be read: {error}"
        if reason:
            return told("left", task.id, reason)
        if not dry_run:
            delete_task(session, task.id)
            _log.info("deleted task %d '%s'", task.id, task.name)
    # Before the ledger forgets the task: a call that breaks off here leaves the next one something to end.
    brought.give_back(record_ids, dry_run=dry_run)
    if not dry_run:
        ledger.undo_task(pushed)
    return told("deleted" if tasks else "gone", tasks[0].id if tasks else pushed.task_id)


def _on_server(session: CvatSession, pushed: PushedTask) -> list[TaskInfo]:
    """Return the task by its id, and where it has none yet, whatever carries its unique name."""
    if pushed.task_id is None:
        return list(find_tasks(session, name=pushed.name))
    try:
        return [get_task(session, pushed.task_id)]
    except NotFoundError:
        return []
