"""``agir-cvtoolkit firebase status``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ._counted import counted
from ._shell import Shell, harmless, with_options

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import Trigger
    from agir_cvtoolkit.stages import Call
    from agir_cvtoolkit.stages.firebase_status import CvatStatus, FirebaseStatus, StoreStatus

_STATUSES = ("pending", "in_progress", "completed", "failed")
_STATES = ("new", "in progress", "completed", "rejected")
_SIDES = {"store": "Captures", "cvat": "CVAT", "ledger": "Ledger"}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
_MOST = 12


@click.command("status")
@click.option(
    "--service-account", default=None, type=click.Path(path_type=Path, dir_okay=False), help="Key file."
)
@click.option("--watch", is_flag=True, help="Look again and again until Ctrl-C; redraws on a terminal.")
@click.option(
    "--every", default=5.0, show_default=True, type=click.FloatRange(min=0.5), help="Seconds, of --watch."
)
@with_options
def command(shell: Shell, *, service_account: Path | None, watch: bool, every: float) -> None:
    """Show where captures, tasks, corrections, triggers and the model stand; nothing is changed.

    \b
    agir-cvtoolkit firebase status
    agir-cvtoolkit firebase status --watch

    Exit codes: 1 when a side is down, 3 when nothing could be read.
    """

    def stage(call: Call) -> FirebaseStatus:
        from agir_cvtoolkit.errors import UsageError
        from agir_cvtoolkit.stages.firebase_status import firebase_status

        if not watch:
            return firebase_status(call, service_account=service_account)
        if shell.as_json:
            raise UsageError("--watch draws for people", "Leave out --watch or --json.")
        return _watched(lambda: firebase_status(call, service_account=service_account), every)

    shell.run(stage, (lambda result: None) if watch else _show)


def _watched(look: Callable[[], FirebaseStatus], every: float) -> FirebaseStatus:
    """Draw what is seen until somebody stops it; return what was seen last."""
    from agir_cvtoolkit.serving.stopping import stopping_on_signals
    from agir_cvtoolkit.serving.watch import watch

    last: list[FirebaseStatus] = []

    def step() -> bool:
        last[:] = [look()]
        # Together, and the screen emptied last: a terminal that is emptied first flickers.
        text = harmless("\n".join([*_lines(last[0]), f"Every {every:g} s; Ctrl-C ends."]))
        click.clear()
        click.echo(text)
        return False

    with stopping_on_signals() as stop:
        watch(step, every, stop)
    return last[0]


def _show(result: FirebaseStatus) -> None:
    click.echo(harmless("\n".join(_lines(result))))


def _lines(result: FirebaseStatus) -> Iterator[str]:
    yield f"Device loop at {result.when:%Y-%m-%d %H:%M:%S} UTC"
    if result.store is not None:
        yield from _store(result.store)
    if result.cvat is not None:
        yield from _cvat(result.cvat)
    if result.model is not None:
        row = result.model
        champion = "champion" if row.is_champion else "not promoted"
        yield f"Newest pose model here: {row.version[:12]}, {champion}, of {row.created[:19]}"
        yield from _figures(row.metrics)
    for unread in result.unread:
        yield f"{_SIDES[unread.side]}: {'not read' if unread.configured else 'not configured'}: {unread.problem}"


def _store(store: StoreStatus) -> Iterator[str]:
    captures = store.captures
    yield f"Captures in {store.place}"
    by_status: dict[str, int] = {str(status): count for status, count in captures.by_status.items()}
    yield from _table([s.replace("_", " ") for s in _STATUSES], [by_status.get(s, 0) for s in _STATUSES])
    if failed := by_status.get("failed"):
        yield f"  why {failed} failed: agir-cvtoolkit firebase requeue --failed --dry-run"
    if store.passed_over:
        yield f"  {counted(store.passed_over, 'capture')} looked at and not chosen so far: agir-cvtoolkit why CAPTURE"
    if captures.expired:
        yield f"  {counted(captures.expired, 'lease')} ran out; the next transfer gives the captures back to the queue"
    if captures.unreadable:
        yield f"  {counted(captures.unreadable, 'capture')} without a status or priority that can be read: the next"
        yield "    transfer mends what it can; foreign words: agir-cvtoolkit firebase requeue --foreign --dry-run"
    if captures.pending_by_priority:
        ordered = sorted(captures.pending_by_priority.items(), reverse=True)
        yield "  waiting by priority"
        yield from _table([str(priority) for priority, _ in ordered], [count for _, count in ordered])
    if captures.pending_by_age:
        yield "  waiting by age"
        yield from _table(list(captures.pending_by_age), list(captures.pending_by_age.values()))
    if store.oldest_waiting_s is not None:
        yield f"  the oldest waits for {_age(store.oldest_waiting_s)}"
    devices = sorted(captures.by_device.items(), key=lambda item: (-item[1], item[0]))
    if devices:
        yield "  waiting or being corrected, by device"
    for device, count in devices[:_MOST]:
        yield f"    {count:5}  {device or '(not said)'}"
    if len(devices) > _MOST:
        yield f"    and {len(devices) - _MOST} more devices"
    yield from _corrections(store)


def _corrections(store: StoreStatus) -> Iterator[str]:
    yield f"Corrections since the last training: {store.corrections_since_training}"
    if store.until_next_trigger:
        yield (
            f"  next trigger at {store.trigger_threshold} that no trigger has reserved: {store.unreserved} there, "
            f"{store.until_next_trigger} to come"
        )
    else:
        yield (
            f"  {store.unreserved} are enough for a trigger (from {store.trigger_threshold}); "
            "firebase return --trigger-retraining makes it"
        )
    for trigger in store.open_triggers:
        yield f"  {_trigger(trigger)}"
    if store.last_trigger is not None:
        done = store.last_trigger
        made = f", made model {done.model[:12]}" if done.model else ""
        yield f"  last training: {counted(done.count, 'correction')} of {done.made:%Y-%m-%d %H:%M}{made}"
    model = store.model
    if model is None:
        yield "Model for devices: none published yet"
        return
    kinds = ", ".join(sorted(model.files))
    yield f"Model for devices: {model.version[:12]}, published {model.made:%Y-%m-%d %H:%M}, {kinds}"
    yield from _figures(model.metrics)


def _trigger(trigger: Trigger) -> str:
    state = "waits for retrain" if trigger.status == "pending" else f"taken by {trigger.claimed_by}"
    text = f"trigger {trigger.trigger_id}: {counted(trigger.count, 'correction')}, {state}"
    if trigger.attempts:
        text += f", {counted(trigger.attempts, 'attempt')}"
    return f"{text}, the last failed: {trigger.reason}" if trigger.reason else text


def _cvat(cvat: CvatStatus) -> Iterator[str]:
    if cvat.project_id is None:
        yield f"CVAT at {cvat.url}: no project '{cvat.project}' yet; the first transfer makes it"
        return
    yield f"CVAT at {cvat.url}, project '{cvat.project}' ({cvat.project_id})"
    states = [*_STATES, *sorted(set(cvat.jobs) - set(_STATES))]
    yield "  jobs"
    yield from _table(states, [cvat.jobs.get(state, 0) for state in states])
    for task in sorted(cvat.tasks, key=lambda task: -task.task_id)[:_MOST]:
        done = f"{task.jobs.get('completed', 0)}/{sum(task.jobs.values())} jobs completed"
        yield f"    task {task.task_id}  {task.frames:5} pictures  {done}  {task.name}  {task.url}"
    if len(cvat.tasks) > _MOST:
        yield f"    and {len(cvat.tasks) - _MOST} older tasks"


def _figures(metrics: Mapping[str, float]) -> Iterator[str]:
    """Tell the figures over all joints; those of the frozen test set where there are any."""
    over_all = {name: value for name, value in metrics.items() if "." not in name}
    tested = {name: value for name, value in over_all.items() if name.startswith("test_")}
    shown = tested or over_all
    if shown:
        yield "  " + ", ".join(f"{name} {value:.3f}" for name, value in shown.items())


def _table(heads: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    widths = [max(len(head), len(str(count))) for head, count in zip(heads, counts, strict=True)]
    yield "    " + "  ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    yield "    " + "  ".join(f"{count:>{width}}" for count, width in zip(counts, widths, strict=True))


def _age(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length:
            return counted(int(seconds // length), unit)
    return "less than a minute"
