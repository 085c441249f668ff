"""``firebase status``: where the device loop stands, in the store, in CVAT and in the ledger; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.captures import PublishedModel, Trigger
from agir_cvtoolkit.config import Settings, load_credentials
from agir_cvtoolkit.errors import AgirError, ConfigError, LedgerError, UsageError
from agir_cvtoolkit.ledger import Ledger

from ._call import Call

if TYPE_CHECKING:
    from agir_cvtoolkit.firebase import CaptureCounts

POSE = "pose"
_PATIENCE_S = 10.0
"""A look is over soon, whatever is down: `--watch` looks again."""
"""The kind of the ledger's models that this loop is about."""


@dataclass(frozen=True)
class StoreStatus:
    """What the store of captures says.

    Attributes:
        place: project and database, or the folder.
        captures: how many there are, by status, priority and device.
        oldest_waiting_s: age of the oldest capture that waits, in seconds; None where none waits or tells.
        corrections_since_training: corrections that no finished training has seen.
        unreserved: those of them that no trigger has reserved.
        trigger_threshold: so many unreserved corrections make the next trigger.
        open_triggers: that wait for a training or are being trained for, oldest first.
        last_trigger: the newest one that is completed.
        model: the published one in service.
        passed_over: captures that loops of this workspace looked at and did not choose so far.
    """

    place: str
    captures: CaptureCounts
    oldest_waiting_s: float | None
    corrections_since_training: int
    unreserved: int
    trigger_threshold: int
    open_triggers: tuple[Trigger, ...] = ()
    last_trigger: Trigger | None = None
    model: PublishedModel | None = None
    passed_over: int = 0

    @property
    def until_next_trigger(self) -> int:
        """How many more corrections make a trigger."""
        return max(0, self.trigger_threshold - self.unreserved)


@dataclass(frozen=True)
class PoseTask:
    """One task of the project in CVAT.

    Attributes:
        jobs: how many of its jobs are in each state.
    """

    task_id: int
    name: str
    url: str
    frames: int
    jobs: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class CvatStatus:
    """What CVAT says.

    Attributes:
        project_id: None where there is no project of that name yet.
        jobs: of all tasks, by state.
    """

    url: str
    project: str
    project_id: int | None
    tasks: tuple[PoseTask, ...] = ()
    jobs: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class PoseModelStatus:
    """The newest pose model of the ledger.

    Attributes:
        metrics: its figures on the frozen test set.
    """

    version: str
    name: str
    created: str
    is_champion: bool
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Unread:
    """A side that could not be read.

    Attributes:
        side: ``store``, ``cvat`` or ``ledger``.
        configured: False where nobody has said where it is.
    """

    side: str
    problem: str
    configured: bool = True


@dataclass(frozen=True)
class FirebaseStatus:
    """Where the device loop stands.

    Attributes:
        when: it was looked at, with a time zone.
        unread: what could not be read, and why.
    """

    when: datetime
    store: StoreStatus | None
    cvat: CvatStatus | None
    model: PoseModelStatus | None
    unread: tuple[Unread, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where all that is configured was read, 1 where a part was not; of neither side: 3, or 2 by configuration."""
        failed = [unread for unread in self.unread if unread.configured]
        if self.store is None and self.cvat is None:
            return 3 if failed else 2
        return 1 if failed else 0


def firebase_status(call: Call | None = None, *, service_account: Path | None = None) -> FirebaseStatus:
    """Read where captures, tasks, corrections, triggers and models stand; nothing is changed.

    A side that is down, or is not configured, is left out and named; the others are shown.

    Args:
        call: how the stage is called.
        service_account: key file of the store; wins over the configuration.

    Raises:
        ConfigError: the configuration is wrong.
    """
    call = call or Call()
    settings = call.settings()
    when = datetime.now(UTC)
    unread: list[Unread] = []
    store: StoreStatus | None = None
    cvat: CvatStatus | None = None
    model: PoseModelStatus | None = None
    try:
        store = _store(settings, service_account, when)
    except AgirError as error:
        unread.append(_unread("store", error))
    try:
        cvat = _cvat(settings)
    except AgirError as error:
        unread.append(_unread("cvat", error))
    try:
        model = _model(settings)
    except AgirError as error:
        unread.append(_unread("ledger", error))
    return FirebaseStatus(when, store, cvat, model, tuple(unread))


def _unread(side: str, error: AgirError) -> Unread:
    return Unread(side, str(error), configured=not isinstance(error, UsageError))


def _store(settings: Settings, service_account: Path | None, when: datetime) -> StoreStatus:
    from agir_cvtoolkit.firebase import open_store

    folder = Path(settings.firebase.embedded_dir).expanduser()
    if settings.firebase.store == "embedded" and not folder.is_dir():
        raise ConfigError(f"there is no store in {folder} yet", "The first firebase submit makes it.")
    store = open_store(settings.firebase, service_account=service_account, patience_s=_PATIENCE_S)
    try:
        captures = store.counts(when)
        triggers = store.triggers()
        unreserved = store.unreserved()
        open_ones = [trigger for trigger in reversed(triggers) if trigger.status != "completed"]
        oldest = captures.oldest_pending
        return StoreStatus(
            place=store.place,
            captures=captures,
            oldest_waiting_s=None if oldest is None else max(0.0, (when - oldest).total_seconds()),
            corrections_since_training=unreserved + sum(trigger.count for trigger in open_ones),
            unreserved=unreserved,
            trigger_threshold=settings.firebase.retraining_threshold,
            open_triggers=tuple(open_ones),
            last_trigger=next((t for t in triggers if t.status == "completed"), None),
            model=store.current_model(),
            passed_over=_passed_over(settings, store.place),
        )
    finally:
        store.close()


def _passed_over(settings: Settings, place: str) -> int:
    if not Ledger.is_there(settings.io.ledger_url, settings.io.out_root):
        return 0
    try:
        with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
            return len(ledger.looked_at(place))
    except LedgerError:
        return 0  # which the part on models tells


def _cvat(settings: Settings) -> CvatStatus:
    from agir_cvtoolkit.cvat import UNSET, CvatSession, find_jobs, find_projects, find_tasks

    credentials = load_credentials(settings.io.keys_file)
    slug = settings.cvat_upload.organization_slug
    given = slug is not None or settings.is_explicit("cvat_upload.organization_slug")
    session = CvatSession.open(credentials, slug if given else UNSET)
    name = settings.firebase.cvat_project
    projects = find_projects(session, name=name)
    tasks: list[PoseTask] = []
    all_jobs: Counter[str] = Counter()
    for project in projects:
        own = session if given else session.in_organization(project.organization)
        by_task: dict[int, Counter[str]] = {}
        for job in find_jobs(own, project_id=project.id, required_status=None):
            by_task.setdefault(job.task_id, Counter())[job.state] += 1
            all_jobs[job.state] += 1
        tasks += [
            PoseTask(task.id, task.name, session.task_url(task.id), task.size, dict(by_task.get(task.id, {})))
            for task in find_tasks(own, project_id=project.id)
        ]
    first = projects[0].id if projects else None
    return CvatStatus(session.url, name, first, tuple(tasks), dict(all_jobs))


def _model(settings: Settings) -> PoseModelStatus | None:
    if not Ledger.is_there(settings.io.ledger_url, settings.io.out_root):
        return None
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        found = next((row for row in ledger.models() if row.kind == POSE), None)
    if found is None:
        return None
    return PoseModelStatus(
        found.version, found.name, str(found.created), found.is_champion, dict(found.metrics)
    )
