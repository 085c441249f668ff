"""Trainings on several machines: each is started with the same command and sees the same run folder.

The first process works on the run as ever; the others wait until it says that the data set lies there, and compute.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.runs import discard, read_json_object, write_json

_CALL = "nodes.json"
_RANKS = ("RANK", "SLURM_PROCID")
_JOBS = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "SLURM_STEP_ID", "MASTER_PORT")
_LOOK_S, _LONGEST_S = 0.2, 6 * 3600.0


@dataclass(frozen=True)
class Start:
    """What the first process says when training begins.

    Attributes:
        key: of data set and settings.
        continued: from the resume file.
        job: of torchrun or Slurm; what another job left behind is not listened to.
        finished: there is nothing left to train.
    """

    key: str
    continued: bool
    job: str
    finished: bool = False


def rank() -> int:
    """Return the number of this process as torchrun or Slurm set it, 0 for the first one or a lone one.

    Raises:
        UsageError: neither did.
    """
    for name in _RANKS:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    raise UsageError(
        "train.nodes is above 1, but neither torchrun nor Slurm started this process",
        "Start the command on each machine by torchrun --no-python or srun, or set train.nodes=1",
    )


def call_the_others(out_dir: Path, key: str, *, continued: bool, finished: bool = False) -> None:
    """Say that training begins, or that it was finished before."""
    write_json(out_dir / _CALL, asdict(Start(key, continued, _job(), finished)))


def dismiss(out_dir: Path) -> None:
    """Take back what was said."""
    discard(out_dir / _CALL)


def wait_for_the_first(out_dir: Path) -> Start:
    """Wait until the first process of the same job says that training begins.

    Raises:
        DataError: it did not within six hours.
    """
    ends = time.monotonic() + _LONGEST_S
    while time.monotonic() < ends:
        try:
            said = read_json_object(out_dir / _CALL)
            if said.get("job") == _job():
                return Start(**said)
        except (DataError, TypeError):
            pass
        time.sleep(_LOOK_S)
    raise DataError(f"the first process of the training says nothing in {out_dir}", "Look at its output.")


def _job() -> str:
    return "/".join(os.environ.get(name, "") for name in _JOBS)
