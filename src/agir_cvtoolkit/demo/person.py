"""A person in the place of the simulated annotator: shown where to work, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from agir_cvtoolkit.cvat import Credentials, CvatSession, find_jobs

from .workspace import ACCOUNT

_EVERY_S = 1.0


class PersonLeftError(KeyboardInterrupt):
    """The person pressed Ctrl-C while it was waited for; the text says how to go on later."""


def wait_for_person(
    url: str, task_ids: Sequence[int], folder: Path, tell: Callable[[str], None], every: float = _EVERY_S
) -> None:
    """Tell where the proposals can be corrected, and wait until every job is completed.

    Args:
        url: of the sandbox.
        task_ids: whose jobs are waited for.
        folder: the workspace of the demonstration.
        tell: is given a line whenever a job was completed.
        every: seconds between two looks.

    Raises:
        PersonLeftError: Ctrl-C.
    """
    session = CvatSession.open(Credentials(url, *ACCOUNT))
    tell(f"Now it is your turn: {url}  (user {ACCOUNT[0]}, password {ACCOUNT[1]})")
    tell("Correct the proposals in a browser and mark each job as completed; this goes on by itself then.")
    told = 0
    try:
        while True:
            jobs = find_jobs(session, task_ids=task_ids, required_status=None)
            done = sum(job.state == "completed" for job in jobs)
            if done > told:
                tell(f"{done} of {len(jobs)} jobs completed")
            if done == len(jobs):
                return
            told = done
            time.sleep(every)
    except KeyboardInterrupt as interruption:
        raise PersonLeftError(_way_on(url, folder)) from interruption


def _way_on(url: str, folder: Path) -> str:
    conf = folder / "conf"
    return (
        "What you have corrected is kept. To go on, open the page again at the same address:\n"
        f"  agir-cvtoolkit sandbox --root {folder / 'sandbox'} --port {urlsplit(url).port}\n"
        "complete the jobs there, and in another terminal:\n"
        f"  agir-cvtoolkit download-cvat --config {conf}\n"
        f"  agir-cvtoolkit train --config {conf}\n"
        "The demonstration itself, started again, begins with new pictures and forgets these."
    )
