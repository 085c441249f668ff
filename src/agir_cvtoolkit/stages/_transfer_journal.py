"""What a run of a transfer has taken and how far it is: what the next call needs after this one was killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.records import ManifestEntry
from agir_cvtoolkit.runs import Run, read_json_object, write_json

from ._transfer_options import TransferOptions

STAGE = "firebase-transfer"
PLAN = ("transfer", "plan.json")
LINES = ("transfer", "captures.jsonl")

Step = Literal["taking", "fetched", "finishing", "finished", "dropped"]


@dataclass(frozen=True)
class Progressed:
    """How far one capture is.

    Attributes:
        step: ``taking`` (about to be claimed, which another may have done first), ``fetched`` (its files lie in the
            run and in the folder), ``finishing`` (the store is about to be told), ``finished``, or ``dropped``
            (failed, given back or lost).
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
    def read(cls, run: Run, *, finished: bool = False) -> Journal | None:
        """Read the journal of a run that was not finished, or of one that was; None for any other run.

        Raises:
            DataError: it is damaged.
        """
        plan = read_json_object(run.path(*PLAN))
        if not plan or bool(plan.get("done")) is not finished:
            return None
        try:
            options = TransferOptions.from_plain(plan["options"])
            journal = cls(run, str(plan["owner"]), str(plan["place"]), options)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{run.path(*PLAN)} is damaged: {error!r}",
                f"Remove {run.path('transfer')} to give this run up.",
            ) from error
        journal._steps = _steps(run.path(*LINES))
        return journal

    @property
    def steps(self) -> Mapping[str, Progressed]:
        """How far each capture is."""
        with self._guard:
            return dict(self._steps)

    def add(self, steps: Iterable[Progressed]) -> None:
        """Append what has happened; a line survives the end of this process."""
        steps = list(steps)
        content = b"".join(_line(step) for step in steps)
        with self._guard, self.run.path(*LINES).open("ab") as stream:
            stream.write(content)
            self._steps.update({step.capture_id: step for step in steps})

    def advance(self, capture_ids: Iterable[str], step: Step) -> None:
        """Append that captures are one step further; what is known of their files stays."""
        with self._guard:
            known = [self._steps.get(i) or Progressed(i, step) for i in capture_ids]
        self.add(replace(one, step=step) for one in known)

    def finish(self) -> None:
        """Say that nothing is left to be done in this run."""
        self._plan(done=True)

    def _plan(self, *, done: bool) -> None:
        plan = {"owner": self.owner, "place": self.place, "done": done, "options": self.options.plain()}
        write_json(self.run.path(*PLAN), plan)


def finished_journals(out_root: Path, run_ids: Iterable[str]) -> Iterator[Journal]:
    """Yield the journals of those of some runs that are transfers and were finished.

    Raises:
        DataError: one is damaged.
    """
    for run_id in run_ids:
        journal = Journal.read(Run(run_id, out_root / run_id), finished=True)
        if journal is not None:
            yield journal


def is_transfer(run: Run) -> bool:
    """Whether a transfer began a run."""
    return run.path(*PLAN).is_file()


def _line(step: Progressed) -> bytes:
    words = [f'"id": {json.dumps(step.capture_id)}', f'"step": "{step.step}"']
    if step.entry is not None and step.step == "fetched":
        words += [f'"entry": {step.entry.to_json()}', f'"picture": {json.dumps(step.picture)}']
        words.append(f'"inode": {step.inode}')
    # Begins with a newline, so that a line torn by a kill never swallows the next one.
    return ("\n{" + ", ".join(words) + "}").encode("utf-8", "surrogatepass")


def _steps(path: Path) -> dict[str, Progressed]:
    found: dict[str, Progressed] = {}
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            content = json.loads(line.decode("utf-8", "surrogatepass"))
            capture_id, step = content["id"], content["step"]
            if step == "fetched":
                entry = ManifestEntry.from_json(json.dumps(content["entry"]))
                found[capture_id] = Progressed(capture_id, step, entry, content["picture"], content["inode"])
            else:
                found[capture_id] = replace(found.get(capture_id, Progressed(capture_id, step)), step=step)
        except (ValueError, KeyError, TypeError):
            continue  # a torn line: the step that it stood for is done again
    return found
