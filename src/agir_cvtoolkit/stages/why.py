"""``why``: the whole life of one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agir_cvtoolkit.choosing import parted_id
from agir_cvtoolkit.cvat import moment
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Event, Ledger
from agir_cvtoolkit.records import file_stem

from ._call import Call
from ._reviews import said_of
from .effort import measured_effort


@dataclass(frozen=True)
class Life:
    """What happened to a record, in order.

    Attributes:
        rounds: that it was in, in words.
        seconds: of people's work on it, as much as on each picture of its jobs; None where none could be timed.
    """

    record_id: str
    events: tuple[Event, ...]
    rounds: tuple[str, ...] = ()
    seconds: float | None = None


def why(record_id: str, call: Call | None = None) -> Life:
    """Read the life of a record, and of the regions of it that were chosen, out of the ledger.

    Args:
        record_id: of the record; the id of a capture is understood too.
        call: the common options.

    Raises:
        UsageError: nothing is known of it.
    """
    call = call or Call()
    settings = call.settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        events = _life(ledger, record_id)
        if not events and file_stem(record_id) != record_id:
            # Of a capture whose id no file can have.
            record_id = file_stem(record_id)
            events = _life(ledger, record_id)
        near = [] if events else ledger.record_ids_like(record_id)
        for region in ledger.regions_of_record(record_id):
            events += [_of_region(region, event) for event in _life(ledger, region)]
        runs = dict.fromkeys(event.run_id for event in events if event.run_id)
        rounds = tuple(found for run_id in runs if (found := _round(ledger, run_id)))
        jobs = ledger.finished_jobs() if any(event.kind == "pulled" for event in events) else []
    if not events:
        hint = f"Known: {', '.join(near)}" if near else "It has not been predicted, pushed or pulled here."
        raise UsageError(f"nothing is known of record '{record_id}'", hint)
    reviews = said_of(Path(settings.io.out_root), record_id)
    ordered = tuple(sorted((*events, *reviews), key=lambda event: moment(event.at)))
    report = settings.report
    by_job = measured_effort(jobs, report.seconds_per_picture, report.longest_s).by_job
    return Life(record_id, ordered, rounds, _seconds(events, by_job))


def _life(ledger: Ledger, unit_id: str) -> list[Event]:
    """Return the events of a unit without the choices of batches that were replaced before they were sent."""
    events, batches = ledger.events_of_record(unit_id), ledger.batches_of(unit_id)

    def is_replaced(place: int, event: Event) -> bool:
        if event.kind != "selected" or (event.run_id, event.detail.get("batch")) in batches:
            return False
        later = (one.kind for one in events[place + 1 :] if one.run_id == event.run_id)
        return next((kind for kind in later if kind in {"selected", "pushed"}), "") != "pushed"

    return [event for place, event in enumerate(events) if not is_replaced(place, event)]


def _round(ledger: Ledger, run_id: str) -> str:
    found = ledger.round_of_run(run_id)
    if found is None:
        return ""
    words = found.figures.get("words", "") if found.state in {"promoted", "rejected"} else ""
    return f"round {found.number} of loop {found.loop}: {found.state}{f', {words}' if words else ''}"


def _seconds(events: Sequence[Event], by_job: Mapping[tuple[str, int], float]) -> float | None:
    jobs = {(str(event.run_id), event.detail.get("job")) for event in events if event.kind == "pulled"}
    known = [by_job[run_id, job] for run_id, job in jobs if isinstance(job, int) and (run_id, job) in by_job]
    return sum(known) if known else None


def _of_region(unit_id: str, event: Event) -> Event:
    return replace(event, detail={"region": str(parted_id(unit_id)[1]), **event.detail})
