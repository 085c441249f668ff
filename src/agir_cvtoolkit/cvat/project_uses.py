"""How much people have drawn with the labels of a project: no server counts it, so its jobs are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agir_cvtoolkit.errors import GoneError, NotFoundError
from agir_cvtoolkit.progress import Progress, Silent

from .job_stream import job_items
from .labels import LabelSet
from .listings import Scope, list_jobs
from .session import CvatSession

_MOST_VALUES = 10_000
_MOST_NAMED = 5


@dataclass
class LabelUse:
    """What is drawn with one label.

    Attributes:
        count: shapes, tags and tracks.
        tracks: of these, tracks.
        kinds: types of the shapes.
        values: how often each value of an attribute occurs, by the attribute's id; at most `_MOST_VALUES` of each.
        tasks: how many there are in each task.
    """

    count: int = 0
    tracks: int = 0
    kinds: set[str] = field(default_factory=set)
    values: dict[int, Counter[str]] = field(default_factory=dict)
    tasks: Counter[int] = field(default_factory=Counter)

    @property
    def told(self) -> str:
        """How many there are, and where, for people."""
        named = ", ".join(f"{task} ({count})" for task, count in sorted(self.tasks.items())[:_MOST_NAMED])
        more = len(self.tasks) - _MOST_NAMED
        where = f"task{'s' if len(self.tasks) > 1 else ''} {named}{f' and {more} more' if more > 0 else ''}"
        return f"{self.count} {'shape' if self.count == 1 else 'shapes'} in {where}"


@dataclass(frozen=True)
class Uses:
    """What is drawn with some labels.

    Attributes:
        by_label: for each label that was asked for.
        jobs: when each job of the project had been saved last, before it was read.
    """

    by_label: Mapping[int, LabelUse]
    jobs: Mapping[int, str]


def count_uses(
    session: CvatSession,
    project_id: int,
    labels: LabelSet,
    label_ids: frozenset[int],
    progress: Progress | None = None,
) -> Uses:
    """Count what is drawn with some labels in all jobs of a project: ground truth and replicas too.

    Jobs are read one after the other, annotation by annotation, so that memory is that of one shape.

    Raises:
        RemoteError: of its kinds.
    """
    parents = {sub.id: label.id for label in labels for sub in label.sublabels}
    found = {label_id: LabelUse() for label_id in label_ids}
    jobs = list_jobs(session, Scope(project_id)).items
    with (progress or Silent()).bar("counting shapes", len(jobs)) as bar:
        for job in jobs:
            try:
                for kind, item in job_items(session, job.id):
                    _count(found, parents, kind, item, job.task_id)
            except (GoneError, NotFoundError):
                continue  # its shapes went with it
            finally:
                bar.advance()
    return Uses(found, {job.id: job.updated_date for job in jobs})


def saved_since(session: CvatSession, project_id: int, uses: Uses) -> tuple[int, ...]:
    """Return the jobs of a project that were saved or made after they had been counted."""
    now = {job.id: job.updated_date for job in list_jobs(session, Scope(project_id)).items}
    return tuple(sorted(job_id for job_id, date in now.items() if uses.jobs.get(job_id) != date))


def _count(
    found: Mapping[int, LabelUse],
    parents: Mapping[int, int],
    kind: str,
    item: Mapping[str, Any],
    task_id: int,
) -> None:
    label_id = item.get("label_id")
    use = found.get(parents.get(label_id, label_id)) if isinstance(label_id, int) else None
    if use is None:
        return
    use.count += 1
    use.tasks[task_id] += 1
    if kind == "tracks":
        use.tracks += 1
        use.kinds.update(str(shape.get("type")) for shape in _dicts(item.get("shapes")))
    else:
        use.kinds.add("tag" if kind == "tags" else str(item.get("type")))
    for part in _parts(item):
        for attribute in _dicts(part.get("attributes")):
            values = use.values.setdefault(int(attribute.get("spec_id") or 0), Counter())
            if len(values) < _MOST_VALUES:
                values[str(attribute.get("value", "")).strip()] += 1


def _parts(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield item
    for name in ("elements", "shapes"):
        for part in _dicts(item.get(name)):
            yield from _parts(part)


def _dicts(listed: object) -> list[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
