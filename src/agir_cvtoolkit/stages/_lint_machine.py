"""Whether a program made an annotation: by what the ledger knows to have pushed, else by what the server says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agir_cvtoolkit.cvat import JobInfo, LabelSet
from agir_cvtoolkit.cvat.shapes_json import shape_from_json
from agir_cvtoolkit.ledger import Ledger

_MACHINE = "auto"


class Machine:
    """Knows the proposals of one job.

    Of a task that this workspace has pushed, a shape is a program's if it is one of those that the push left, each of
    which counts once: what somebody has run or imported there since is hers, whatever its ``source`` says.

    Args:
        server: its address.
        ledger: of the workspace; None where there is none.
        job: whose annotations are asked about.
        labels: of the job.
    """

    def __init__(self, server: str, ledger: Ledger | None, job: JobInfo, labels: LabelSet) -> None:
        self._labels = labels
        self._left: Counter[tuple[int, str, str, str]] | None = None
        task = None if ledger is None else ledger.task_by_id(server, job.task_id)
        if ledger is not None and task is not None:
            left = ledger.shapes_left(task, job.start_frame, job.stop_frame)
            self._left = Counter(
                (frame, shape.label, shape.kind, shape.geometry_hash)
                for frame, shapes in left.items()
                for shape in shapes
            )

    def made(self, kind: str, item: Mapping[str, Any]) -> bool:
        """Whether a program made an annotation of the server, asked once for each.

        Args:
            kind: the list that it comes from: ``shapes``, ``tags`` or ``tracks``.
            item: as the server writes it.
        """
        if self._left is None:
            return item.get("source") == _MACHINE
        read = shape_from_json(item, self._labels) if kind == "shapes" else None
        if read is None or read.shape is None:
            return False
        key = (read.frame, read.shape.label, read.shape.kind, read.shape.geometry_hash())
        self._left[key] -= 1
        return self._left[key] >= 0
