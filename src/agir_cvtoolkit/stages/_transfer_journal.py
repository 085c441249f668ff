"""What a run of a transfer has taken and how far it is: what the next call needs after this one was killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, read_json_object, write_json

from ._transfer_options import TransferOptions

STAGE = "firebase-transfer"
PLAN = ("transfer", "plan.json")
LINES = ("transfer", "captures.jsonl")

Step = Literal["taken", "fetched", "finishing", "finished", "dropped"]


@dataclass(frozen=True)
class Progressed:
    """How far one capture is.

    Attributes:
        step: ``taken`` (claimed), ``fetched`` (its files lie in the run and in the folder), ``finishing`` (the store
            is about to be told), ``finished``, or ``dropped`` (failed, given back or lost).
        entry: of the run's manifest, from ``fetched`` on.
        picture: name of its file in the folder.
        inode: of that file, by which one sees whether another transfer has written it anew.
    """

    capture_id: str
    step: Step
    entry: ManifestEntry | None = None
    picture: str = ""
    inode: int = 0


class Journal:
    """The journal of one run; appended line by line from several threads.

    Args:
        run: of the transfer.
        owner: name of its claims.
        place: of the store that they are in.
        options: as the transfer was begun.
    """

    def __init__(self, run: Run, owner: str, place: str, options: TransferOptions) -> None:
        self.run = run
        self.owner = owner
        self.place = place
        self.options = options
        self._guard = threading.Lock()
        self._steps: dict[str, Progressed] = {}

    @classmethod
    def begin(cls, run: Run, owner: str, place: str, options: TransferOptions) -> Journal:
        """Begin the journal of a new run."""
        journal = cls(run, owner, place, options)
        run.path(*LINES).parent.mkdir(parents=True, exist_ok=True)
        run.path(*LINES).touch()
        journal._plan(done=False)
        return journal

    @classmethod
    def read(cls, run: Run) -> Journal | None:
        """Read the journal of a run that was not finished; None for any other run.

        Raises:
            DataError: it is damaged.
        """
        plan = read_json_object(run.path(*PLAN))
        if not plan or plan.get("done"):
            return None
        try:
            options = TransferOptions.from_plain(plan["options"])
            journal = cls(run, str(plan["owner"]), str(plan["place"]), options)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{run.path(*PLAN)} is damaged: {error!r}",
                f"Remove {run.path('transfer')} to give this run up.",
            ) from error
        journal._steps = {line.capture_id: line for line in _lines(run.path(*LINES))}
        return journal

    @property
    def steps(self) -> Mapping[str, Progressed]:
        """How far each capture is."""
        with self._guard:
            return dict(self._steps)

    def add(self, steps: Iterable[Progressed]) -> None:
        """Append what has happened; a line survives the end of this process."""
        with self._guard:
            steps = list(steps)
            with self.run.path(*LINES).open("ab") as stream:
                stream.write(b"".join(_line(step) for step in steps))
            self._steps.update({step.capture_id: step for step in steps})

    def finish(self) -> None:
        """Say that nothing is left to be done in this run."""
        self._plan(done=True)

    def _plan(self, *, done: bool) -> None:
        plan = {"owner": self.owner, "place": self.place, "done": done, "options": self.options.plain()}
        write_json(self.run.path(*PLAN), plan)


def step_of(journal: Journal, capture_id: str, step: Step) -> Progressed:
    """Return a capture's newest line, one step further."""
    known = journal.steps.get(capture_id)
    if known is None:
        return Progressed(capture_id, step)
    return Progressed(capture_id, step, known.entry, known.picture, known.inode)


def _line(step: Progressed) -> bytes:
    content: dict[str, Any] = {"id": step.capture_id, "step": step.step}
    if step.entry is not None:
        content |= {"entry": json.loads(step.entry.to_json()), "picture": step.picture, "inode": step.inode}
    # Begins with a newline, so that a line torn by a kill never swallows the next one.
    return ("\n" + json.dumps(content)).encode("ascii")


def _lines(path: Path) -> list[Progressed]:
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            content = json.loads(line)
            entry = content.get("entry")
            found.append(
                Progressed(
                    content["id"],
                    content["step"],
                    ManifestEntry.from_json(json.dumps(entry)) if entry else None,
                    str(content.get("picture", "")),
                    int(content.get("inode", 0)),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a torn line: the step that it stood for is done again
    return found
