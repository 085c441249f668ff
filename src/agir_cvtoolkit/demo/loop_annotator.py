"""A simulated annotator who takes up each batch of a loop as soon as it is ready."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from agir_cvtoolkit.errors import AgirError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.sandbox.oracle import OracleReport, correct_task

from .pictures import DemoPictures
from .workspace import ACCOUNT

_LOOK_S = 0.3


class LoopAnnotator:
    """Corrects what is in annotation, in a thread of its own, until the ``with`` block ends.

    Args:
        url: of the sandbox.
        out_root: the folder of all runs, beside which the ledger lies.
        loop: name of the loop.
        pictures: with the truth.
        tell: is given a line for each task.

    Attributes:
        report: what was corrected in all.
    """

    def __init__(
        self,
        url: str,
        out_root: Path,
        loop: str,
        pictures: DemoPictures,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._url, self._out_root, self._loop = url, out_root, loop
        self._pictures, self._tell = pictures, tell
        self._stop = threading.Event()
        self._corrected: set[int] = set()
        self._thread = threading.Thread(target=self._work, name="loop-annotator", daemon=True)
        self.report = OracleReport()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(_LOOK_S):
            try:
                for task_id in self._ready():
                    self._correct(task_id)
            except AgirError as error:
                self._tell(f"The annotator could not work: {error}")

    def _ready(self) -> list[int]:
        if not Ledger.is_there(None, self._out_root):
            return []
        with Ledger.open_to_read(None, self._out_root) as ledger:
            rounds = ledger.rounds(self._loop)
        if not rounds or rounds[-1].state != "in_annotation":
            return []
        return [int(task) for task in rounds[-1].figures["tasks"] if task not in self._corrected]

    def _correct(self, task_id: int) -> None:
        found = correct_task(
            self._url,
            ACCOUNT,
            task_id,
            lambda name: self._pictures.true_mask(Path(name).stem),
            lambda name: self._pictures.species.get(Path(name).stem),
            only_open=True,
        )
        self._corrected.add(task_id)
        self.report = OracleReport(
            **{name: value + getattr(found, name) for name, value in vars(self.report).items()}
        )
        self._tell(
            f"Annotator: {found.frames} pictures; {found.edited} edited, {found.accepted} accepted,"
            f" {found.added} added, {found.deleted} deleted"
        )
